"""The SLAT VAE's task before its first step."""

from pathlib import Path

import pytest
import torch

from trellis_cli.data.index import DataFolder
from trellis_cli.geometry.packed import pack
from trellis_cli.networks.slat_vae import SlatEncoder
from trellis_cli.stages import train_slat_vae
from trellis_cli.stages.train_slat_vae import SlatVaeRecipe, SlatVaeTask
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.training.optim import OptimizerRecipe

TRUNK = {"resolution": 8, "model_channels": 16, "latent_channels": 3, "num_blocks": 1, "num_heads": 1, "window_size": 4}
GAUSSIANS = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True,
    "voxel_size": 1.5,
    "num_gaussians": 2,
    "2d_filter_kernel_size": 0.1,
    "3d_filter_kernel_size": 9e-4,
    "scaling_bias": 4e-3,
    "opacity_bias": 0.1,
    "scaling_activation": "softplus",
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """One asset of four voxels in the train split."""
    monkeypatch.setattr(DataFolder, "ids", lambda self, *groups, split: ["a"] if split == "train" else [])
    monkeypatch.setattr(DataFolder, "length", lambda self, group, id_: 4)
    monkeypatch.setattr(DataFolder, "attr", lambda self, group, name: TRUNK["resolution"])
    return DataFolder(tmp_path)


def test_the_posterior_begins_with_the_log_variance_asked_for(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_slat_vae, "load_lpips", lambda source: None)
    recipe = SlatVaeRecipe(
        stage="slat-vae",
        encoder=NetworkRecipe("SLatEncoder", TRUNK | {"in_channels": 5}),
        decoder=NetworkRecipe("SLatGaussianDecoder", TRUNK | {"representation_config": GAUSSIANS}),
        optimizer=OptimizerRecipe(learning_rate=1e-4, batch=1, steps=1),
        initial_logvar=-6.0,
    )
    task = SlatVaeTask(recipe, data)
    _, encoder = task.networks(task.module)["slat_encoder"]
    assert isinstance(encoder, SlatEncoder)
    assert encoder.out_layer.bias.tolist() == [0.0] * 3 + [-6.0] * 3
    coords = torch.tensor([[0, 0, 0], [1, 2, 3]], dtype=torch.int32)
    mean, logvar = encoder(pack([(coords, torch.ones(2, 5))]))
    assert (mean == 0).all() and (logvar == -6).all()
