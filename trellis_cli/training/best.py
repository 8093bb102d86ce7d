"""The best checkpoint of a run by a score of its evaluations: RUN/best."""

import json
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
            return key not in known or sign * scores[key] > sign * known[key]
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
