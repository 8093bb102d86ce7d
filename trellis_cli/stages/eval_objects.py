"""`eval` of a suite of objects: each encoded and decoded again, and each made anew from its caption; then scored."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from trellis_cli import __version__, console
from trellis_cli.errors import DiskError, MissingError, TrellisError, UsageError
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.io.stage_files import open_stage
from trellis_cli.metrics.lpips import LPIPS, load_lpips
from trellis_cli.renderers.mesh import render_views
from trellis_cli.session import in_shard
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.eval_report import Evaluation, check_out, finished
from trellis_cli.stages.eval_tables import aligned, object_means
from trellis_cli.stages.generation_scores import alexnet_features, cameras, generation_scores
from trellis_cli.stages.object_suite import ObjectSuite, ToySpec
from trellis_cli.stages.reconstruction_scores import on_black, reconstruction_scores, shown
from trellis_cli.stages.sample import sample
from trellis_cli.stages.score_cache import Scores, cached, digest
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_assets import encode_mesh, make_toy

_log = logging.getLogger(__name__)
PARTS = ("reconstruction", "generation")
SCORING = 1  # raised whenever a score is computed in another way, so that no old one is kept


def eval_objects(
    suite: ObjectSuite,
    out: Path,
    *,
    work: Path,
    model: str | None = None,
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
        model: instead of the suite's own.
        only: names of objects; all by default.
        parts: of PARTS; all by default.
        shard: (i, n) takes this part of the objects alone.
        merge: compute nothing, and put together what is in `work`.

    Raises:
        UsageError: an unknown object or part, or an output that is no .json or in the way.
        MissingError: the model lacks a network that the protocol needs.
        SomeFailed: some objects failed; the others' scores are written, with the reasons.
    """
    parts = parts or PARTS
    _check(suite, out, only, parts, overwrite)
    runner = _Runner(suite, open_model(model or suite.model), work, device, dtype, overwrite, merge)
    toys = [toy for toy in suite.objects if (not only or toy.name in only) and in_shard(toy.name, shard)]
    found: dict[str, dict[str, Scores]] = {part: {} for part in parts}
    failed: list[dict[str, Any]] = []
    runs = [(part, toy) for part in parts for toy in toys]
    for part, toy in console.track(runs, total=len(runs), what="trellis eval"):
        try:
            found[part][toy.name] = runner.scores(part, toy)
        except (MissingError, DiskError, UsageError):
            raise
        except TrellisError as error:
            _log.warning("%s of %s: %s", part, toy.name, error.problem)
            failed.append({"object": toy.name, "part": part, "reason": error.problem})
    report: dict[str, Any] = {
        "suite": suite.name,
        "suite_digest": digest(suite.table),
        "protocol": {part: asdict(getattr(suite, part)) for part in parts},
        "model": runner.model.provenance,
        "program_version": __version__,
        "dtype": str(dtype).removeprefix("torch."),
        "failed": failed,
    }
    if "reconstruction" in parts:
        rows = found["reconstruction"]
        report["reconstruction"] = {"objects": rows, "means": object_means(rows.values())}
    if "generation" in parts:
        report["generation"] = _generation(suite, found["generation"])
    return finished(out, report, _table(report), failed, len(runs) - len(failed))


def _generation(suite: ObjectSuite, found: dict[str, Scores]) -> dict[str, Any]:
    """The scores of the set, by features; None for a set of one or none."""
    out: dict[str, Any] = {"objects": {name: {"prompt": scores["prompt"]} for name, scores in found.items()}}
    for name in suite.generation.features:
        made, real = (torch.tensor([s["features"][name][side] for s in found.values()]) for side in ("made", "real"))
        out[name] = generation_scores(made, real, suite.generation) if len(found) > 1 else None
    return out


