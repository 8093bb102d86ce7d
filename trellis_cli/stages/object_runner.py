"""One object of a suite through one part of its protocol: made, looked at, and kept."""

import logging
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from trellis_cli import __version__
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, MissingError
from trellis_cli.metrics.farthest import farthest_points
from trellis_cli.metrics.lpips import LPIPS, load_lpips
from trellis_cli.networks.clip_similarity import ClipSimilarity, load_clip_similarity
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.stages.feature_networks import NETWORKS, Features
from trellis_cli.stages.generation_scores import cameras
from trellis_cli.stages.made_objects import Made, Maker
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.reconstruction_scores import (
    SideBySide,
    on_black,
    outer_points,
    reconstruction_scores,
    side_by_side,
)
from trellis_cli.stages.score_cache import Scores, cached
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_objects import SuiteObject
from trellis_cli.stages.suite_prompts import prompt_of

_log = logging.getLogger(__name__)
PARTS = ("reconstruction", "generation")
SCORING = 5  # raised whenever a score is computed in another way, so that no old one is kept


class ObjectRunner:
    """One suite, and a maker of what is scored; networks stay in memory.

    missing: metrics whose weights are not here, with the problem and what gets them.
    """

    def __init__(
        self, suite: ObjectSuite, maker: Maker, work: Path, features: Features, *, overwrite: bool, merge: bool
    ) -> None:
        self.suite, self.maker, self.work, self.features = suite, maker, work, features
        self.overwrite, self.merge = overwrite, merge

    def scores(self, part: str, one: SuiteObject) -> Scores:
        """Of one object: those of before, if all they depend on is the same, else anew.

        Raises:
            TrellisError: whatever its making and its scoring say.
        """
        if part == "reconstruction":
            return self._kept(part, part, one)
        out: Scores = {"prompt": prompt_of(one, self.suite, self.work).label}
        return out | {name: self._kept(part, name, one) for name in self._wanted if name not in self.missing}

    @property
    def _wanted(self) -> list[str]:
        protocol = self.suite.generation
        return [*protocol.features, *(["clip"] if protocol.clip_yaws_deg else [])]

    @cached_property
    def missing(self) -> dict[str, dict[str, str]]:
        """Metrics of the suite's second part whose weights are not here."""
        out: dict[str, dict[str, str]] = {}
        for name in self._wanted:
            try:
                self.clip if name == "clip" else self.features.load(name)
            except MissingError as error:
                _log.warning("%s is left out: %s", name, error.problem)
                out[name] = {"missing": error.problem, "get": error.hint or ""}
        return out

    @property
    def weights(self) -> dict[str, str]:
        """Metric to the sha256 of its weights, of those of the second part that are here."""
        return {name: self.features.digest(name) for name in self._wanted if name not in self.missing}

    @cached_property
    def lpips(self) -> LPIPS:
        return load_lpips()

    @cached_property
    def clip(self) -> ClipSimilarity:
        return load_clip_similarity(device=self.features.device)

    def _kept(self, part: str, name: str, one: SuiteObject) -> Scores:
        depends: dict[str, Any] = {
            "object": one.identity, "protocol": asdict(getattr(self.suite, part)), "made": self.maker.identity(one),
            "version": __version__, "scoring": SCORING, "score": name,
        }  # fmt: skip
        if part == "generation":
            depends["weights"] = self.features.digest(name)
        make = self._reconstruction if part == "reconstruction" else lambda o: self._generation(name, o)
        run = None if self.merge else lambda: make(one)
        return cached(self.work / part / name / f"{one.name}.json", depends, run, anew=self.overwrite)

    def pictures(self, part: str, one: SuiteObject) -> dict[str, Tensor]:
        """What a reader should see of an object, by label: [3 h w] in [0, 1]."""
        mesh = one.mesh(self.work / "objects")
        if part == "reconstruction":
            seen = self._side_by_side(one)
            normals = {} if seen.normals is None else {"normals": seen.truth_normals, "normals made": seen.normals}
            return {label: images[0] for label, images in ({"object": seen.truth} | seen.by | normals).items()}
        made = self._drawn(one, self.maker.anew(one, prompt_of(one, self.suite, self.work)))
        real = self._views(into_cube(mesh)[0])
        half = len(real) // 2
        return {"object": real[0], "made": made[0], "object ": real[half], "made ": made[half]}

    def _reconstruction(self, one: SuiteObject) -> Scores:
        truth = into_cube(one.mesh(self.work / "objects"))[0]
        return reconstruction_scores(truth, self._side_by_side(one), self.lpips, self.suite.reconstruction)

    def _side_by_side(self, one: SuiteObject) -> SideBySide:
        mesh = one.mesh(self.work / "objects")
        made = self.maker.rebuilt(one, mesh)
        surface = made.surface if self.suite.reconstruction.surface else None
        return side_by_side(into_cube(mesh)[0], made.draw, surface, self.suite.reconstruction, one.name)

    def _generation(self, name: str, one: SuiteObject) -> Scores:
        """Features of an object, and of what is made of its prompt; or the likeness of that to the prompt."""
        mesh, prompt = one.mesh(self.work / "objects"), prompt_of(one, self.suite, self.work)
        made, real = self.maker.anew(one, prompt), into_cube(mesh)[0]
        if name == "clip":
            images = self._drawn(one, made, self.suite.generation.clip_yaws_deg).to(self.features.device)
            return {"score": float(100 * (self.clip.pictures(images) @ self._asked(prompt).T).mean())}
        if NETWORKS[name].of == "points":
            pair = (self._made_cloud(one, made)[None], self._cloud(outer_points(real, self.suite.generation))[None])
        else:
            pair = (self._drawn(one, made), self._views(real))
        return {side: self.features(name, seen).tolist() for side, seen in zip(("made", "real"), pair, strict=True)}

    def _asked(self, prompt: Prompt) -> Tensor:
        """CLIP's unit vector of a prompt, [1 d]; a picture on black, as what is made is drawn."""
        if prompt.text is not None:
            return self.clip.texts([prompt.text])
        with Image.open(prompt.images[0]) as picture:
            rgba = np.asarray(picture.convert("RGBA"))[None]
        return self.clip.pictures(on_black(rgba).to(self.features.device))

    def _views(self, mesh: TexturedMesh) -> Tensor:
        protocol = self.suite.generation
        return on_black(render_views(mesh, cameras(protocol), size=protocol.size).rgba)

    def _drawn(self, one: SuiteObject, made: Made, yaws_deg: tuple[float, ...] | None = None) -> Tensor:
        protocol = self.suite.generation
        if not made.draw:
            raise FileError(f"{one.name}: points alone cannot be drawn", hint="give a mesh, or Gaussians")
        draw = next(iter(made.draw.values()))
        return draw(cameras(protocol, yaws_deg), protocol.size)

    def _made_cloud(self, one: SuiteObject, made: Made) -> Tensor:
        if made.points is not None:
            return self._cloud(made.points)
        if made.surface is None:
            raise FileError(f"{one.name} has no surface to take points from", hint="give a mesh, or points as .npz")
        return self._cloud(outer_points(made.surface(), self.suite.generation))

    def _cloud(self, points: Tensor) -> Tensor:
        if len(points) < self.suite.generation.cloud:
            raise FileError(
                f"{len(points)} points, and the suite takes {self.suite.generation.cloud}", hint="give a denser cloud"
            )
        return farthest_points(points, self.suite.generation.cloud)
