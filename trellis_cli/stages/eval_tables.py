"""Scores of many edits to means with intervals, and to a table for people."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from trellis_cli import console
from trellis_cli.metrics.uncertainty import mean_interval

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
    """method -> mode -> score -> mean, low, high, num: over the edits that have the score; 95 % by bootstrap.

    Of an edit that is drawn several times the mean of its draws counts, so that num is of edits.
    """
    groups: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (method, _), (mode, scores) in _by_edit(rows).items():
        of = groups.setdefault(method, {}).setdefault(mode, {})
        for name, value in scores.items():
            of.setdefault(name, []).append(value)
    return {
        method: {mode: {name: mean_interval(v) for name, v in sorted(of.items())} for mode, of in modes.items()}
        for method, modes in groups.items()
    }


def object_means(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """score -> mean, low, high, num, over the objects that have it; 95 % by bootstrap. Nested scores as `a.b`."""
    found: dict[str, list[float]] = {}
    for name, value in (pair for row in rows for pair in flat(row)):
        found.setdefault(name, []).append(value)
    return {name: mean_interval(values) for name, values in sorted(found.items())}


def differences(rows: Sequence[Mapping[str, Any]], of: str, others: Sequence[str]) -> Means:
    """Of one method less each other: "of - other" -> mode, or "all" -> score -> mean, low, high, num.

    An edit counts with the draws of it that have the score by both. An interval without 0 says that one is ahead.
    """
    out: Means = {}
    for other in others:
        theirs = {(row["edit"], row.get("draw", 0)): dict(flat(row)) for row in rows if row["method"] == other}
        paired = []
        for row in (row for row in rows if row["method"] == of):
            partner = theirs.get((row["edit"], row.get("draw", 0)), {})
            apart = {name: value - partner[name] for name, value in flat(row) if name in partner}
            paired.append({"edit": row["edit"], "mode": row["mode"], "method": of, **apart})
        groups: dict[str, dict[str, list[float]]] = {}
        for mode, scores in _by_edit(paired).values():
            for group, (name, value) in product((mode, "all"), scores.items()):
                groups.setdefault(group, {}).setdefault(name, []).append(value)
        out[f"{of} - {other}"] = {
            mode: {name: mean_interval(v) for name, v in sorted(of_mode.items())} for mode, of_mode in groups.items()
        }
    return out


def _by_edit(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[str, dict[str, float]]]:
    """method and edit -> mode, and score -> mean over the edit's draws that have it."""
    modes: dict[tuple[str, str], str] = {}
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        key = row["method"], row["edit"]
        modes[key] = row["mode"]
        for name, value in flat(row):
            found.setdefault(key, {}).setdefault(name, []).append(value)
    return {
        key: (mode, {name: sum(v) / len(v) for name, v in found.get(key, {}).items()}) for key, mode in modes.items()
    }


def flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Every number of nested scores, named `a.b`."""
    out: list[tuple[str, float]] = []
    for name, value in row.items():
        if name == "draw":
            continue
        if isinstance(value, Mapping):
            out += flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float):
            out.append((prefix + name, float(value)))
    return out


def text_table(table: Means) -> str:
    """A row a mode and method; "-" where a score does not apply."""
    rows = [["mode", "method", "edits", *(name.strip() for name in SHOWN)]]
    modes = dict.fromkeys(mode for of in table.values() for mode in of)
    for mode in modes:
        for method, of in table.items():
            if mode in of:
                num = max(int(s["num"]) for s in of[mode].values())
                rows.append([mode, method, str(num), *(_cell(of[mode].get(score)) for score in SHOWN.values())])
    return console.table(rows)


GENERATION = ("value", "deviation or interval", "objects")  # what stands over `generation_rows`


def generation_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each figure of a report's second part, and for what is missing, with the command that gets it."""
    rows = []
    for name, scores in found.items():
        if not isinstance(scores, Mapping) or "frechet" not in scores:
            continue
        for short, key in (("FD", "frechet"), ("KD x 100", "kernel")):
            value = scores[key]
            rows.append(
                [f"{short} {name}", f"{value['value']:.4g}", f"{value['deviation']:.2g}", str(scores["objects"])]
            )
        rows.append(mean_row(f"retrieval {name}", scores["retrieval"]))
    if "clip" in found:
        rows.append(mean_row("CLIP x 100", found["clip"]))
    return rows + [[name, "missing", why["get"], ""] for name, why in found["missing"].items()]


def mean_row(name: str, s: Mapping[str, float]) -> list[str]:
    """name, mean, interval, num."""
    return [name, f"{s['mean']:.4g}", f"{s['low']:.4g} to {s['high']:.4g}", str(s["num"])]


def _cell(summary: Mapping[str, float] | None) -> str:
    return "-" if summary is None else f"{summary['mean']:.4g}"
