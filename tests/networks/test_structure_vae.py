"""The structure VAE: shapes, gradients, half precision, and independence of a batch's samples."""

import pytest
import torch

from trellis_cli.networks.structure_vae import StructureDecoder, StructureEncoder, pixel_shuffle_3d


def encoder(**more) -> StructureEncoder:
    return StructureEncoder(1, 4, 1, [8, 16], num_res_blocks_middle=1, **more)


def decoder(**more) -> StructureDecoder:
    return StructureDecoder(1, 4, 1, [16, 8], num_res_blocks_middle=1, **more)


def stirred(network, rng):
    """The network with no weight at zero, so that every path shows."""
    for parameter in network.parameters():
        parameter.data.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return network


@pytest.fixture
def grid(rng) -> torch.Tensor:
    return (torch.rand(2, 1, 8, 8, 8, generator=rng) < 0.1).float()


def test_shapes(grid):
    mean, logvar = encoder()(grid)
    assert mean.shape == logvar.shape == (2, 4, 4, 4, 4)
    assert decoder()(mean).shape == grid.shape
    assert encoder().factor == decoder().factor == 2


def test_gradients_reach_every_parameter(grid, rng):
    first, second = stirred(encoder(), rng), stirred(decoder(), rng)
    mean, logvar = first(grid)
    logits = second(mean + (0.5 * logvar).exp())
    (logits * torch.randn(logits.shape, generator=rng)).sum().backward()
    for network in (first, second):
        silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent


@torch.no_grad()
def test_a_batch_equals_its_samples_one_at_a_time(grid, rng):
    network = stirred(encoder(), rng)
    mean, _ = network(grid)
    for i in range(2):
        torch.testing.assert_close(mean[i : i + 1], network(grid[i : i + 1])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm_type", ["layer", "group"])
@torch.no_grad()
def test_bfloat16_torso_stays_near_float32(norm_type, rng):
    network = stirred(StructureDecoder(1, 4, 1, [32, 32], norm_type=norm_type), rng)
    latent = torch.randn(1, 4, 4, 4, 4, generator=rng)
    want = network(latent)
    master = network.compute_in("bfloat16")(latent)
    cast = network.keep_torso_in("bfloat16")(latent)
    assert network.blocks[0].conv1.weight.dtype == torch.bfloat16
    assert network.blocks[0].norm1.weight.dtype == network.out_layer[2].weight.dtype == torch.float32
    assert torch.equal(master, cast)
    assert 0 < (master - want).square().mean().sqrt() < 0.05 * want.square().mean().sqrt()


def test_pixel_shuffle_by_hand():
    """Eight channels of one voxel become a 2^3 block, dz fastest."""
    got = pixel_shuffle_3d(torch.arange(8.0).view(1, 8, 1, 1, 1), 2)
    assert torch.equal(got, torch.arange(8.0).view(1, 1, 2, 2, 2))
