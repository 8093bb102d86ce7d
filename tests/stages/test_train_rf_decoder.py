"""The radiance field decoder's task: its first fields, that it learns a picture, and what a step draws."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trellis_cli.data.index import DataFolder
from trellis_cli.data.views import encode_png
from trellis_cli.errors import FileError
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.stage_files import Provenance, with_ids, write_stage
from trellis_cli.stages import train_rf_decoder
from trellis_cli.stages.train_rf_decoder import RfDecoderRecipe, RfDecoderTask
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.training.optim import OptimizerRecipe

SIZE = 12
NETWORK = {
    "resolution": 4, "model_channels": 16, "latent_channels": 3, "num_blocks": 1, "num_heads": 1, "window_size": 4,
    "representation_config": {"rank": 3, "dim": 2},
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """One asset of eight voxels in the middle, seen from two sides as a yellow square; no LPIPS, which wants 32 px."""
    monkeypatch.setattr(train_rf_decoder, "load_lpips", lambda source: _NoDistance())
    coords = np.array([[x, y, z] for x in (1, 2) for y in (1, 2) for z in (1, 2)], np.int16)
    feats = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    slat = with_ids("a" * 64, lengths=8, coords=coords, feats=feats)
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[4:8, 4:8] = (255, 230, 0, 255)
    pngs = [encode_png(picture)] * 4
    cameras = orbit([0.0, 1.57, 3.14, 4.71], [0.0] * 4)
    views = with_ids(
        "a" * 64, lengths=4, image_bytes=sum(map(len, pngs)), images=np.frombuffer(b"".join(pngs), np.uint8),
        image_offsets=np.cumsum([0, *map(len, pngs)]), extrinsics=cameras.extrinsics.numpy(),
        intrinsics=cameras.intrinsics.numpy(),
    )  # fmt: skip
    (tmp_path / "data").mkdir()
    write_stage(tmp_path / "data" / "latents.h5", {"slat": ([slat], {"resolution": 4})}, Provenance("encode", {}))
    attrs = {"size": SIZE, "lighting": "{}"}
    write_stage(tmp_path / "data" / "views.h5", {"views": ([views], attrs)}, Provenance("render", {}))
    (tmp_path / "data" / "manifest.jsonl").write_text('{"id": "%s", "split": "train"}\n' % ("a" * 64))
    return DataFolder(tmp_path / "data")


class _NoDistance(torch.nn.Module):
    def forward(self, got: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
        return got.new_zeros(len(got))


def task(data: DataFolder, **more) -> RfDecoderTask:
    torch.manual_seed(0)
    recipe = RfDecoderRecipe(
        stage="rf-decoder",
        decoder=NetworkRecipe("SLatRadianceFieldDecoder", NETWORK),
        optimizer=OptimizerRecipe(learning_rate=1e-3, batch=1, steps=1, precision="float32"),
        **more,
    )
    return RfDecoderTask(recipe, data)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_learns_the_picture(data: DataFolder, tmp_path: Path) -> None:
    learner = task(data, initial_density=5.0)
    optimizer = torch.optim.Adam(learner.module.parameters(), lr=0.01)
    before = learner.evaluate(learner.module, tmp_path / "samples", 0)
    for step in range(30):
        loss = learner.loss(learner.module, learner.batch([learner.item(generator(step))]))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = learner.evaluate(learner.module, tmp_path / "samples", 30)
    assert set(after) == {"psnr_train", "lpips_train"}  # of the splits, that which has assets
    assert after["psnr_train"] > before["psnr_train"] + 5
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == ["train_000000.png", "train_000030.png"]
    assert all(p.grad.abs().max() > 0 for p in learner.module.parameters())
    assert list(learner.networks(learner.module)) == ["slat_decoder_rf"]


def test_a_step_draws_views_ground_and_jitter_from_its_generator(data: DataFolder, monkeypatch) -> None:
    drawn = []

    def noted(field, cameras, *, size, background, jitter):
        drawn.append((cameras.extrinsics, background, jitter))
        return torch.zeros(len(cameras), size, size, 3), torch.zeros(len(cameras), size, size)

    monkeypatch.setattr(train_rf_decoder, "render", noted)
    learner = task(data, num_views=2)
    for seed in (*range(12), 0):
        learner.loss(learner.module, learner.batch([learner.item(generator(seed))]))
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[-1], strict=True))
    grounds = {tuple(ground.tolist()) for _, ground, _ in drawn}
    assert grounds == {(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)}
    jitter = torch.stack([j for *_, j in drawn[:-1]])
    assert jitter.shape == (12, 2, SIZE, SIZE) and 0 <= float(jitter.min()) < 0.01 < 0.99 < float(jitter.max()) < 1
    assert len(jitter.unique()) > 0.99 * jitter.numel()
    assert len({tuple(e[:, 0, 0].tolist()) for e, *_ in drawn}) > 2


def test_voxels_begin_at_the_density_asked_for(data: DataFolder) -> None:
    learner = task(data, initial_density=6.0)
    field = learner.module(learner.batch([learner.item(generator(0))]).latents)[0]
    torch.testing.assert_close(field.density.sum(1), torch.full((8,), 6.0))


def test_assets_that_are_too_large_are_left_out(data: DataFolder) -> None:
    with pytest.raises(FileError, match="no asset of the train split with /slat and /views"):
        task(data, max_voxels=7)
