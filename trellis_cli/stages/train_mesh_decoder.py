"""Train the mesh decoder on the latents of a frozen encoder, through rendered views (paper, equations 8 to 12)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from trellis_cli.data.batches import check_grid, fitting, tokens
from trellis_cli.data.index import DataFolder, Lottery
from trellis_cli.data.views import Views, decode_views
from trellis_cli.errors import FileError
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.pictures import save_grid, to_uint8
from trellis_cli.metrics.image import ssim
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.networks.heads import CubeFields, MeshDecoder
from trellis_cli.recipes import check_values
from trellis_cli.renderers.mesh import render_differentiable
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.training import mesh_losses
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.micro_batches import Item
from trellis_cli.training.optim import OptimizerRecipe
from trellis_ops.isosurface import Isosurface, isosurface


@dataclass(frozen=True, slots=True)
class MeshLoss:
    """Weights. `signed_distance` is of L_tsdf, the sdf against one fused from the depth views, in squared truncations
    of 3 fine cubes: the paper's 0.01 is 0.01 (3 / 256)^2 here."""

    image: float = 1.0
    regular: float = 1.0
    signed_distance: float = 0.0
    lpips: str = "alex"


@dataclass(frozen=True, slots=True)
class MeshDecoderRecipe:
    stage: str
    decoder: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    num_views: int = 1  # pictures an asset and step
    max_voxels: int = 32768
    loss: MeshLoss = field(default_factory=MeshLoss)
    loop: LoopRecipe = field(default_factory=LoopRecipe)

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        check_values(self, {"num_views": (self.num_views >= 1, "1 or more")})


NUM_SHOWN = 6
NO_SURFACE = 10.0  # in place of the pictures' terms, where there is nothing to draw
MeshBatch = tuple[Packed, list[tuple[Views, list[int]]]]  # latents; of each asset views, and which are to be drawn


