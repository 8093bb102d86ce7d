"""The best checkpoint of a run by a score of its evaluations: RUN/best."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trellis_cli.io.aside import write_text

FOLDER, FILE = "best", "scores.json"


def is_best(run: Path, scores: Mapping[str, float], by: tuple[str, int]) -> bool:
    """Whether `scores` are better than those noted, by (name, +1 where more is better or -1); not without that score.

    A score is that of held-out assets, `<name>_test`, or of the training's where none is held out.
    """
    name, sign = by
    known = read(run)
    for key in (f"{name}_test", f"{name}_train"):
        if key in scores:
            before = known.get(key, math.nan)
            return math.isfinite(scores[key]) and (not math.isfinite(before) or sign * scores[key] > sign * before)
    return False


def note(run: Path, scores: Mapping[str, float], step: int) -> None:
    write_text(run / FOLDER / FILE, json.dumps({"step": step, **scores}, indent=2) + "\n")


def read(run: Path) -> dict[str, Any]:
    """The step and scores of the best checkpoint; empty where there is none."""
    path = run / FOLDER / FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
