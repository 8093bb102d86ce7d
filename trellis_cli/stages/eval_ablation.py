"""`eval` of an ablation: every variant's models through one suite of objects, and how the variants differ by seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trellis_cli import __version__, console
from trellis_cli.errors import DiskError, MissingError, SomeFailed, TrellisError, UsageError
from trellis_cli.metrics.uncertainty import seed_interval
from trellis_cli.shards import in_shard
from trellis_cli.stages.ablation_suite import AblationRun, AblationSuite
from trellis_cli.stages.eval_compare import read_report
from trellis_cli.stages.eval_objects import eval_objects
from trellis_cli.stages.eval_report import Evaluation, check_out, finished
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.score_cache import digest

Figures = dict[str, float]
MODELS, OBJECTS = "models", "data"  # below --data: a model a run, and the data folder whose held-out objects are scored


def eval_ablation(
    suite: AblationSuite,
    scored_by: ObjectSuite,
    out: Path,
    *,
    work: Path,
    data: Path | None = None,
    weights: Path | None = None,
    only: Sequence[str] = (),
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    merge: bool = False,
    overwrite: bool = False,
) -> Evaluation:
    """Score every model of an ablation and write one table as JSON; what `work` holds of it already is kept.

    Args:
        data: what recipes/ablations/train.py made: a model of each variant and seed, and objects.
        only: names of runs, variant and seed; all by default.
        shard: (i, n) takes this part of the runs alone.

    Raises:
        UsageError: an unknown run, or an output that is no .json or in the way.
        MissingError: no models; or all that `eval_objects` lacks.
        SomeFailed: some runs lack their model or have a broken one, or some objects failed; the rest is written.
    """
    check_out(out, overwrite=overwrite)
    if unknown := [name for name in only if name not in {run.name for run in suite.runs}]:
        raise UsageError(f"{suite.name} has no run {unknown[0]!r}", hint=f"it has {', '.join(_names(suite.runs))}")
    runs = [run for run in suite.runs if (not only or run.name in only) and in_shard(run.name, shard)]
    there = [run for run in runs if data is not None and (data / MODELS / run.name / "pipeline.json").is_file()]
    hint = f"python recipes/ablations/train.py {data or 'WORK'} {suite.name}; then --data {data or 'WORK'}"
    if data is None or (runs and not there):
        said = "no --data" if data is None else f"no model of {', '.join(_names(runs))} in {data / MODELS}"
        raise MissingError(f"{said}: the models of an ablation have to be trained", hint=hint)
    failed = [{"run": run.name, "reason": f"not trained: {hint}"} for run in runs if run not in there]
    rows = []
    for run in there:
        console.note(f"{run.name}")
        scores = work / run.name / "scores.json"
        try:
            eval_objects(
                scored_by, scores, work=work / run.name, data=data / OBJECTS, weights=weights, parts=[suite.part],
                model=str(data / MODELS / run.name), device=device, dtype=dtype, merge=merge, overwrite=overwrite,
            )  # fmt: skip
        except (MissingError, DiskError, UsageError):
            raise
        except TrellisError as error:
            failed.append({"run": run.name, "reason": error.problem})
            if not isinstance(error, SomeFailed):  # which has written what there is
                continue
        report = read_report(scores)
        rows.append({"variant": run.variant, "seed": run.seed, "model": report["model"], "figures": figures(report)})
    summary = summarised(rows)
    report = {
        "suite": suite.name,
        "suite_digest": digest({"ablation": suite.table, "scored_by": scored_by.table}),
        "about": suite.about,
        "scored_by": scored_by.name,
        "program_version": __version__,
        "dtype": str(dtype).removeprefix("torch."),
        "runs": rows,
        "failed": failed,
        **summary,
    }
    return finished(out, report, table(summary), failed, len(rows))


def figures(report: Mapping[str, Any]) -> Figures:
    """The figures of a suite of objects that an ablation compares, by the names that its table shows."""
    out: Figures = {}
    for name, score in report.get("reconstruction", {}).get("means", {}).items():
        out[name] = score["mean"]
    for name, scores in report.get("generation", {}).items():
        if name == "clip":
            out["CLIP x 100"] = scores["mean"]
        elif isinstance(scores, Mapping) and "frechet" in scores:
            out |= {f"FD {name}": scores["frechet"]["value"], f"KD x 100 {name}": scores["kernel"]["value"]}
            out[f"retrieval {name}"] = scores["retrieval"]["mean"]
    return out


def summarised(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """variants: name -> figure -> mean, deviation, num over seeds. differences: of each variant less the first.

    Only seeds that both have count in a difference, each paired with its like.
    """
    of: dict[str, dict[int, Figures]] = {}
    for row in rows:
        of.setdefault(row["variant"], {})[row["seed"]] = row["figures"]
    first = next(iter(of), "")
    differences: dict[str, Any] = {}
    for variant, seeds in of.items():
        both = [(by, of[first][seed]) for seed, by in seeds.items() if seed in of[first]]
        if variant != first and both:
            names = [name for name in both[0][0] if all(name in a and name in b for a, b in both)]
            apart = {name: seed_interval([a[name] - b[name] for a, b in both]) for name in names}
            differences[f"{variant} - {first}"] = apart
    variants = {
        variant: {name: seed_interval([by[name] for by in seeds.values() if name in by]) for name in _figures(seeds)}
        for variant, seeds in of.items()
    }
    return {"variants": variants, "differences": differences}


def table(summary: Mapping[str, Any]) -> str:
    """A row for each variant and figure; then how each differs from the first."""
    rows = [["variant", "figure", "mean", "deviation", "seeds"]]
    for variant, by in summary["variants"].items():
        for name, s in by.items():
            rows.append([variant, name, f"{s['mean']:.4g}", _number(s["deviation"], ".2g"), str(s["num"])])
    text = console.table(rows)
    if summary["differences"]:
        rows = [["difference", "figure", "mean", "95 % interval", "seeds"]]
        for pair, by in summary["differences"].items():
            for name, s in by.items():
                reach = "-" if s["low"] is None else f"{s['low']:.3g} to {s['high']:.3g}"
                rows.append([pair, name, f"{s['mean']:+.3g}", reach, str(s["num"])])
        text += "\n\n" + console.table(rows)
    return text


def _figures(seeds: Mapping[int, Figures]) -> list[str]:
    return list(dict.fromkeys(name for by in seeds.values() for name in by))


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _names(runs: Sequence[AblationRun]) -> list[str]:
    return [run.name for run in runs]
