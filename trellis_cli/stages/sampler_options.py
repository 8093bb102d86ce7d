"""Settings of both stages' samplers as a command's options give them: one value for both, or two with a comma."""

import math
import re
from collections.abc import Callable
from typing import Any

from trellis_cli.errors import UsageError
from trellis_cli.flow.repaint import Resampling
from trellis_cli.stages.pipeline import SamplerSettings

MAX_STEPS = 1000
MAX_WALKS = 100  # of each stretch that is resampled
_NUMBER = r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"
_INTERVAL = re.compile(f"{_NUMBER}-{_NUMBER}")


def changed_settings(
    settings: tuple[SamplerSettings, SamplerSettings],
    *,
    steps: str | None = None,
    guidance: str | None = None,
    interval: str | None = None,
    rescale_t: str | None = None,
) -> tuple[SamplerSettings, SamplerSettings]:
    """Both stages' settings (structure, latents) with what is given in place of the model's own.

    Each is a value for both stages or `structure,latents`: steps from 1 to 1000, guidance of at least 0, interval as
    `low-high` within 0 to 1, rescale_t above 0. Raises UsageError.
    """
    pairs = {
        "steps": _pair("--steps", steps, _steps, "25 or 25,12"),
        "guidance": _pair("--guidance", guidance, _at_least_0, "5 or 7.5,3"),
        "interval": _pair("--interval", interval, _low_high, "0.5-1 or 0.5-1,0.5-0.95"),
        "rescale_t": _pair("--rescale-t", rescale_t, _above_0, "3 or 3,1"),
    }
    first, second = ({name: pair[i] for name, pair in pairs.items()} for i in (0, 1))
    return settings[0].changed(**first), settings[1].changed(**second)


def resampling_of(
    default: tuple[Resampling, Resampling], *, jump: str | None = None, resample: str | None = None
) -> tuple[Resampling, Resampling]:
    """How both stages are resampled, in the same form as `changed_settings` takes: whole numbers. Raises UsageError."""
    jumps = _pair("--jump", jump, _steps, "5 or 5,2")
    resamples = _pair("--resample", resample, _walks, "4 or 4,2")
    walks = zip(default, jumps, resamples, strict=True)
    first, second = (Resampling(j or own.jump, r or own.resample) for own, j, r in walks)
    return first, second


def _pair(option: str, text: str | None, read: Callable[[str], Any], example: str) -> tuple[Any, Any]:
    if text is None:
        return None, None
    parts = text.split(",")
    try:
        if len(parts) > 2:
            raise ValueError(f"{len(parts)} values, for two stages")
        values = [read(part.strip()) for part in parts]
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}", hint=f"for example {option} {example}") from error
    return values[0], values[-1]


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_STEPS:
        raise ValueError(f"not a number of steps from 1 to {MAX_STEPS}")
    return int(text)


def _walks(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_WALKS:
        raise ValueError(f"not a whole number from 1 to {MAX_WALKS}")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(value) or "_" in text:
        raise ValueError("not a number")
    return value


def _at_least_0(text: str) -> float:
    if (value := _number(text)) < 0:
        raise ValueError("below 0")
    return value


def _above_0(text: str) -> float:
    if (value := _number(text)) <= 0:
        raise ValueError("not above 0")
    return value


def _low_high(text: str) -> tuple[float, float]:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise ValueError("not low-high")
    low, high = float(found[1]), float(found[2])
    if not low <= high <= 1:
        raise ValueError("not 0 <= low <= high <= 1")
    return low, high
