"""Sparse pieces against the published ones: convolutions, resampling, group norm, windows, position embedding."""

import pytest
import torch
from torch import Tensor

from trellis_cli.networks.embeddings import position_embedding
from trellis_cli.networks.heads import gaussian_perturbation
from trellis_cli.networks.norms import HeadRMSNorm, SampleGroupNorm
from trellis_cli.networks.sparse_conv import PointwiseConv, SubmanifoldConv
from trellis_ops.packed_attention import windows
from trellis_ops.submanifold_conv import downsample, neighbour_table, subdivide, submanifold_conv, upsample

PERTURB_VOXEL_SIZE = 1.5  # the same in every set


@pytest.fixture
def sparse(primitives, pack_sparse):
    return pack_sparse(primitives["sp.coords"], primitives["sp.feats"])


def loaded(layer: torch.nn.Module, weight: Tensor, bias: Tensor) -> torch.nn.Module:
    layer.load_state_dict({"conv.weight": weight, "conv.bias": bias})
    return layer


def test_downsample(primitives, sparse, assert_near):
    coords, offsets, feats, _ = downsample(sparse.coords, sparse.offsets, sparse.feats)
    want = primitives["down.coords"]
    assert torch.equal(coords, want[:, 1:])
    assert torch.equal(offsets.diff(), torch.bincount(want[:, 0].long()))
    assert_near(feats, primitives["down.feats"], what="downsample")


def test_upsample_of_twice_the_downsampled(primitives, sparse, assert_near):
    _, _, feats, index = downsample(sparse.coords, sparse.offsets, sparse.feats)
    assert_near(upsample(2 * feats, index), primitives["up_of_2x_down.feats"], what="upsample")


def test_subdivide(primitives, sparse):
    coords, feats = subdivide(sparse.coords, sparse.feats)
    want = primitives["subdivide.coords"]
    assert torch.equal(coords, want[:, 1:])
    assert torch.equal(sparse.sample.repeat_interleave(8), want[:, 0].long())
    assert torch.equal(feats, primitives["subdivide.feats"])


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_submanifold_convolution(backend, primitives, sparse, assert_near):
    weight, bias = primitives["subm3.weight"], primitives["subm3.bias"]
    table = neighbour_table(sparse.coords, sparse.offsets)
    got = submanifold_conv(sparse.feats, weight, bias, table, backend=backend)
    assert_near(got, primitives["subm3.out"], what=f"3^3 convolution, {backend}")


def test_submanifold_convolution_layer(primitives, sparse, assert_near):
    weight, bias = primitives["subm3.weight"], primitives["subm3.bias"]
    layer = loaded(SubmanifoldConv(weight.shape[-1], weight.shape[0]), weight, bias)
    got = layer(sparse.feats, neighbour_table(sparse.coords, sparse.offsets))
    assert_near(got, primitives["subm3.out"], what="3^3 convolution layer")


def test_pointwise_convolution_reads_its_weights_anew(primitives, sparse, assert_near):
    weight, bias = primitives["subm1.weight"], primitives["subm1.bias"]
    layer = loaded(PointwiseConv(weight.shape[-1], weight.shape[0]), weight, bias)
    assert_near(layer(sparse.feats), primitives["subm1.out"], what="1^3 convolution")


def test_group_norm_is_a_samples_own(primitives, sparse, assert_near):
    norm = SampleGroupNorm(1, sparse.feats.shape[1])
    norm.load_state_dict({"weight": primitives["spgn.weight"], "bias": primitives["spgn.bias"]})
    assert_near(norm(sparse.feats, sparse.offsets), primitives["spgn.out"], what="group norm")


@pytest.mark.parametrize("shift", [0, 4])
def test_windows(shift, primitives, sparse):
    """Published ids are numbered by first appearance; what must agree is who shares one."""
    order, starts = windows(sparse.coords, sparse.offsets, window=8, shift=shift)
    group = torch.empty_like(order)
    group[order] = torch.arange(len(starts) - 1).repeat_interleave(starts.diff())
    want = primitives[f"window8_shift{shift}.group_id"]
    assert torch.equal(group[:, None] == group[None], want[:, None] == want[None])


def test_position_embedding(primitives, assert_near):
    widths = [int(key.removeprefix("ape.out")) for key in primitives if key.startswith("ape.out")]
    assert widths
    for channels in widths:
        got = position_embedding(primitives["ape.coords"], channels)
        assert_near(got, primitives[f"ape.out{channels}"], what=f"{channels} channels")


def test_head_rms_norm(primitives, assert_near):
    norm = HeadRMSNorm(*primitives["rms.gamma"].shape)
    norm.load_state_dict({"gamma": primitives["rms.gamma"]})
    got = norm(primitives["rms.in"].flatten(0, 1)).view_as(primitives["rms.in"])
    assert_near(got, primitives["rms.out"], what="RMS norm")


def test_gaussian_perturbation(primitives, assert_near):
    counts = [int(key.removeprefix("gs_perturb")) for key in primitives if key.startswith("gs_perturb")]
    assert counts
    for count in counts:
        got = gaussian_perturbation(count, PERTURB_VOXEL_SIZE)
        assert_near(got, primitives[f"gs_perturb{count}"], what=f"{count} Gaussians")
