"""One object of a suite through one part of its protocol: made, looked at, and kept."""

import logging
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from trellis_cli import __version__
from trellis_cli.errors import FileError, MissingError, TrellisError
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import open_stage
from trellis_cli.metrics.farthest import farthest_points
from trellis_cli.metrics.lpips import LPIPS, load_lpips
from trellis_cli.networks.clip_similarity import ClipSimilarity, load_clip_similarity
from trellis_cli.renderers.mesh import render_views, textured
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.feature_networks import NETWORKS, Features
from trellis_cli.stages.generation_scores import cameras
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.pipeline import SamplerSettings
from trellis_cli.stages.reconstruction_scores import (
    SideBySide,
    on_black,
    outer_points,
    reconstruction_scores,
    shown,
    side_by_side,
)
from trellis_cli.stages.sample import model_settings, sample
from trellis_cli.stages.score_cache import Scores, cached
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_assets import encode_mesh
from trellis_cli.stages.suite_objects import SuiteObject

_log = logging.getLogger(__name__)
PARTS = ("reconstruction", "generation")
SCORING = 2  # raised whenever a score is computed in another way, so that no old one is kept


class ObjectRunner:
    """One suite and one model; networks stay in memory.

    missing: metrics whose weights are not here, with the problem and what gets them.
    """

    def __init__(
        self,
        suite: ObjectSuite,
        model: ModelFolder,
        work: Path,
        features: Features,
        device: str,
        dtype: torch.dtype,
        overwrite: bool = False,
        merge: bool = False,
    ) -> None:
        self.suite, self.model, self.work, self.features = suite, model, work, features
        self.device, self.dtype, self.overwrite, self.merge = device, dtype, overwrite, merge
        self._decoders: dict[str, Decoder] = {}

    def scores(self, part: str, one: SuiteObject) -> Scores:
        """Of one object: those of before, if all they depend on is the same, else anew.

        Raises:
            TrellisError: whatever its making and its scoring say.
        """
        if part == "reconstruction":
            return self._kept(part, "reconstruction", one)
        if one.caption is None and isinstance(one.source, Path):
            raise FileError(f"{one.name} has no caption", hint="a captions.csv with file,caption beside the objects")
        _, caption = one.mesh(self.work / "objects")
        out: Scores = {"prompt": caption}
        wanted = [*self.suite.generation.features, *(["clip"] if self.suite.generation.clip_yaws_deg else [])]
        return out | {name: self._kept(part, name, one) for name in wanted if name not in self.missing}

    @cached_property
    def missing(self) -> dict[str, dict[str, str]]:
        """Metrics of the suite's second part whose weights are not here."""
        out: dict[str, dict[str, str]] = {}
        for name in (*self.suite.generation.features, *(["clip"] if self.suite.generation.clip_yaws_deg else [])):
            try:
                self.clip if name == "clip" else self.features.load(name)
            except MissingError as error:
                _log.warning("%s is left out: %s", name, error.problem)
                out[name] = {"missing": error.problem, "get": error.hint or ""}
        return out

    @cached_property
    def lpips(self) -> LPIPS:
        return load_lpips()

    @cached_property
    def clip(self) -> ClipSimilarity:
        return load_clip_similarity(device=self.device)

    def decoder(self, kind: str) -> Decoder:
        if kind not in self._decoders:
            self._decoders[kind] = Decoder(self.model, kind, device=self.device, dtype=self.dtype)
        return self._decoders[kind]

    def _kept(self, part: str, name: str, one: SuiteObject) -> Scores:
        depends = {
            "object": one.identity, "protocol": asdict(getattr(self.suite, part)), "model": self.model.digest,
            "version": __version__, "scoring": SCORING, "dtype": str(self.dtype), "score": name,
        }  # fmt: skip
        make = self._reconstruction if part == "reconstruction" else lambda o: self._generation(name, o)
        run = None if self.merge else lambda: make(one)
        return cached(self.work / part / name / f"{one.name}.json", depends, run, anew=self.overwrite)

    def pictures(self, part: str, one: SuiteObject) -> dict[str, Tensor]:
        """What a reader should see of an object, by label: [3 h w] in [0, 1]."""
        if part == "reconstruction":
            seen = self._side_by_side(one)
            by = {"object": seen.truth, **seen.by, "normals": seen.truth_normals, "normals of the mesh": seen.normals}
            return {label: images[0] for label, images in by.items()}
        mesh, caption = one.mesh(self.work / "objects")
        made = self._pictures(self._sampled(one, caption or ""))
        real = self._views(into_cube(mesh)[0])
        return {"object": real[0], "made": made[0], "object ": real[len(real) // 2], "made ": made[len(made) // 2]}

    def _reconstruction(self, one: SuiteObject) -> Scores:
        seen, truth = self._side_by_side(one), into_cube(one.mesh(self.work / "objects")[0])[0]
        return reconstruction_scores(truth, seen, self.lpips, self.suite.reconstruction)

    def _side_by_side(self, one: SuiteObject) -> SideBySide:
        protocol = self.suite.reconstruction
        mesh, _ = one.mesh(self.work / "objects")
        slat = encode_mesh(
            mesh, self.model, self.work / "encoded", name=one.name, num_views=protocol.input_views,
            size=protocol.input_size, encoder=protocol.encoder, device=self.device, dtype=self.dtype,
        )  # fmt: skip
        decoders = {kind: self.decoder(kind) for kind in (*protocol.representations, "mesh")}
        return side_by_side(into_cube(mesh)[0], self._latents(slat), decoders, protocol, one.name)

    def _generation(self, name: str, one: SuiteObject) -> Scores:
        """Features of an object, and of what the model makes of its caption; or the likeness of that to the caption."""
        mesh, caption = one.mesh(self.work / "objects")
        made, real = self._sampled(one, caption or ""), into_cube(mesh)[0]
        if name == "clip":
            words = self.clip.texts([caption or ""])
            images = self._pictures(made, self.suite.generation.clip_yaws_deg)
            return {"score": float(100 * (self.clip.pictures(images.to(self.device)) @ words.T).mean())}
        if NETWORKS[name].of == "points":
            clouds = (self._cloud(textured(self.decoder("mesh").mesh(made))), self._cloud(real))
            return {
                side: self.features(name, c[None]).tolist() for side, c in zip(("made", "real"), clouds, strict=True)
            }
        pair = (self._pictures(made), self._views(real))
        return {side: self.features(name, views).tolist() for side, views in zip(("made", "real"), pair, strict=True)}

    def _views(self, mesh: TexturedMesh) -> Tensor:
        protocol = self.suite.generation
        return on_black(render_views(mesh, cameras(protocol), size=protocol.size).rgba)

    def _pictures(self, latents: Packed, yaws_deg: tuple[float, ...] | None = None) -> Tensor:
        protocol = self.suite.generation
        return shown(self.decoder(protocol.representation), latents, cameras(protocol, yaws_deg), protocol.size)

    def _cloud(self, mesh: TexturedMesh) -> Tensor:
        return farthest_points(outer_points(mesh, self.suite.generation), self.suite.generation.cloud)

    def _sampled(self, one: SuiteObject, caption: str) -> Packed:
        out = self.work / "sampled" / f"{one.name}.slat.h5"
        seed = self.suite.generation.seed + (0 if isinstance(one.source, Path) else one.source.seed)
        first, second = (self._asked(settings) for settings in model_settings(self.model))
        sample(
            [caption], out, self.model, seed=seed, settings=(first, second), device=self.device, dtype=self.dtype,
            overwrite=self.overwrite,
        )  # fmt: skip
        return self._latents(out)

    def _asked(self, settings: SamplerSettings) -> SamplerSettings:
        """A sampler's own settings, but for what the protocol says."""
        protocol = self.suite.generation
        settings = settings.changed(steps=protocol.steps) if protocol.steps else settings
        return settings.changed(guidance=protocol.guidance) if protocol.guidance >= 0 else settings

    def _latents(self, path: Path) -> Packed:
        with open_stage(path) as file:
            group = file.group("slat")
            if not len(group):
                raise TrellisError(f"{path} holds no asset", hint="run it again with --overwrite")
            return self.decoder(self.suite.generation.representation).latents(group, 0)
