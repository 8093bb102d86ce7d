"""Charts as PNG files, by matplotlib: histograms of scores, curves of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trellis_cli.io.aside import aside


def histogram(
    path: Path, scores: Mapping[str, Sequence[float]], thresholds: Mapping[str, float], *, label: str
) -> None:
    """A panel a source: how its scores are spread, with a line at its threshold, and how much lies above."""
    from matplotlib.figure import Figure

    values = [v for some in scores.values() for v in some]
    low, high = min(values), max(values)
    figure = Figure(figsize=(7, 2.2 * len(scores) + 0.4), layout="constrained")
    panels = figure.subplots(len(scores), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (source, some) in zip(panels, sorted(scores.items()), strict=True):
        panel.hist(some, bins=40, range=(low, high if high > low else low + 1), color="#4878a8")
        panel.set_ylabel("objects")
        title = f"{source}: {len(some)} objects"
        if source in thresholds:
            limit = thresholds[source]
            panel.axvline(limit, color="#b04030", linestyle="--")
            title += f", {sum(v >= limit for v in some)} of at least {limit:g}"
        panel.set_title(title, fontsize=10)
    panels[-1].set_xlabel(label)
    _save(figure, path)


def curves(path: Path, rows: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """A panel a figure of a training's log, over steps: losses as reported and smoothed, scores of all splits."""
    from matplotlib.figure import Figure

    panels = _panels(rows)
    figure = Figure(figsize=(11, 2.6 * -(-len(panels) // 2) + 0.4), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False).reshape(-1)
    figure.suptitle(title)
    for axis, (name, lines) in zip(axes, panels.items(), strict=False):
        for label, (steps, values) in lines.items():
            dots = len(steps) < 40
            axis.plot(
                steps, values, label=label, linewidth=1, marker="." if dots else None, alpha=0.9 if dots else 0.35
            )
            if not dots:
                axis.plot(steps, _smooth(values), color=axis.lines[-1].get_color(), linewidth=1.5)
        positive = all(v > 0 for _, values in lines.values() for v in values)
        if name in ("loss", "norm") and positive:
            axis.set_yscale("log")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("step")
        if len(lines) > 1:
            axis.legend(fontsize=8)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    _save(figure, path)


Lines = dict[str, tuple[list[int], list[float]]]


def _panels(rows: Sequence[Mapping[str, Any]]) -> dict[str, Lines]:
    """Name of a panel -> its lines. `loss_train` and `loss_test` of the evaluations share the panel "loss (scores)"."""
    panels: dict[str, Lines] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float | int) and name not in ("step", "skipped"):
                _add(panels, name, name, row["step"], float(value))
        for name, value in row.get("scores", {}).items():
            stem, _, split = name.rpartition("_")
            _add(panels, f"{stem or name} (scores)", split, row["step"], float(value))
    return panels


def _add(panels: dict[str, Lines], panel: str, line: str, step: int, value: float) -> None:
    steps, values = panels.setdefault(panel, {}).setdefault(line, ([], []))
    steps.append(step)
    values.append(value)


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean that forgets after about a fortieth of them, without the pull of its beginning."""
    out, mean, weight = [], 0.0, 0.0
    over = 1 - 1 / max(3, len(values) / 40)
    for value in values:
        mean, weight = over * mean + (1 - over) * value, over * weight + 1 - over
        out.append(mean / weight)
    return out


def _save(figure: Any, path: Path) -> None:
    with aside(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
