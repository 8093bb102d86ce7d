"""The published SLAT encoder and its three decoders, number for number."""

import math

import pytest
import torch

from trellis_cli.networks.heads import GaussianDecoder, MeshDecoder
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.networks.slat_vae import SlatEncoder

MESH_FEATS = 2e-5  # largest absolute difference, as data/README.md gives it


def build(network: type[torch.nn.Module], case) -> torch.nn.Module:
    built = network(**case.args)
    built.load_state_dict(case.weights, strict=True)
    return built.eval().requires_grad_(False)


def test_encoder(load_case, assert_near):
    case = load_case("slat_encoder")
    mean, logvar = build(SlatEncoder, case)(case.packed())
    assert torch.equal(case.inputs["coords"], case.outputs["coords"])
    assert_near(mean, case.outputs["mean"], what="mean")
    assert_near(logvar, case.outputs["logvar"], what="logvar")


def test_gaussian_decoder(load_case, assert_near):
    case = load_case("slat_decoder_gs")
    decoder, x = build(GaussianDecoder, case), case.packed()
    assert_near(decoder.raw(x), case.outputs["raw_feats"], what="raw_feats")
    for b, gaussians in enumerate(decoder(x)):
        for field, got in {
            "xyz": gaussians.means,
            "features": gaussians.sh,
            "scaling": gaussians.scales,
            "rotation": gaussians.quats,
            "opacity": gaussians.opacities[:, None],
        }.items():
            assert_near(got, case.outputs[f"{b}.{field}"], what=f"{b}.{field}")
    assert f"{len(x)}.xyz" not in case.outputs


def test_radiance_field_decoder(load_case, assert_near):
    case = load_case("slat_decoder_rf")
    decoder, x = build(RadianceFieldDecoder, case), case.packed()
    assert torch.equal(case.inputs["coords"], case.outputs["coords"])  # rows keep their order
    assert_near(decoder.raw(x), case.outputs["raw_feats"], what="raw_feats")
    for b, field in enumerate(decoder(x)):
        for name, got in {
            "position": (field.coords + 0.5) / field.resolution,
            "trivec": field.factors,
            "density": field.density,
            "features_dc": field.colours[:, :, None],
        }.items():
            assert_near(got, case.outputs[f"{b}.{name}"], what=f"{b}.{name}")
        assert case.outputs[f"{b}.depth"].unique().tolist() == [math.log2(field.resolution)]
    assert f"{len(x)}.position" not in case.outputs


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_mesh_decoder(backend, load_case, assert_near):
    from trellis_ops._dispatch import forced

    case = load_case("slat_decoder_mesh")
    decoder, x = build(MeshDecoder, case), case.packed()
    with forced({"packed_attention": backend}):
        fine = decoder.raw(x)
    want = case.outputs["coords"]
    assert torch.equal(fine.coords, want[:, 1:])
    assert torch.equal(fine.sample, want[:, 0].long())
    assert_near(fine.feats, case.outputs["raw_feats"], what="raw_feats", tolerance=MESH_FEATS)
