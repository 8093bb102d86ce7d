"""`eval` of a suite of objects: each encoded and decoded again, and each made anew from its caption; then scored."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from trellis_cli import __version__, console
from trellis_cli.errors import DiskError, MissingError, TrellisError, UsageError
from trellis_cli.io.model_folders import open_model
from trellis_cli.metrics.uncertainty import mean_interval
from trellis_cli.shards import in_shard
from trellis_cli.stages.eval_html import write_html
from trellis_cli.stages.eval_report import Evaluation, check_html, check_out, finished
from trellis_cli.stages.eval_tables import GENERATION, generation_rows, mean_row, object_means
from trellis_cli.stages.feature_networks import Features, weights_folder
from trellis_cli.stages.generation_scores import generation_scores
from trellis_cli.stages.made_objects import FileMaker, Maker, ModelMaker
from trellis_cli.stages.object_runner import PARTS, ObjectRunner
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.score_cache import Scores, digest
from trellis_cli.stages.suite_objects import SuiteObject, suite_objects

_log = logging.getLogger(__name__)


def eval_objects(
    suite: ObjectSuite,
    out: Path,
    *,
    work: Path,
    data: Path | None = None,
    weights: Path | None = None,
    assets: Path | None = None,
    model: str | None = None,
    html: Path | None = None,
    only: Sequence[str] = (),
    parts: Sequence[str] = (),
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    merge: bool = False,
    overwrite: bool = False,
) -> Evaluation:
    """Run a suite and write its scores as JSON; what `work` holds of it already is kept.

    Args:
        work: objects, latents and scores; the same suite goes on where it was stopped.
        data: the folder of the set that a suite chooses from.
        weights: where weights that were downloaded lie (see `feature_networks.weights_folder`).
        assets: a folder of anybody's outputs, which are scored instead of a model's (`made_objects.FileMaker`).
        model: instead of the suite's own.
        html: a page with the tables, distributions and pictures, written beside the JSON.
        only: names of objects; all by default.
        parts: of PARTS; all by default.
        shard: (i, n) takes this part of the objects alone.
        merge: compute nothing, and put together what is in `work`.

    Raises:
        UsageError: an unknown object or part, or an output that is no .json or in the way.
        MissingError: the model lacks a network that the protocol needs, or the set is not there.
        SomeFailed: some objects failed; the others' scores are written, with the reasons.
    """
    parts = parts or PARTS
    check_out(out, overwrite=overwrite)
    check_html(html, overwrite=overwrite or out.exists())  # a run that goes on writes it again
    objects = suite_objects(suite, data)
    _check(suite, objects, only, parts)
    maker: Maker
    if assets is not None:
        if model is not None:
            raise UsageError("--assets are scored as they are, without a --model", hint="leave one of the two out")
        maker = FileMaker(assets, objects["generation"])
    else:
        maker = ModelMaker(suite, open_model(model or suite.model), work, device, dtype, overwrite)
    features = Features(weights_folder(weights), device)
    runner = ObjectRunner(suite, maker, work, features, overwrite=overwrite, merge=merge)
    found: dict[str, dict[str, Scores]] = {part: {} for part in parts}
    failed: list[dict[str, Any]] = []
    runs = [(part, o) for part in parts for o in objects[part] if not only or o.name in only]
    runs = [(part, o) for part, o in runs if in_shard(o.name, shard)]
    for part, o in console.track(runs, total=len(runs), what="trellis eval"):
        try:
            found[part][o.name] = runner.scores(part, o)
        except (MissingError, DiskError, UsageError):
            raise
        except TrellisError as error:
            _log.warning("%s of %s: %s", part, o.name, error.problem)
            failed.append({"object": o.name, "part": part, "reason": error.problem})
    report: dict[str, Any] = {
        "suite": suite.name,
        "suite_digest": digest(suite.table),
        "protocol": {part: asdict(getattr(suite, part)) for part in parts},
        "model": maker.provenance,
        "program_version": __version__,
        "dtype": str(dtype).removeprefix("torch."),
        "failed": failed,
    }
    if "reconstruction" in parts:
        rows = found["reconstruction"]
        report["reconstruction"] = {"objects": rows, "means": object_means(rows.values())}
    if "generation" in parts:
        report["generation"] = _generation(suite, found["generation"], runner.missing)
        report["generation"]["weights"] = runner.weights
    if html is not None:
        by_name = {(part, o.name): o for part in parts for o in objects[part]}
        write_html(html, report, lambda part, name: runner.pictures(part, by_name[part, name]))
    return finished(out, report, _table(report), failed, len(runs) - len(failed))


def _generation(suite: ObjectSuite, found: dict[str, Scores], missing: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The scores of the set: by features where there are two objects or more, by CLIP, and what is missing."""
    out: dict[str, Any] = {"objects": {name: {"prompt": scores["prompt"]} for name, scores in found.items()}}
    out["missing"] = missing
    for name in suite.generation.features:
        if name in missing or len(found) < 2:
            continue
        made, real = (torch.tensor([s[name][side] for s in found.values()]) for side in ("made", "real"))
        out[name] = generation_scores(made, real, suite.generation)
    clip = [scores["clip"]["score"] for scores in found.values() if "clip" in scores]
    return out | ({"clip": mean_interval(clip)} if clip else {})


def _table(report: dict[str, Any]) -> str:
    lines = []
    if "reconstruction" in report:
        rows = [["reconstruction", "mean", "95 % interval", "objects"]]
        rows += [mean_row(name, s) for name, s in report["reconstruction"]["means"].items()]
        lines.append(console.table(rows))
    if "generation" in report:
        lines.append(console.table([["generation", *GENERATION], *generation_rows(report["generation"])]))
    return "\n\n".join(lines)


def _check(
    suite: ObjectSuite, objects: dict[str, list[SuiteObject]], only: Sequence[str], parts: Sequence[str]
) -> None:
    if unknown := [name for name in parts if name not in PARTS]:
        raise UsageError(f"there is no part {unknown[0]!r}", hint=f"one of: {', '.join(PARTS)}")
    known = {o.name for part in parts for o in objects[part]}
    if unknown := [name for name in only if name not in known]:
        some = ", ".join(sorted(known)[:20])
        raise UsageError(f"{suite.name} has no object {unknown[0]!r}", hint=f"it has {some}")
