"""Two reports of `eval` side by side: what differs, and whether it is more than chance."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trellis_cli import console
from trellis_cli.errors import FileError, UsageError
from trellis_cli.metrics.uncertainty import mean_interval
from trellis_cli.stages.eval_report import MARK
from trellis_cli.stages.eval_tables import flat

SURE = 1.96  # deviations of a normal distribution that hold 95 %
Rows = dict[str, dict[str, float]]
Comparison = dict[str, dict[str, float]]


def read_report(path: Path) -> dict[str, Any]:
    """A report of `eval`. Raises FileError for another file."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: no such file", hint="give a report of `trellis eval`") from error
    except ValueError as error:
        raise FileError(f"{path} is no JSON: {error}", hint="give a report of `trellis eval`") from error
    if not isinstance(report, dict) or MARK not in report:
        raise FileError(f"{path} is no report of `trellis eval`", hint="one is written by -o scores.json")
    return report


def compare(paths: tuple[Path, Path]) -> tuple[Comparison, str]:
    """score -> a, b, difference (b - a) with low and high, num; and a table of it.

    Scores of single assets or edits are paired, and only of those that are in both; figures of a whole set have the
    deviations that both reports state.

    Raises:
        FileError: a file that is no report.
        UsageError: reports of two suites, or without anything in common.
    """
    a, b = (read_report(path) for path in paths)
    if a.get("suite") != b.get("suite"):
        raise UsageError(
            f"{paths[0]} is of the suite {a.get('suite')!r}, {paths[1]} of {b.get('suite')!r}",
            hint="figures of different suites cannot be compared",
        )
    if a[MARK] != b[MARK]:
        console.note("the suite has changed between the two: figures of different protocols are not the same figure")
    found: Comparison = {}
    for place, rows in _rows(a).items():
        found |= _paired(place, rows, _rows(b).get(place, {}))
    for name, scores in _sets(a).items():
        if name in (others := _sets(b)):
            found[name] = _apart(scores, others[name])
    if not found:
        raise UsageError("the two reports have no score in common", hint="look at both with `trellis eval --json`")
    return found, _table(found, paths)


def _rows(report: Mapping[str, Any]) -> dict[str, Rows]:
    """Where scores stand -> name of the asset or edit -> its scores."""
    out: dict[str, Rows] = {}
    if "reconstruction" in report:
        objects = report["reconstruction"]["objects"]
        out["reconstruction "] = {name: dict(flat(scores)) for name, scores in objects.items()}
    for row in report.get("edits", ()):
        place = f"{row['mode']} {row['method']} "
        out.setdefault(place, {})[f"{row['edit']}.{row.get('draw', 0)}"] = dict(flat(row))
    return out


def _sets(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Figures of whole sets, with value and deviation."""
    out: dict[str, dict[str, float]] = {}
    for features, scores in report.get("generation", {}).items():
        for key in ("frechet", "kernel"):
            if isinstance(scores, dict) and isinstance(scores.get(key), dict):
                out[f"generation {key} {features}"] = {**scores[key], "num": scores["objects"]}
    return out


def _paired(place: str, rows: Rows, others: Rows) -> Comparison:
    values: dict[str, list[tuple[float, float]]] = {}
    for name in rows.keys() & others.keys():
        for score in rows[name].keys() & others[name].keys():
            values.setdefault(place + score, []).append((rows[name][score], others[name][score]))
    out: Comparison = {}
    for score, pairs in sorted(values.items()):
        apart = mean_interval([b - a for a, b in sorted(pairs)])
        first, second = (sum(pair[k] for pair in pairs) / len(pairs) for k in range(2))
        out[score] = {"a": first, "b": second, "difference": apart["mean"], "low": apart["low"], "high": apart["high"],
                      "num": len(pairs)}  # fmt: skip
    return out


def _apart(scores: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    difference = others["value"] - scores["value"]
    reach = SURE * math.hypot(scores["deviation"], others["deviation"])
    return {"a": scores["value"], "b": others["value"], "difference": difference, "low": difference - reach,
            "high": difference + reach, "num": min(scores["num"], others["num"])}  # fmt: skip


def _table(found: Comparison, paths: tuple[Path, Path]) -> str:
    rows = [["score", paths[0].stem, paths[1].stem, "difference", "95 % interval", "num", ""]]
    for name, s in found.items():
        apart = s["low"] > 0 or s["high"] < 0
        rows.append([name, f"{s['a']:.4g}", f"{s['b']:.4g}", f"{s['difference']:+.3g}",
                     f"{s['low']:.3g} to {s['high']:.3g}", f"{s['num']:.0f}", "*" if apart else ""])  # fmt: skip
    return f"{console.table(rows)}\n* the interval leaves out 0"
