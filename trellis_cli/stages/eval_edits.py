"""`eval` of a suite of edits: every asset made, every edit by every method, scored, and put into one table."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import torch

from trellis_cli import __version__, console
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import DiskError, MissingError, TrellisError, UsageError
from trellis_cli.geometry.regions import occupancy
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.shards import in_shard
from trellis_cli.stages.conditioners import flows_for
from trellis_cli.stages.edit import edit
from trellis_cli.stages.edit_asset import ENCODER, FEATHER, ONCE, Change
from trellis_cli.stages.edit_options import DEFAULT_RESAMPLING
from trellis_cli.stages.edit_scores import Grid, Scorer, Scores, Shown
from trellis_cli.stages.edit_sheet import SIZE, before_columns, cameras, check_sheet, save_sheet, sheet_row
from trellis_cli.stages.edit_suite import EditSpec, EditSuite, Task, mode_of
from trellis_cli.stages.encode import structure_latent
from trellis_cli.stages.eval_report import Evaluation, check_out, finished
from trellis_cli.stages.eval_tables import differences, means, text_table
from trellis_cli.stages.pipeline import Pipeline, fine_resolution
from trellis_cli.stages.prompt_encoders import PromptEncoders
from trellis_cli.stages.region_options import GivenRegion, gather_region
from trellis_cli.stages.resident import Networks
from trellis_cli.stages.sample import sample
from trellis_cli.stages.score_cache import cached, digest
from trellis_cli.stages.suite_assets import make_asset
from trellis_cli.stages.view import Row, gaussian_row

_log = logging.getLogger(__name__)
METHODS = ("repaint", "no-resampling", "paste")
SCORING = 1  # raised whenever a score is computed in another way, so that no old one is kept


def eval_edits(
    suite: EditSuite,
    out: Path,
    *,
    work: Path,
    model: str | None = None,
    only: Sequence[str] = (),
    methods: Sequence[str] = METHODS,
    draws: int = 1,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    sheet: Path | None = None,
    shard: tuple[int, int] = (0, 1),
    merge: bool = False,
    overwrite: bool = False,
) -> Evaluation:
    """Run a suite and write its scores as JSON; what `work` holds of it already is kept.

    Args:
        work: assets, edits and scores, one file each; the same suite goes on where it was stopped.
        model: instead of the suite's own.
        only: names of edits; all by default.
        methods: "repaint" as `edit` does it by default, "no-resampling", and "paste": made anew by the same prompt and
            seed, and the region put in as it comes.
        draws: how often each edit is made, each time from another seed; the means are of the edits' own means.
        sheet: a .png of the edits by "repaint": before, region, after.
        shard: (i, n) runs the edits of this part of the assets alone.
        merge: compute nothing, and put together what is in `work`.

    Raises:
        UsageError: an unknown edit or method, or an output that is no .json or in the way.
        SomeFailed: some edits failed; the others' scores are written, with the reasons.
    """
    _check(suite, out, only, methods, overwrite)
    check_sheet("--sheet", sheet, overwrite=overwrite or out.exists())  # a run that goes on draws it again
    runner = _Runner(suite, open_model(model or suite.model), work, device, dtype, overwrite, merge)
    tasks = [task for task in suite.tasks(only, draws) if in_shard(task.spec.asset, shard)]
    runs = [(task, m) for task in tasks for m in methods if applies(task.spec, m)]
    rows, failed = [], []
    for task, method in console.track(runs, total=len(runs), what="trellis eval"):
        spec = task.spec
        try:
            rows.append({"edit": spec.name, "draw": task.draw, "asset": spec.asset, "mode": spec.mode, "method": method,
                         **runner.scores(task, method)})  # fmt: skip
        except (MissingError, DiskError, UsageError):
            raise
        except TrellisError as error:
            _log.warning("%s, %s: %s", task.stem, method, error.problem)
            failed.append({"edit": spec.name, "draw": task.draw, "method": method, "reason": error.problem})
    report = {
        "suite": suite.name,
        "suite_digest": runner.suite_digest,
        "model": runner.model.provenance,
        "program_version": __version__,
        "dtype": str(dtype).removeprefix("torch."),
        "draws": draws,
        "resampling": [asdict(walk) for walk in DEFAULT_RESAMPLING],
        "feather": FEATHER,
        "edits": rows,
        "failed": failed,
        "means": means(rows),
        "differences": differences(rows, METHODS[0], [m for m in methods if m != METHODS[0]]),
    }
    if sheet is not None:
        save_sheet(sheet, [runner.row(task) for task in tasks if not task.draw])
    return finished(out, report, f"{text_table(report['means'])}\n{len(rows)} scores", failed, len(rows))


class _Runner:
    """One suite and one model; networks stay in memory."""

    def __init__(
        self, suite: EditSuite, model: ModelFolder, work: Path, device: str, dtype: torch.dtype, overwrite: bool,
        merge: bool,
    ) -> None:  # fmt: skip
        self.suite, self.model, self.work, self.device, self.dtype = suite, model, work, device, dtype
        self.overwrite, self.merge = overwrite, merge
        self.resolution = fine_resolution(model)
        self.networks = Networks(model, device=device, dtype=dtype)
        self.encoders = PromptEncoders(self.networks)
        self.pipeline = Pipeline(self.networks, flows=flows_for(model, "text"))
        self.suite_digest = digest(suite.table)

    def scores(self, task: Task, method: str) -> Scores:
        """Of one edit by one method: those of before, if all they depend on is the same, else anew."""
        spec, path = task.spec, self.work / "scores" / method / f"{task.stem}.json"
        walks = DEFAULT_RESAMPLING if method == "repaint" else (ONCE, ONCE)
        depends = {
            "edit": asdict(spec), "asset": asdict(self.suite.asset(spec.asset)), "model": self.model.digest,
            "version": __version__, "scoring": SCORING, "walks": [asdict(w) for w in walks],
            "feather": FEATHER, "dtype": str(self.dtype),
        }  # fmt: skip
        make = None if self.merge else lambda: self._score(task, method)
        return cached(path, depends, make, anew=self.overwrite)

    @cached_property
    def scorer(self) -> Scorer:
        return Scorer(self.model, self.pipeline, self.resolution)

    def row(self, task: Task) -> Row:
        """Pictures of an edit by "repaint"; of one that failed without an after."""
        spec, out = task.spec, self._out(task, "repaint")
        columns = before_columns(self.scorer.read(self._source(spec)).gaussians, self._grid(self._region(spec)))
        text = f"{spec.name}, {spec.mode}" + (f": {spec.text}" if spec.text else "")
        if not out.is_file():
            return sheet_row(f"{text} (failed)", columns)
        return sheet_row(text, [*columns, gaussian_row(self.scorer.read(out).gaussians, cameras(), SIZE)])

    def _source(self, spec: EditSpec) -> Path:
        asset = self.suite.asset(spec.asset)
        return make_asset(asset, self.model, self.work / "assets", device=self.device, dtype=self.dtype)

    def _out(self, task: Task, method: str) -> Path:
        return self.work / "edits" / method / f"{task.stem}.slat.h5"

    def _region(self, spec: EditSpec) -> GivenRegion | None:
        return gather_region(spec.boxes, spec.spheres, resolution=self.resolution) if spec.mode != "vary" else None

    def _grid(self, region: GivenRegion | None) -> Grid | None:
        return None if region is None else region.region.grid(self.resolution)

    def _score(self, task: Task, method: str) -> Scores:
        spec = task.spec
        source, region = self._source(spec), self._region(spec)
        old = self.scorer.read(source)
        made = self._paste(task, old, region) if method == "paste" else self._edit(task, method, source, region)
        empty = self.encoders.nothing("text")
        pair = self.encoders.pair(Prompt(spec.text)) if spec.text else empty
        return self.scorer.score(old, made, self._grid(region), spec.mode, pair, empty)

    def _edit(self, task: Task, method: str, source: Path, region: GivenRegion | None) -> Shown:
        spec, out = task.spec, self._out(task, method)
        walks = DEFAULT_RESAMPLING if method == "repaint" else (ONCE, ONCE)
        edit(
            [source], out, self.model, Change(mode_of(spec), region, resampling=walks),
            prompt=Prompt(spec.text) if spec.text else None, seed=spec.seed, device=self.device, dtype=self.dtype,
            overwrite=self.overwrite,
        )  # fmt: skip
        return self.scorer.read(out)

    def _paste(self, task: Task, old: Shown, region: GivenRegion | None) -> Shown:
        """The region of an object made anew in the place of the old one's; what "add" finds there stays."""
        spec, inside = task.spec, self._grid(region)
        assert inside is not None
        before = occupancy(old.coords, self.resolution)
        kept = before if spec.mode == "add" else before & ~inside
        rows = torch.zeros(*before.shape, old.feats.shape[1])
        grid = kept
        if spec.mode != "remove":
            anew = self.work / "anew" / f"{task.stem}.slat.h5"
            sample([spec.text], anew, self.model, seed=spec.seed, device=self.device, dtype=self.dtype,
                   overwrite=self.overwrite)  # fmt: skip
            other = self.scorer.read(anew)
            rows[tuple(other.coords.long().T)] = other.feats
            grid = kept | occupancy(other.coords, self.resolution) & inside
        x, y, z = old.coords.long().T
        held = kept[x, y, z]
        rows[x[held], y[held], z[held]] = old.feats[held]
        if not bool(grid.any()):
            raise TrellisError("nothing would be kept", hint="make the region smaller")
        coords = torch.argwhere(grid).int()
        latent = None
        if self.model.has(ENCODER):
            latent = structure_latent(self.networks(ENCODER), coords, self.resolution, self.device)
        return Shown(coords, rows[tuple(coords.long().T)], latent, self.scorer.splats, self.scorer.meshes)


def applies(spec: EditSpec, method: str) -> bool:
    """Baselines are of regions; without a first stage there is nothing to resample."""
    return method == "repaint" or (spec.mode != "vary" and (method == "paste" or spec.mode != "remove"))


def _check(suite: EditSuite, out: Path, only: Sequence[str], methods: Sequence[str], overwrite: bool) -> None:
    check_out(out, overwrite=overwrite)
    known = [e.name for e in suite.edits]
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"{suite.name} has no edit {unknown[0]!r}", hint=f"it has {', '.join(known)}")
    if unknown := [name for name in methods if name not in METHODS]:
        raise UsageError(f"there is no method {unknown[0]!r}", hint=f"one of: {', '.join(METHODS)}")
