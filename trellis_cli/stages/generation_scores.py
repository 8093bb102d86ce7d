"""How near a set of made objects comes to a set of real ones, by pictures or points of both: the paper's table 2."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras, orbit
from trellis_cli.metrics.distribution import frechet_distance, kernel_distance
from trellis_cli.metrics.uncertainty import mean_interval, set_deviation
from trellis_cli.stages.object_suite import Generation
from trellis_cli.stages.score_cache import Scores


def cameras(protocol: Generation, yaws_deg: Sequence[float] | None = None) -> Cameras:
    """The same for every object; at the protocol's own yaws by default."""
    yaws = [math.radians(yaw) for yaw in (protocol.yaws_deg if yaws_deg is None else yaws_deg)]
    pitches = [math.radians(protocol.pitch_deg)] * len(yaws)
    return orbit(yaws, pitches, radius=protocol.radius, fov=math.radians(protocol.fov_deg))


def generation_scores(made: Float[Tensor, "a v d"], real: Float[Tensor, "b v d"], protocol: Generation) -> Scores:
    """Fréchet and kernel distance (x 100) of all, each with its deviation over sets of objects drawn anew; `retrieval`.

    Args:
        made, real: features of v views of each of the objects; as many objects on both sides, in the same order.
    """

    def taken(features: Tensor, which: np.ndarray) -> Float[Tensor, "n d"]:
        return features[torch.from_numpy(which)].flatten(0, 1)

    def kernel(which: np.ndarray, subsets: int = max(1, protocol.kernel_subsets // 10)) -> float:
        return 100 * kernel_distance(
            taken(made, which), taken(real, which), subsets=subsets, size=protocol.kernel_subset_size,
            seed=protocol.seed,
        )[0]  # fmt: skip

    def frechet(which: np.ndarray) -> float:
        return frechet_distance(taken(made, which), taken(real, which))

    num, everything = len(made), np.arange(len(made))
    return {
        "frechet": {"value": frechet(everything), "deviation": set_deviation(frechet, num)},
        "kernel": {"value": kernel(everything, protocol.kernel_subsets), "deviation": set_deviation(kernel, num)},
        "retrieval": mean_interval(retrieval(made, real)),
        "objects": num,
        "views": num * made.shape[1],
    }


def retrieval(made: Float[Tensor, "n v d"], real: Float[Tensor, "n v d"]) -> list[float]:
    """Of each made object, the share of the other real ones that are farther from it than its own prompt's.

    1 where its own is the nearest, 0.5 by chance: how far the prompt is followed, without a network that reads. The
    distance is the Euclidean one of the views' mean features.
    """
    apart = torch.cdist(made.double().mean(1), real.double().mean(1))
    own = apart.diagonal()[:, None]
    farther = (apart > own).sum(1) + 0.5 * ((apart == own).sum(1) - 1)
    return (farther / (len(real) - 1)).tolist()