class _Runner:
    """One suite and one model; networks stay in memory."""

    def __init__(
        self, suite: ObjectSuite, model: ModelFolder, work: Path, device: str, dtype: torch.dtype, overwrite: bool,
        merge: bool,
    ) -> None:  # fmt: skip
        self.suite, self.model, self.work, self.device, self.dtype = suite, model, work, device, dtype
        self.overwrite, self.merge = overwrite, merge
        self._decoders: dict[str, Decoder] = {}

    def scores(self, part: str, toy: ToySpec) -> Scores:
        """Of one object: those of before, if all they depend on is the same, else anew."""
        depends = {
            "object": asdict(toy), "protocol": asdict(getattr(self.suite, part)), "model": self.model.digest,
            "version": __version__, "scoring": SCORING, "dtype": str(self.dtype),
        }  # fmt: skip
        make = self._reconstruction if part == "reconstruction" else self._generation
        run = None if self.merge else lambda: make(toy)
        return cached(self.work / part / f"{toy.name}.json", depends, run, anew=self.overwrite)

    @cached_property
    def lpips(self) -> LPIPS:
        return load_lpips()

    def decoder(self, kind: str) -> Decoder:
        if kind not in self._decoders:
            self._decoders[kind] = Decoder(self.model, kind, device=self.device, dtype=self.dtype)
        return self._decoders[kind]

    def _reconstruction(self, toy: ToySpec) -> Scores:
        protocol = self.suite.reconstruction
        mesh, _ = make_toy(toy.toybox, toy.seed, self.work / "objects" / f"{toy.name}.glb")
        slat = encode_mesh(
            mesh, self.model, self.work / "encoded", num_views=protocol.input_views, size=protocol.input_size,
            device=self.device, dtype=self.dtype,
        )  # fmt: skip
        decoders = {kind: self.decoder(kind) for kind in (*protocol.representations, "mesh")}
        truth, _ = into_cube(mesh)
        return reconstruction_scores(truth, self._latents(slat, "gaussians"), decoders, self.lpips, protocol, toy.name)

    def _generation(self, toy: ToySpec) -> Scores:
        """Features of the pictures of an object, and of what the model makes of its caption."""
        protocol = self.suite.generation
        mesh, caption = make_toy(toy.toybox, toy.seed, self.work / "objects" / f"{toy.name}.glb")
        out = self.work / "sampled" / f"{toy.name}.slat.h5"
        sample([caption], out, self.model, seed=protocol.seed + toy.seed, device=self.device, dtype=self.dtype,
               overwrite=self.overwrite)  # fmt: skip
        kind = protocol.representation
        made = shown(self.decoder(kind), self._latents(out, kind), cameras(protocol), protocol.size)
        real = on_black(render_views(into_cube(mesh)[0], cameras(protocol), size=protocol.size).rgba)
        features = {"made": alexnet_features(made).tolist(), "real": alexnet_features(real).tolist()}
        return {"prompt": caption, "features": {"alexnet": features}}

    def _latents(self, path: Path, kind: str) -> Packed:
        with open_stage(path) as file:
            return self.decoder(kind).latents(file.group("slat"), 0)


def _table(report: dict[str, Any]) -> str:
    lines = []
    if "reconstruction" in report:
        means = report["reconstruction"]["means"]
        rows = [["reconstruction", "mean", "95 % interval", "objects"]]
        for name, s in means.items():
            rows.append([name, f"{s['mean']:.4g}", f"{s['low']:.4g} to {s['high']:.4g}", str(s["num"])])
        lines.append(aligned(rows))
    if "generation" in report:
        rows = [["generation", "value", "deviation", "objects"]]
        for name, scores in report["generation"].items():
            if name == "objects" or scores is None:
                continue
            for short, key in (("FD", "frechet"), ("KD x 100", "kernel")):
                value, num = scores[key], str(scores["objects"])
                rows.append([f"{short} {name}", f"{value['value']:.4g}", f"{value['deviation']:.2g}", num])
        lines.append(aligned(rows))
    return "\n\n".join(lines)


def _check(suite: ObjectSuite, out: Path, only: Sequence[str], parts: Sequence[str], overwrite: bool) -> None:
    check_out(out, overwrite=overwrite)
    known = [toy.name for toy in suite.objects]
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"{suite.name} has no object {unknown[0]!r}", hint=f"it has {', '.join(known)}")
    if unknown := [name for name in parts if name not in PARTS]:
        raise UsageError(f"there is no part {unknown[0]!r}", hint=f"one of: {', '.join(PARTS)}")
