"""One asset edited: first which voxels are active in the region, then the latents there, both beside what is kept."""

import logging
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trellis_cli.errors import TrellisError
from trellis_cli.flow.repaint import Kept, Resampling
from trellis_cli.geometry.packed import dense_to_packed
from trellis_cli.geometry.regions import enclosed, occupancy, share_of_cells, touched_cells
from trellis_cli.stages.edit_sources import Voxels
from trellis_cli.stages.encode import structure_latent
from trellis_cli.stages.pipeline import Multi, Pipeline, SamplerSettings
from trellis_cli.stages.prompt_encoders import Pair
from trellis_cli.stages.region_options import GivenRegion

_log = logging.getLogger(__name__)
ENCODER = "sparse_structure_encoder"
Mode = Literal["vary", "replace", "add", "remove"]
Grid = Bool[Tensor, "r r r"]
ONCE = Resampling()
FEATHER = {"replace": 1.0, "add": 0.25}  # measured in docs/editing.md
FEW = 10  # new voxels that go unseen


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to an asset.

    mode: "vary" samples all latents anew on the same voxels. The others change a region alone: "replace" samples its
        voxels and latents anew, "add" keeps each voxel that is there, with its latent, and "remove" empties the region
        and closes the inside of what is left.
    keep_structure: of "replace", sample latents alone.
    resampling: of the structure's sampler, and of the latents'.
    feather: how strongly a coarse cell that lies partly outside the region is held to what it was: this much times the
        share of it that lies outside; None for what FEATHER says of the mode.
    """

    mode: Mode = "replace"
    region: GivenRegion | None = None
    keep_structure: bool = False
    resampling: tuple[Resampling, Resampling] = (ONCE, ONCE)
    feather: float | None = None

    @property
    def samples_structure(self) -> bool:
        """Whether the first flow has a part in it."""
        return self.mode in ("replace", "add") and not self.keep_structure

    @property
    def feathering(self) -> float:
        return FEATHER.get(self.mode, 0.0) if self.feather is None else self.feather

    @property
    def changes_voxels(self) -> bool:
        return self.samples_structure or self.mode == "remove"


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """An asset after its edit; `structure` as in `Voxels`."""

    coords: Int[Tensor, "n 3"]
    feats: Float[Tensor, "n c"]
    structure: Float[Tensor, "d r r r"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Editor:
    """A change, and the samplers that make it.

    settings: of the structure's sampler, and of the latents'.
    resolution: voxels along an edge.
    """

    pipeline: Pipeline
    change: Change
    settings: tuple[SamplerSettings, SamplerSettings]
    resolution: int
    multi: Multi | None = None

    def edited(self, old: Voxels, pair: Pair, generator: torch.Generator) -> Edited:
        """An asset after the change; of the generator the structure draws first, then the latents.

        Kept voxels come out with the very latents that they had.

        Raises:
            TrellisError: a change that changes nothing, or keeps nothing.
            MissingError: no structure latent in the file, and the model has no encoder that makes it.
        """
        before = occupancy(old.coords, self.resolution)
        region = self.region()
        check_region(self.change, before, region)
        after, structure = before, old.structure
        if self.change.samples_structure:
            after, structure = self._repainted(old, before, region, pair, generator)
        elif self.change.mode == "remove":
            after, structure = before & ~region | caps(before, region), None
        coords = torch.argwhere(after).int()
        feats = self._latents(old, coords, before, region, pair, generator)
        if self.change.changes_voxels and self.pipeline.networks.model.has(ENCODER):
            structure = self._encoded(coords)  # of what is there now, for the next edit
        return Edited(coords, feats, structure)

    def region(self) -> Grid:
        """All voxels that may change."""
        if self.change.region is None:
            return torch.ones((self.resolution,) * 3, dtype=torch.bool)
        return self.change.region.region.grid(self.resolution)

    def _repainted(
        self, old: Voxels, before: Grid, region: Grid, pair: Pair, generator: torch.Generator
    ) -> tuple[Grid, Tensor]:
        """The voxels with those of the region sampled anew, and the structure latent that they were decoded from."""
        known = old.structure if old.structure is not None else self._encoded(old.coords)
        side = known.shape[-1]
        pull = self.change.feathering * (1 - share_of_cells(region, side))
        kept = Kept(
            dense_to_packed(known[None]).feats, touched_cells(region, side).flatten(), self.change.resampling[0],
            generator, pull.flatten() if self.change.feathering else None,
        )  # fmt: skip
        latent = self.pipeline.structure(*pair, self.settings[0], generator, multi=self.multi, kept=kept)
        made = occupancy(self.pipeline.voxels(latent), self.resolution) & region
        new = int((made & ~before).sum())
        if new == 0:
            if self.change.mode == "add" or not bool((before & region & ~made).any()):
                raise TrellisError(
                    "the model made no new voxel in the region, so nothing would change",
                    hint="try another --seed, a larger region (--grow 2), or a stronger --guidance",
                )
            if not bool(made.any()):
                _log.warning("the model made no voxel in the region: it is empty now, as after --remove")
        elif self.change.mode == "add" and new < FEW:
            _log.warning("the model added %d voxels alone; another --seed or a larger region may do more", new)
        return (before | made) if self.change.mode == "add" else (before & ~region | made), latent[0]

    def _latents(
        self, old: Voxels, coords: Tensor, before: Grid, region: Grid, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """A latent for each voxel: the old one where it is kept, else a new one."""
        if self.change.mode == "vary":
            return self.pipeline.slat(*pair, coords, self.settings[1], generator, multi=self.multi)
        assert old.feats is not None
        x, y, z = coords.long().T
        kept = (before if self.change.mode == "add" else before & ~region)[x, y, z]
        row = torch.zeros(before.shape, dtype=torch.long)
        row[tuple(old.coords.long().T)] = torch.arange(len(old.coords))
        data = old.feats[row[x, y, z]] * kept[:, None]
        if bool(kept.all()):
            return data
        known = Kept(data, ~kept, self.change.resampling[1], generator)
        return self.pipeline.slat(*pair, coords, self.settings[1], generator, multi=self.multi, kept=known)

    def _encoded(self, coords: Tensor) -> Tensor:
        networks = self.pipeline.networks
        return structure_latent(networks(ENCODER), coords, self.resolution, networks.device)


def check_region(change: Change, before: Grid, region: Grid) -> None:
    """Raises TrellisError where a change would change nothing, or keep nothing of the asset."""
    inside, total = int((before & region).sum()), int(before.sum())
    if change.mode in ("vary", "add"):
        return
    if not inside and not change.samples_structure:
        raise TrellisError(
            f"the region holds none of the {total} voxels, so nothing would change",
            hint="--preview shows where it lies; --grow makes it larger",
        )
    if inside == total:
        other = "--vary makes new details on all voxels, and `trellis sample` a new object"
        raise TrellisError(
            f"the region holds all {total} voxels, so nothing would be kept",
            hint="make it smaller" if change.mode == "remove" else other,
        )


def caps(before: Grid, region: Grid) -> Grid:
    """Voxels of the region that close what is left when it is emptied: a lid wherever the cut would show the inside.

    The inside is what the surface encloses (geometry.regions.enclosed). A lid lies in the region, one voxel thick,
    against the inside that is left: across what was inside too, and where the surface itself is cut away, as much of it
    as has an inside behind it that is shut off on all six sides; five are also had by a gap between an arm and a body.
    """
    inside, left = enclosed(before), ~region
    across = inside & _beside(inside & left)
    surface = before & _beside(enclosed(before, sides=6) & left)
    return region & (across | surface)


def _beside(grid: Grid) -> Grid:
    """The voxels that share a face with one of a grid."""
    out = torch.zeros_like(grid)
    for axis in range(3):
        for step in (1, -1):
            shifted = grid.roll(step, axis)
            shifted.select(axis, 0 if step > 0 else -1).zero_()
            out |= shifted
    return out
