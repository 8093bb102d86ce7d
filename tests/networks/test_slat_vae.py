"""Encoder, trunk and heads beyond the reference numbers: gradients, checkpointing, bfloat16, small widths."""

import pytest
import torch
from torch import Tensor, nn

from trellis_cli.geometry.packed import Packed
from trellis_cli.networks.heads import GaussianDecoder, MeshDecoder, radical_inverse
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.networks.slat_vae import SlatEncoder
from trellis_ops.isosurface import isosurface

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
TRUNK = {"resolution": 8, "model_channels": 32, "latent_channels": 3, "num_blocks": 2, "num_heads": 2, "window_size": 4}


def tokens(channels: int, rng: torch.Generator, lengths: tuple[int, ...] = (20, 7)) -> Packed:
    coords = torch.cat([torch.randperm(512, generator=rng)[:n] for n in lengths])
    xyz = torch.stack([coords // 64, coords // 8 % 8, coords % 8], dim=1)
    feats = torch.randn(len(xyz), channels, generator=rng)
    return Packed(feats, xyz, torch.tensor([0, *lengths]).cumsum(0))


def encoder(**changes: object) -> SlatEncoder:
    return built(SlatEncoder, in_channels=5, **(TRUNK | changes))


def gaussian_decoder(**changes: object) -> GaussianDecoder:
    return built(GaussianDecoder, representation_config=GAUSSIANS, **(TRUNK | changes))


def field_decoder(**changes: object) -> RadianceFieldDecoder:
    return built(RadianceFieldDecoder, representation_config={"rank": 3, "dim": 4}, **(TRUNK | changes))


def mesh_decoder(**changes: object) -> MeshDecoder:
    return built(MeshDecoder, representation_config={"use_color": True}, num_norm_groups=4, **(TRUNK | changes))


def built(network: type[nn.Module], **arguments: object) -> nn.Module:
    """Always of the same weights, each a little off its first value: layers that start at zero take part."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = network(**arguments)
        for p in made.parameters():
            p += 0.05 * torch.randn(p.shape)
    return made


NETWORKS = [
    pytest.param(encoder, 5, lambda net, x: torch.cat(net(x), dim=1), id="encoder"),
    pytest.param(gaussian_decoder, 3, lambda net, x: net.raw(x), id="gaussians"),
    pytest.param(field_decoder, 3, lambda net, x: net.raw(x), id="radiance field"),
    pytest.param(mesh_decoder, 3, lambda net, x: net.raw(x).feats, id="mesh"),
]


def gradients(network: nn.Module, out: Tensor) -> dict[str, Tensor]:
    pattern = torch.linspace(-1, 1, out.numel()).view_as(out)
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad((out * pattern).sum(), parameters), strict=True))


@pytest.mark.parametrize(("build", "channels", "call"), NETWORKS)
def test_every_parameter_learns_with_and_without_checkpointing(build, channels, call, rng):
    x = tokens(channels, rng)
    plain, checkpointed = build(), build(use_checkpoint=True)
    want, got = (gradients(net, call(net, x)) for net in (plain, checkpointed))
    for name in want:
        assert want[name].abs().max() > 0, name
        torch.testing.assert_close(got[name], want[name], msg=name)


@pytest.mark.parametrize(("build", "channels", "call"), NETWORKS)
def test_samples_do_not_see_each_other(build, channels, call, rng):
    x, network = tokens(channels, rng), build()
    together = call(network, x)
    apart = torch.cat([call(network, x[i]) for i in range(len(x))])
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize(("build", "channels", "call"), NETWORKS)
def test_bfloat16_torso_stays_close(build, channels, call, rng):
    """Trained so, with float32 weights; and kept so for sampling, to the same numbers."""
    x, network = tokens(channels, rng), build()
    want = call(network, x).detach()
    out = call(network.compute_in("bfloat16"), x)
    assert out.dtype == torch.float32
    assert all(torch.isfinite(g).all() and g.dtype == torch.float32 for g in gradients(network, out).values())
    # worst seen of four seeds: 0.008
    assert (out.detach() - want).square().mean().sqrt() < 0.02 * want.square().mean().sqrt()
    kept = call(network.keep_torso_in("bfloat16"), x)
    assert torch.equal(kept, out)
    assert network.blocks[0].mlp.mlp[0].weight.dtype == torch.bfloat16
    assert network.input_layer.weight.dtype == torch.float32


def test_half_stored_parameters_are_the_torsos_matrices():
    network = mesh_decoder()
    half = {name for name, _ in network.named_parameters() if network.is_half(name)}
    assert "upsample.0.out_layers.0.conv.weight" in half and "blocks.0.attn.to_qkv.bias" in half
    assert not {"upsample.0.act_layers.0.weight", "upsample.0.out_layers.1.bias", "out_layer.weight"} & half


def test_full_attention_and_fixed_windows(rng):
    """One window that spans the grid is full attention; fixed windows differ from shifted ones."""
    x = tokens(5, rng)
    full = encoder(attn_mode="full")(x)[0]
    torch.testing.assert_close(encoder(attn_mode="windowed", window_size=8)(x)[0], full)
    fixed, shifted = encoder(attn_mode="windowed")(x)[0], encoder(attn_mode="swin")(x)[0]
    assert (fixed - shifted).abs().max() > 1e-3


def test_gaussians_stay_by_their_voxels(rng):
    x, decoder = tokens(3, rng), gaussian_decoder()
    gaussians = decoder(x)
    assert [len(g) for g in gaussians] == [40, 14]
    centre = ((x.coords[20:] + 0.5) / 8 - 0.5).repeat_interleave(2, dim=0)
    assert (gaussians[1].means - centre).abs().max() <= 0.5 * 1.5 / 8
    torch.testing.assert_close(gaussians[1].quats.norm(dim=1), torch.ones(14))
    assert gaussians[1].scales.min() >= 9e-4


def test_a_new_gaussian_decoder_starts_from_its_biases(rng):
    """The output layer starts at zero: what is left are the biases, worked out by hand."""
    decoder = GaussianDecoder(representation_config=GAUSSIANS, **TRUNK)
    first = decoder(tokens(3, rng))[0]
    torch.testing.assert_close(first.opacities, torch.full((40,), 0.1))
    torch.testing.assert_close(first.scales, torch.full((40, 3), (4e-3**2 + 9e-4**2) ** 0.5))
    torch.testing.assert_close(first.quats, torch.tensor([1.0, 0, 0, 0]).expand(40, 4))
    exponential = GaussianDecoder(representation_config=GAUSSIANS | {"scaling_activation": "exp"}, **TRUNK)
    torch.testing.assert_close(exponential(tokens(3, rng))[0].scales, first.scales)


def test_radiance_fields_are_split_as_published(rng):
    """Factors rank by rank and axis by axis as differences from 1, then densities, then colours."""
    x, decoder = tokens(3, rng), field_decoder()
    raw, fields = decoder.raw(x)[20:], decoder(x)
    assert [len(f.coords) for f in fields] == [20, 7] and fields[1].resolution == 8
    assert torch.equal(fields[1].coords, x.coords[20:])
    assert torch.equal(fields[1].factors[:, 2, 1, 3], 1 + raw[:, 2 * 12 + 1 * 4 + 3])
    assert torch.equal(fields[1].density[:, 2], raw[:, 36 + 2])
    assert torch.equal(fields[1].colours[:, 1, 2], raw[:, 39 + 1 * 3 + 2])


def test_a_new_field_decoder_starts_at_one_density_with_terms_that_differ(rng):
    decoder = RadianceFieldDecoder(representation_config={"rank": 8, "dim": 4}, **TRUNK)
    assert decoder(tokens(3, rng))[0].density.abs().max() == 0
    decoder.start_at_density(4.0)
    field = decoder(tokens(3, rng))[0]
    torch.testing.assert_close(field.density.sum(1), torch.full((20,), 4.0))
    assert field.colours.abs().max() == 0
    assert torch.equal(field.factors[0], field.factors[-1])
    differences = torch.pdist(field.factors[0].flatten(1))
    assert differences.min() > 0.1


def test_radical_inverse_by_hand():
    assert [radical_inverse(j, 2) for j in (0, 1, 2, 3, 6)] == [0.0, 0.5, 0.25, 0.75, 0.375]
    assert radical_inverse(5, 3) == pytest.approx(2 / 3 + 1 / 9)


def test_mesh_fields_reach_a_surface(rng):
    """The decoder's fields go into `isosurface` as they are, and its gradients come back."""
    x, decoder = tokens(3, rng), mesh_decoder()
    fields = decoder(x)[0]
    assert fields.coords.shape == (64 * 20, 3) and int(fields.coords.max()) < decoder.fine_resolution
    surface = isosurface(
        fields.coords,
        fields.sdf,
        fields.deform,
        fields.weights,
        fields.attributes,
        resolution=decoder.fine_resolution,
        training=True,
    )
    assert len(surface.faces) and surface.attributes.shape[1] == decoder.num_attributes
    surface.vertices.sum().backward()
    assert decoder.input_layer.weight.grad.abs().max() > 0


def test_channels_are_split_as_published(rng):
    """sdf 0:8, deform 8:32, weights 32:53, attributes 53:101."""
    fine = tokens(101, rng, lengths=(4,))
    fields = mesh_decoder().split(fine)
    assert torch.equal(fields.sdf, fine.feats[:, :8])
    assert torch.equal(fields.deform[:, 1, 2], fine.feats[:, 8 + 5])
    assert torch.equal(fields.weights[:, 20], fine.feats[:, 52])
    assert torch.equal(fields.attributes[:, 7, 5], fine.feats[:, 100])


def test_mesh_without_colour():
    decoder = MeshDecoder(representation_config={"use_color": False}, num_norm_groups=4, **TRUNK)
    assert decoder.out_layer.out_features == 53 and decoder.num_attributes == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: encoder(attn_mode="shift_order"), "attn_mode must be 'swin', 'windowed' or 'full'"),
        (lambda: encoder(pe_mode="rope"), "pe_mode must be 'ape', got 'rope'"),
        (lambda: encoder(num_heads=5), "32 channels do not divide into 5 heads"),
        (lambda: mesh_decoder(model_channels=40), "10 channels do not divide into 4 norm groups"),
        (
            lambda: GaussianDecoder(representation_config=GAUSSIANS | {"voxel_size": 1}, **TRUNK),
            "voxel_size must be above 1",
        ),
        (
            lambda: GaussianDecoder(representation_config=GAUSSIANS | {"scaling_activation": "relu"}, **TRUNK),
            "scaling_activation must be 'softplus' or 'exp', got 'relu'",
        ),
        (
            lambda: RadianceFieldDecoder(representation_config={"rank": 4, "dim": 1}, **TRUNK),
            "rank must be at least 1 and dim at least 2, got 4 and 1",
        ),
    ],
)
def test_arguments_it_cannot_take_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
