"""Each term of the losses against values by hand or by another implementation, and each task's sum of its terms."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from tests.tiny_world import RECIPES, World
from trellis_cli import recipes
from trellis_cli.data.index import DataFolder
from trellis_cli.metrics.image import ssim
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.renderers.gaussians import render
from trellis_cli.renderers.radiance_field import render as render_field
from trellis_cli.stages.train_mesh_decoder import NO_SURFACE
from trellis_cli.stages.training_plan import recipe_class
from trellis_cli.training import losses, mesh_losses
from trellis_cli.training.micro_batches import Item, item_generator


def test_dice_by_hand() -> None:
    """Four cells: probabilities 1/2, 3/4, 1/4, 1/2 against 1, 1, 0, 0."""
    logits = torch.tensor([0.0, math.log(3), -math.log(3), 0.0])
    target = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert float(losses.dice(logits, target)) == pytest.approx(1 - (2 * 1.25 + 1) / (2 + 2 + 1))
    perfect = torch.tensor([99.0, 99.0, -99.0, -99.0])
    assert float(losses.dice(perfect, target)) == pytest.approx(0)
    assert float(losses.dice(-perfect, target)) == pytest.approx(1 - 1 / 5)


def test_kl_is_torchs_own() -> None:
    mean, logvar = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    want = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    assert float(losses.kl(mean, logvar)) == pytest.approx(float(want.mean()), rel=1e-5)
    lengths = torch.tensor([10, 40])
    assets = (want[:10].mean() + want[10:].mean()) / 2
    assert float(losses.kl_of_assets(mean, logvar, lengths)) == pytest.approx(float(assets), rel=1e-5)
    assert float(losses.kl(torch.zeros(4), torch.zeros(4))) == 0


def test_the_posterior_has_its_mean_and_deviation() -> None:
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    drawn = losses.sample_posterior(torch.full_like(noise, 3.0), torch.full_like(noise, math.log(4.0)), noise)
    assert float(drawn.mean()) == pytest.approx(3, abs=0.02) and float(drawn.std()) == pytest.approx(2, abs=0.02)


def test_reconstruction_by_hand() -> None:
    """L1 of 0.25; what stands in for SSIM says 0.7, for LPIPS 0.3 and 0.5 of two views."""
    got, want = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)
    seen: list[tuple[Tensor, Tensor]] = []

    def alike(a: Tensor, b: Tensor) -> Tensor:
        seen.append((a, b))
        return torch.tensor(0.7)

    terms = losses.reconstruction(got, want, ssim=alike, lpips=lambda a, b: torch.tensor([0.3, 0.5]))
    assert float(terms["image"]) == pytest.approx(0.25 + 0.2 * 0.3 + 0.2 * 0.4)
    assert torch.equal(seen[0][0], got) and torch.equal(seen[0][1], want)
    without = losses.reconstruction(got, want, ssim=alike, lpips=None)
    assert float(without["image"]) == pytest.approx(0.25 + 0.2 * 0.3)


def test_volume_and_transparency_by_hand() -> None:
    scales = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.5, 2.0]])
    assert float(losses.volume(scales)) == pytest.approx((6 + 0.5) / 2)
    assert float(losses.transparency(torch.tensor([1.0, 0.5, 0.0]))) == pytest.approx((0 + 0.25 + 1) / 3)


def task_of(world: World, name: str, *more: str) -> Any:
    from trellis_cli.stages.train_mesh_decoder import MeshDecoderTask
    from trellis_cli.stages.train_rf_decoder import RfDecoderTask
    from trellis_cli.stages.train_slat_vae import SlatVaeTask
    from trellis_cli.stages.train_structure_vae import StructureVaeTask

    tasks = {"structure-vae": StructureVaeTask, "slat-vae": SlatVaeTask, "rf-decoder": RfDecoderTask,
             "mesh-decoder": MeshDecoderTask}  # fmt: skip
    changes = (*RECIPES[name], "optimizer.precision='float32'", *more)
    torch.manual_seed(0)
    return tasks[name](recipes.load(recipe_class(name), f"mini-cpu/{name}", changes), DataFolder(world.data))


def items_of(task: Any, num: int) -> list[Item]:
    return [task.item(item_generator(3, 0, k)) for k in range(num)]


def test_the_structure_vaes_sum(world: World) -> None:
    task = task_of(world, "structure-vae", "loss.bce=0.7", "loss.kl=0.3", "loss.dice=2.0")
    grid, noise = task.batch(items_of(task, 3))
    got = task.loss(task.module, (grid, noise))
    mean, logvar = task.module.encoder(grid)
    logits = task.module.decoder(mean + (logvar / 2).exp() * noise)
    p = logits.sigmoid()
    dice = 1 - (2 * (p * grid).sum() + 1) / (p.sum() + grid.sum() + 1)
    bce = -(grid * p.log() + (1 - grid) * (1 - p).log()).mean()
    kl = (0.5 * (mean**2 + logvar.exp() - logvar - 1)).mean()
    assert float(got["loss"].detach()) == pytest.approx(float((2 * dice + 0.7 * bce + 0.3 * kl).detach()), rel=1e-4)


def test_the_slat_vaes_sum(world: World) -> None:
    """Pictures on their own grounds, both regularisers and the divergence, with the weights of the recipe."""
    task = task_of(world, "slat-vae", "loss.kl=0.5", "loss.volume=2e4", "loss.transparency=0.25")
    batch = task.batch(items_of(task, 2))
    got = task.loss(task.module, batch)
    mean, logvar = task.module.encoder(batch.features)
    latents = batch.features.with_feats(mean + (logvar / 2).exp() * batch.noise)
    gaussians = task.module.decoder(latents)
    pictures, truths = [], []
    for g, seen in zip(gaussians, batch.views, strict=True):
        v = seen.views
        pictures.append(render(g, v.cameras, size=task.size, background=seen.background)[0].permute(0, 3, 1, 2))
        truths.append(v.rgb * v.alpha + (1 - v.alpha) * seen.background[:, None, None])
    a, b = torch.cat(pictures), torch.cat(truths)
    image = (a - b).abs().mean() + 0.2 * (1 - ssim(a, b)) + 0.2 * load_lpips("alex")(a, b).mean()
    volume = sum(g.scales.prod(1).mean() for g in gaussians) / 2
    transparency = sum(((1 - g.opacities) ** 2).mean() for g in gaussians) / 2
    parts = zip(mean.split(batch.features.lengths.tolist()), logvar.split(batch.features.lengths.tolist()), strict=True)
    kl = sum((0.5 * (m**2 + v.exp() - v - 1)).mean() for m, v in parts) / 2
    want = image + 0.5 * kl + 2e4 * volume + 0.25 * transparency
    assert float(got["loss"].detach()) == pytest.approx(float(want.detach()), rel=1e-4)
    assert len({tuple(seen.background.tolist()) for seen in batch.views}) <= 2


def test_the_radiance_fields_sum(world: World) -> None:
    task = task_of(world, "rf-decoder")
    batch = task.batch(items_of(task, 2))
    got = task.loss(task.module, batch)
    pictures, truths = [], []
    for field, seen, jitter in zip(task.module(batch.latents), batch.views, batch.jitter, strict=True):
        v = seen.views
        drawn = render_field(field, v.cameras, size=task.size, background=seen.background, jitter=jitter)[0]
        pictures.append(drawn.permute(0, 3, 1, 2))
        truths.append(v.on(seen.background))
    a, b = torch.cat(pictures), torch.cat(truths)
    image = (a - b).abs().mean() + 0.2 * (1 - ssim(a, b)) + 0.2 * load_lpips("alex")(a, b).mean()
    assert float(got["loss"].detach()) == pytest.approx(float(image.detach()), rel=1e-4)


def test_the_mesh_decoders_sum(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """L_geo + 0.1 L_color, and regularisation, each with its weight; the parts are those of test_mesh_losses.py."""
    told: dict[str, Tensor] = {}

    def noted(name: str, key: str) -> Any:
        original = getattr(mesh_losses, name)

        def call(*args: Any, **options: Any) -> Any:
            out = original(*args, **options)
            told[name] = out[key] if key else out
            return out

        return call

    for name, key in (("geometry", "geometry"), ("colour", "appearance"), ("regularisation", "regularisation")):
        monkeypatch.setattr(mesh_losses, name, noted(name, key))
    monkeypatch.setattr(mesh_losses, "signed_distance", noted("signed_distance", ""))
    task = task_of(world, "mesh-decoder", "loss.image=3.0", "loss.regular=0.5", "loss.signed_distance=0.25")
    got = task.loss(task.module, task.batch(items_of(task, 1)))
    truncation = mesh_losses.TRUNCATION / task.fine_resolution
    image = told["geometry"] + 0.1 * told["colour"] if "geometry" in told else torch.tensor(NO_SURFACE)
    want = 3 * image + 0.5 * told["regularisation"] + 0.25 * told["signed_distance"] / truncation**2
    assert float(got["loss"].detach()) == pytest.approx(float(want.detach()), rel=1e-5)


def test_no_surface_is_worse_than_any(world: World) -> None:
    """A decoder that makes nothing must not pass for the best there is."""
    task = task_of(world, "mesh-decoder", "loss.signed_distance=0.01")
    batch = task.batch(items_of(task, 1))
    drawn = float(task.loss(task.module, batch)["loss"].detach())
    with torch.no_grad():
        task.module.out_layer.weight.zero_()
        task.module.out_layer.bias.fill_(1.0)  # every corner is outside
    empty = task.loss(task.module, batch)
    assert float(empty["image"]) == NO_SURFACE and float(empty["loss"].detach()) > drawn


def test_a_step_reads_the_views_it_draws_alone(world: World) -> None:
    """Of all views: the same pictures and cameras as from the whole asset, and no depth where none is asked for."""
    data = DataFolder(world.data)
    id_ = data.ids("views")[0]
    whole, some = data.asset("views", id_), data.views(id_, [2, 0], surfaces=False)
    assert "depth" in whole and "depth" not in some and int(some["lengths"]) == 2
    for row, original in enumerate((2, 0)):
        (a, b), (c, d) = some["image_offsets"][row : row + 2], whole["image_offsets"][original : original + 2]
        assert (some["images"][a:b] == whole["images"][c:d]).all()
        assert (some["extrinsics"][row] == whole["extrinsics"][original]).all()
    assert set(data.views(id_)) >= {"depth", "normal"}