class MeshDecoderTask:
    """Latents in, meshes out, compared with depth, normals and colours of random views; /views with both is needed."""

    best_by: tuple[str, int] = ("loss", -1)

    def __init__(self, recipe: MeshDecoderRecipe, data: DataFolder, *, device: str = "cpu") -> None:
        self.recipe, self.data = recipe, data
        decoder = recipe.decoder.build()
        assert isinstance(decoder, MeshDecoder)
        self.fine_resolution = decoder.fine_resolution
        self.module: nn.Module = decoder.compute_in(torso_dtype(recipe.optimizer.precision, device))
        self.train_ids, self.test_ids = (
            fitting(data, "slat", data.ids("slat", "views", split=s), recipe.max_voxels) for s in ("train", "test")
        )
        if not self.train_ids:
            hint = "render with --depth --normal, and encode, the objects of its manifest"
            raise FileError(f"{data.folder} has no asset of the train split with /slat and /views", hint=hint)
        check_grid(data, "slat", decoder.resolution)
        self.lottery = Lottery(self.train_ids)
        self.lpips = load_lpips(recipe.loss.lpips)
        self.size = int(data.attr("views", "size"))

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        return {"slat_decoder_mesh": (self.recipe.decoder, module)}

    def item(self, generator: torch.Generator) -> Item:
        id_ = self.lottery.draw(generator)
        return Item(id_, self.data.length("slat", id_), generator)

    def batch(self, items: Sequence[Item]) -> MeshBatch:
        views = []
        for item in items:
            num = self.data.length("views", item.what)
            picks = torch.randperm(num, generator=item.generator)[: self.recipe.num_views].tolist()
            # The distance is fused from all views; without it those drawn are enough.
            every = bool(self.recipe.loss.signed_distance)
            views.append((self._views(item.what, None if every else picks), picks if every else [*range(len(picks))]))
        return tokens(self.data, "slat", [item.what for item in items]), views

    def _save_sheet(self, module: nn.Module, path: Path) -> None:
        device = next(module.parameters()).device
        columns = []
        for id_ in (self.test_ids or self.train_ids)[:NUM_SHOWN]:
            fields: CubeFields = module(tokens(self.data, "slat", [id_]).to(device))[0]
            surface = isosurface(
                fields.coords, fields.sdf, fields.deform, fields.weights, fields.attributes,
                resolution=self.fine_resolution,
            )  # fmt: skip
            views = self._views(id_, [0])
            assert views.normal is not None
            mask = views.alpha[0, 0, :, :, None]
            truth = views.rgb[0].permute(1, 2, 0) * mask, (views.normal[0] + 1) / 2 * mask
            made = truth[0] * 0, truth[0] * 0
            if len(surface.faces):
                camera = views.cameras.to(device)
                drawn = render_differentiable(
                    surface.vertices, surface.faces, surface.attributes, camera.extrinsics[0], camera.intrinsics[0],
                    self.size,
                )  # fmt: skip
                made = drawn.attributes[..., :3], (drawn.normals + 1) / 2 * drawn.seen[..., None]
            columns.append([to_uint8(picture) for picture in (*truth, *made)])
        rows = [picture for row in zip(*columns, strict=True) for picture in row]
        save_grid(path, rows, columns=len(columns))

    def _views(self, id_: str, picks: list[int] | None) -> Views:
        views = decode_views(self.data.views(id_, picks))
        if views.depth is None or views.normal is None:
            hint = "render it with --depth --normal"
            raise FileError(f"asset {id_[:12]} has views without depth or normals", hint=hint)
        return views

    def weight(self, items: Sequence[Item]) -> int:
        return len(items)

    def loss(self, module: nn.Module, batch: MeshBatch) -> dict[str, Tensor]:
        latents, views = batch
        device = next(module.parameters()).device
        all_terms = [
            self._asset_loss(fields, v.to(device), picks)
            for fields, (v, picks) in zip(module(latents.to(device)), views, strict=True)
        ]
        return {k: torch.stack([terms[k] for terms in all_terms]).mean() for k in all_terms[0]}

    def _asset_loss(self, fields: CubeFields, views: Views, picks: list[int]) -> dict[str, Tensor]:
        weights = self.recipe.loss
        surface = isosurface(
            fields.coords, fields.sdf, fields.deform, fields.weights, fields.attributes,
            resolution=self.fine_resolution, training=True,
        )  # fmt: skip
        assert surface.deviation is not None and surface.consistency is not None
        regular = mesh_losses.regularisation(
            deviation=surface.deviation, consistency=surface.consistency, weights=fields.weights
        )
        total = weights.regular * regular["regularisation"]
        terms = {"regular": regular["regularisation"].detach()}
        if len(surface.faces):
            image = self._image_loss(surface, views, picks)
            total, terms["image"] = total + weights.image * image, image.detach()
        else:  # worse than any mesh: an evaluation must not take it for the best
            total, terms["image"] = total + weights.image * NO_SURFACE, total.new_full((), NO_SURFACE)
        if weights.signed_distance:
            distance = self._distance_loss(surface, views)
            total, terms["distance"] = total + weights.signed_distance * distance, distance.detach()
        return {"loss": total} | terms

    def _image_loss(self, surface: Isosurface, views: Views, picks: list[int]) -> Tensor:
        """L_geo + 0.1 L_color over the drawn views."""
        assert views.depth is not None and views.normal is not None
        cameras, lpips = views.cameras, self.lpips.to(surface.vertices.device)
        drawn = [
            render_differentiable(
                surface.vertices,
                surface.faces,
                surface.attributes,
                cameras.extrinsics[i],
                cameras.intrinsics[i],
                self.size,
            )
            for i in picks
        ]
        attributes = torch.stack([d.attributes for d in drawn]).permute(0, 3, 1, 2)
        got = mesh_losses.MeshViews(
            mask=torch.stack([d.mask for d in drawn]),
            depth=torch.stack([d.depth for d in drawn]),
            normals=torch.stack([d.normals for d in drawn]).permute(0, 3, 1, 2),
            colours=attributes[:, :3],
            predicted_normals=attributes[:, 3:6] * 2 - 1,
        )
        normals = views.normal[picks].permute(0, 3, 1, 2)
        mask = views.alpha[picks, 0]
        want = mesh_losses.MeshViews(mask, views.depth[picks], normals, views.rgb[picks] * mask[:, None], normals)
        geometry = mesh_losses.geometry(got, want, resolution=self.fine_resolution, ssim=ssim, lpips=lpips)
        colour = mesh_losses.colour(got, want, ssim=ssim, lpips=lpips)
        return geometry["geometry"] + mesh_losses.COLOUR_WEIGHT * colour["appearance"]

    def _distance_loss(self, surface: Isosurface, views: Views) -> Tensor:
        """The grid's sdf against the distance fused from all depth views, in squared truncations."""
        assert views.depth is not None and surface.grid_positions is not None and surface.grid_sdf is not None
        truncation = mesh_losses.TRUNCATION / self.fine_resolution
        target, valid = mesh_losses.tsdf_from_depth(
            surface.grid_positions.detach(), views.depth, views.alpha[:, 0], views.cameras.extrinsics,
            views.cameras.intrinsics, truncation,
        )  # fmt: skip
        error = mesh_losses.signed_distance(surface.grid_sdf, target, valid, truncation=truncation)
        return error / truncation**2

    @torch.no_grad()
    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """The loss at fixed views of up to eight assets of each split; a sheet of a few held-out assets from one view,
        the true colours and normals above those of the mesh."""
        scores = {}
        self._save_sheet(module, folder / f"{step:06d}.png")
        for name, ids in (("train", self.train_ids), ("test", self.test_ids)):
            losses = []
            for id_ in ids[:: max(1, len(ids) // 8)][:8]:
                batch = tokens(self.data, "slat", [id_]), [(self._views(id_, None), [0])]
                losses.append(float(self.loss(module, batch)["loss"]))
            if losses:
                scores[f"loss_{name}"] = sum(losses) / len(losses)
        return scores
