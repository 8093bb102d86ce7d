"""What one edit is worth: is the rest untouched, does it look so, does the new part fit the prompt and the old part."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from trellis_cli.errors import TrellisError
from trellis_cli.geometry.cameras import FOV, Cameras, orbit
from trellis_cli.geometry.packed import Packed, pack
from trellis_cli.geometry.regions import occupancy, touched_cells
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import open_stage
from trellis_cli.metrics import seam
from trellis_cli.metrics.image import masked_psnr, masked_ssim, outside_equal
from trellis_cli.metrics.kept import kept_chamfer, kept_pixels
from trellis_cli.metrics.lpips import LPIPS, load_lpips
from trellis_cli.renderers.gaussians import render
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.pipeline import Pipeline
from trellis_cli.stages.prompt_encoders import Pair
from trellis_cli.stages.prompt_gain import slat_gain, structure_gain

SIZE, YAWS, PITCH_DEG = 256, 8, 20.0
Grid = Bool[Tensor, "r r r"]
Scores = dict[str, Any]


def cameras() -> Cameras:
    """Eight views all around, slightly from above."""
    yaws = [2 * torch.pi * k / YAWS for k in range(YAWS)]
    return orbit(yaws, [PITCH_DEG * torch.pi / 180] * YAWS, radius=2.0, fov=FOV)


@dataclass(frozen=True, eq=False)
class Shown:
    """One asset, decoded when it is first looked at."""

    coords: Tensor
    feats: Tensor
    structure: Tensor | None
    splats: Decoder
    meshes: Decoder

    @staticmethod
    def read(path: Path, splats: Decoder, meshes: Decoder) -> "Shown":
        """The only asset of a file with /slat."""
        with open_stage(path) as file:
            asset = file.group("slat").asset(0)
            latent = None
            if "structure" in file.groups:
                latent = torch.from_numpy(file.group("structure").asset(0)["latent"])
        coords = torch.from_numpy(asset["coords"]).int()
        return Shown(coords, torch.from_numpy(asset["feats"]), latent, splats, meshes)

    @cached_property
    def gaussians(self) -> Gaussians:
        return self.splats.gaussians(self._packed)

    @cached_property
    def mesh(self) -> Mesh | None:
        """None where the decoder finds no surface."""
        try:
            return self.meshes.mesh(self._packed)
        except TrellisError:
            return None

    @property
    def _packed(self) -> Packed:
        return pack([(self.coords, self.feats)])

    def of_gaussians(self, grid: Grid) -> Bool[Tensor, " g"]:
        """Which Gaussians stem from voxels of a grid; the decoder gives as many for each voxel, in order."""
        x, y, z = self.coords.long().T
        return grid[x, y, z].repeat_interleave(len(self.gaussians.means) // len(self.coords))


class Scorer:
    """Scores edits of one model; the decoders and the metric's networks are loaded once."""

    def __init__(self, model: ModelFolder, pipeline: Pipeline, resolution: int) -> None:
        n = pipeline.networks
        self.splats = Decoder(model, "gaussians", device=n.device, dtype=n.dtype)
        self.meshes = Decoder(model, "mesh", device=n.device, dtype=n.dtype)
        self.pipeline, self.resolution, self.cameras = pipeline, resolution, cameras()
        self.lpips: LPIPS = load_lpips()

    def read(self, path: Path) -> Shown:
        return Shown.read(path, self.splats, self.meshes)

    def score(self, old: Shown, new: Shown, region: Grid | None, mode: str, pair: Pair, empty: Pair) -> Scores:
        """All scores of one edit; None for those that do not apply, or find nothing to look at.

        Args:
            region: what may change; None for all latents of the very same voxels.
            pair: the prompt's condition and negative; empty: those of no prompt.
        """
        before, after = occupancy(old.coords, self.resolution), occupancy(new.coords, self.resolution)
        everything = torch.ones_like(before)
        inside = everything if region is None else region
        kept = before if mode == "add" else before & ~inside
        scores: Scores = {"voxels_before": int(before.sum()), "voxels_after": int(after.sum())}
        scores |= {"voxels_new": int((after & ~kept).sum()), "identical": _identical(old, new, kept)}
        if mode != "remove":
            scores |= self._fit(old, new, inside, pair, empty)
        if region is None:
            return scores | {"structure_identical": bool(torch.equal(before, after))}
        scores |= self._pictures(old, new, kept)
        scores["gap"] = seam.gap(before, after, region) if mode == "replace" else None
        scores["loose"] = seam.loose(after, kept)
        scores["laid_open"] = seam.laid_open(before, after, region) if mode == "remove" else None
        return scores | self._surfaces(old, new, before, after, region, mode)

    def _fit(self, old: Shown, new: Shown, inside: Grid, pair: Pair, empty: Pair) -> Scores:
        both = (pair[0], empty[0])
        out: Scores = {}
        for when, shown in (("before", old), ("after", new)):
            x, y, z = shown.coords.long().T
            out[f"gain_{when}"] = slat_gain(self.pipeline, shown.coords, shown.feats, inside[x, y, z], both)
            if shown.structure is not None:
                cells = touched_cells(inside, shown.structure.shape[-1])
                out[f"structure_gain_{when}"] = structure_gain(self.pipeline, shown.structure, cells, both)
        return out

    @torch.no_grad()
    def _pictures(self, old: Shown, new: Shown, kept: Grid) -> Scores:
        """PSNR, SSIM and LPIPS of the pixels that see only kept voxels, means over the views that have any."""
        mask = kept_pixels(
            old.gaussians, new.gaussians, old.of_gaussians(~kept), new.of_gaussians(~kept), self.cameras, size=SIZE
        )
        seen = mask.flatten(1).any(1)
        if not bool(seen.any()):
            return {"psnr": None, "ssim": None, "lpips": None, "pixels": 0}
        pictures = [
            render(shown.gaussians, self.cameras, size=SIZE)[0].permute(0, 3, 1, 2).clamp(0, 1)[seen]
            for shown in (old, new)
        ]
        mask = mask[seen]
        error = float((pictures[0] - pictures[1]).square().mean(1)[mask].mean())
        psnr = masked_psnr(pictures[1], pictures[0], mask).clamp(max=100)  # equal pictures would make a mean infinite
        hidden = [outside_equal(picture, mask) for picture in pictures]
        return {
            "psnr": float(psnr.mean()), "mse": error, "ssim": float(masked_ssim(pictures[1], pictures[0], mask).mean()),
            "lpips": float(self.lpips(hidden[1], hidden[0]).mean()), "pixels": int(mask.sum()),
        }  # fmt: skip

    def _surfaces(self, old: Shown, new: Shown, before: Grid, after: Grid, region: Grid, mode: str) -> Scores:
        """The mesh's kept part, and its jumps across the border; of "add" across that of all that is new."""
        if old.mesh is None or new.mesh is None:
            return {"chamfer": None, "seam_before": None, "seam_after": None}
        changed = after & ~before if mode == "add" else region
        out: Scores = {"chamfer": kept_chamfer(old.mesh, new.mesh, changed)}
        for when, mesh in (("before", old.mesh), ("after", new.mesh)):
            found = seam.jump(mesh, changed)
            out[f"seam_{when}"] = None if found is None else asdict(found)
        return out


def _identical(old: Shown, new: Shown, kept: Grid) -> float | None:
    """Share of the kept voxels that are there after the edit with the very same latent; None where none is kept."""
    if not bool(kept.any()):
        return None
    rows = {tuple(c): f.tobytes() for c, f in zip(new.coords.tolist(), new.feats.numpy(), strict=True)}
    x, y, z = old.coords.long().T
    held = kept[x, y, z]
    pairs = zip(old.coords[held].tolist(), old.feats[held].numpy(), strict=True)
    return sum(rows.get(tuple(c)) == f.tobytes() for c, f in pairs) / int(held.sum())
