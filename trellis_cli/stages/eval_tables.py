"""Scores of many edits to means with intervals, and to a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DRAWS, LEVEL = 1000, 95  # of the bootstrap over edits, and per cent of its means that an interval holds
SHOWN = {  # column: score, or the difference of two
    "identical": "identical",
    "PSNR": "psnr",
    "SSIM": "ssim",
    "LPIPS": "lpips",
    "CD": "chamfer",
    "normal jump": "seam_after.normal",
    "before": "seam_before.normal",
    "colour jump": "seam_after.colour",
    "before ": "seam_before.colour",
    "gap": "gap",
    "loose": "loose",
    "laid open": "laid_open",
    "gain": "gain_after",
    "before  ": "gain_before",
}
Means = dict[str, dict[str, dict[str, dict[str, float]]]]


def means(rows: Sequence[Mapping[str, Any]]) -> Means:
    """method -> mode -> score -> mean, low, high, num: over the edits that have the score; 95 % by bootstrap."""
    groups: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        of = groups.setdefault(row["method"], {}).setdefault(row["mode"], {})
        for name, value in _flat(row):
            of.setdefault(name, []).append(value)
    return {
        method: {mode: {name: _summary(v) for name, v in sorted(of.items())} for mode, of in modes.items()}
        for method, modes in groups.items()
    }


def differences(rows: Sequence[Mapping[str, Any]], of: str, others: Sequence[str]) -> Means:
    """ "of - other" -> mode and "all" -> score -> mean, low, high, num of the differences, edit by edit.

    An edit counts where both methods have the score. An interval without 0 says that one of them is ahead.
    """
    scores = {(row["method"], row["edit"]): (row["mode"], dict(_flat(row))) for row in rows}
    out: Means = {}
    for other in others:
        groups: dict[str, dict[str, list[float]]] = {}
        for (method, edit), (mode, own) in scores.items():
            if method != of or (other, edit) not in scores:
                continue
            theirs = scores[other, edit][1]
            for name in own.keys() & theirs.keys():
                for group in (mode, "all"):
                    groups.setdefault(group, {}).setdefault(name, []).append(own[name] - theirs[name])
        out[f"{of} - {other}"] = {
            mode: {name: _summary(v) for name, v in sorted(of_mode.items())} for mode, of_mode in groups.items()
        }
    return out


def _flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    out: list[tuple[str, float]] = []
    for name, value in row.items():
        if isinstance(value, Mapping):
            out += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float):
            out.append((prefix + name, float(value)))
    return out


def _summary(values: Sequence[float]) -> dict[str, float]:
    array = np.asarray(values, np.float64)
    picks = np.random.default_rng(0).integers(len(array), size=(DRAWS, len(array)))
    edge = (100 - LEVEL) / 2
    low, high = np.percentile(array[picks].mean(1), [edge, 100 - edge])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high), "num": len(array)}


def text_table(table: Means) -> str:
    """A row a mode and method; "-" where a score does not apply."""
    rows = [["mode", "method", "edits", *(name.strip() for name in SHOWN)]]
    modes = dict.fromkeys(mode for of in table.values() for mode in of)
    for mode in modes:
        for method, of in table.items():
            if mode in of:
                num = max(int(s["num"]) for s in of[mode].values())
                rows.append([mode, method, str(num), *(_cell(of[mode].get(score)) for score in SHOWN.values())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _cell(summary: Mapping[str, float] | None) -> str:
    return "-" if summary is None else f"{summary['mean']:.4g}"
