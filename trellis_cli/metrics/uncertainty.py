"""How sure a figure is: by drawing the assets that it is of anew, with repeats (bootstrap)."""

from collections.abc import Callable, Sequence

import numpy as np

DRAWS, LEVEL = 1000, 95  # of the bootstrap, and per cent of its means that an interval holds
SET_DRAWS = 100  # of a figure that is of a whole set, as a Fréchet distance is, and costs as much each time


def mean_interval(values: Sequence[float], *, seed: int = 0) -> dict[str, float]:
    """mean, low, high and num: the mean and its 95 % interval."""
    array = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(len(array), size=(DRAWS, len(array)))
    edge = (100 - LEVEL) / 2
    low, high = np.percentile(array[picks].mean(1), [edge, 100 - edge])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high), "num": len(array)}


def set_deviation(figure: Callable[[np.ndarray], float], num: int, *, draws: int = SET_DRAWS, seed: int = 0) -> float:
    """Standard deviation of a figure of a whole set over sets that are drawn from it with repeats.

    Args:
        figure: of the assets with these indices, of which some may be there several times.
        num: assets.
    """
    generator = np.random.default_rng(seed)
    return float(np.std([figure(generator.integers(num, size=num)) for _ in range(draws)]))


def seed_interval(values: Sequence[float]) -> dict[str, float | int | None]:
    """mean, deviation, num, and low and high: the 95 % interval of the mean of a training's seeds, by Student's t.

    Of a few seeds the bootstrap would say too little. Deviation and interval are None for a single seed.
    """
    from scipy import stats

    array = np.asarray(values, np.float64)
    mean, num = float(array.mean()), len(array)
    if num < 2:
        return {"mean": mean, "deviation": None, "low": None, "high": None, "num": num}
    deviation = float(array.std(ddof=1))
    reach = float(stats.t.ppf(0.5 + LEVEL / 200, num - 1)) * deviation / num**0.5
    return {"mean": mean, "deviation": deviation, "low": mean - reach, "high": mean + reach, "num": num}
