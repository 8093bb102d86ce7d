"""The flow network: batches against single samples, gradients, what the condition does, and bad arguments."""

import pytest
import torch

from trellis_cli.geometry.packed import Packed, dense_to_packed, pack
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork

CHANNELS, CONTEXT, POOLED = 3, 10, 5
KINDS = {
    "dense": {"io": "dense", "resolution": 4, "patch_size": 2},
    "residual": {"io": "residual", "resolution": 8, "patch_size": 2, "io_block_channels": [8]},
    "no-skips": {
        "io": "residual",
        "resolution": 8,
        "patch_size": 2,
        "io_block_channels": [8],
        "use_skip_connection": False,
    },
    "patch-1": {"io": "residual", "resolution": 8, "patch_size": 1, "share_mod": True},
    "packed": {"io": "packed", "resolution": 8, "patch_size": 2, "qk_rms_norm": True, "qk_rms_norm_cross": True},
}


def network(kind: str, rng: torch.Generator, **more) -> FlowNetwork:
    """A small network of which no weight is zero, so that every path shows."""
    args = {"model_channels": 32, "cond_channels": CONTEXT, "num_blocks": 2, "num_heads": 4, "mlp_ratio": 2}
    built = FlowNetwork(in_channels=CHANNELS, out_channels=CHANNELS, **args, **{**KINDS[kind], **more})
    for parameter in built.parameters():
        parameter.data.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return built


def latents(kind: str, rng: torch.Generator) -> Packed:
    """Three samples: full grids for "dense", else a few voxels each, of different number."""
    resolution = KINDS[kind]["resolution"]
    if kind == "dense":
        return dense_to_packed(torch.randn(3, CHANNELS, *[resolution] * 3, generator=rng))
    samples = []
    for count in (40, 1, 17):
        flat = torch.randperm(resolution**3, generator=rng)[:count].sort().values
        coords = torch.stack([flat // resolution**2, flat // resolution % resolution, flat % resolution], dim=1)
        samples.append((coords.int(), torch.randn(count, CHANNELS, generator=rng)))
    return pack(samples)


def conditions(rng: torch.Generator) -> Condition:
    """Three conditions of different lengths."""
    tokens = torch.randn(9, CONTEXT, generator=rng)
    return Condition(tokens, torch.tensor([0, 5, 6, 9]), torch.randn(3, POOLED, generator=rng))


TIMES = torch.tensor([0.9, 0.1, 0.5])


@pytest.mark.parametrize("kind", list(KINDS))
@torch.no_grad()
def test_a_batch_equals_its_samples_one_at_a_time(kind, rng):
    flow, x, condition = network(kind, rng, pooled_channels=POOLED), latents(kind, rng), conditions(rng)
    together = x.with_feats(flow(x, TIMES, condition))
    for i in range(len(x)):
        alone = flow(x[i], TIMES[i : i + 1], condition[i])
        torch.testing.assert_close(together[i].feats, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["residual", "patch-1", "packed"])
@torch.no_grad()
def test_the_order_of_voxels_changes_nothing(kind, rng):
    flow, x, condition = network(kind, rng), latents(kind, rng)[0], conditions(rng)[0]
    order = torch.randperm(len(x.feats), generator=rng)
    shuffled = Packed(x.feats[order], x.coords[order], x.offsets)
    want = flow(x, TIMES[:1], condition)[order]
    torch.testing.assert_close(flow(shuffled, TIMES[:1], condition), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use_checkpoint", [False, True])
@pytest.mark.parametrize("kind", list(KINDS))
def test_gradients_reach_every_parameter_and_input(kind, use_checkpoint, rng):
    flow = network(kind, rng, pooled_channels=POOLED, use_checkpoint=use_checkpoint)
    x, condition = latents(kind, rng), conditions(rng)
    x.feats.requires_grad_()
    condition.tokens.requires_grad_()
    weights = torch.randn(x.feats.shape, generator=rng)
    (flow(x, TIMES, condition) * weights).sum().backward()
    silent = [name for name, p in flow.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    assert (x.feats.grad.abs().sum(1) > 0).all()
    assert (condition.tokens.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("kind", ["dense", "residual", "packed"])
def test_gradients_are_the_slopes(kind, rng):
    """Along the gradient of all parameters together the loss climbs as fast as the gradient is long."""
    flow, x, condition = network(kind, rng, pooled_channels=POOLED), latents(kind, rng), conditions(rng)
    weights = torch.randn(x.feats.shape, generator=rng)
    names, parameters = zip(*flow.named_parameters(), strict=True)

    def value(shifted: list[torch.Tensor]) -> torch.Tensor:
        state = dict(zip(names, shifted, strict=True))
        return (torch.func.functional_call(flow, state, (x, TIMES, condition)) * weights).double().sum()

    gradients = torch.autograd.grad(value(list(parameters)), parameters)
    length = torch.stack([g.double().square().sum() for g in gradients]).sum().sqrt()
    step = 1e-3

    def along(distance: float) -> torch.Tensor:
        return value([p + distance * g / length for p, g in zip(parameters, gradients, strict=True)])

    with torch.no_grad():
        climb = (along(step) - along(-step)) / (2 * step)
    torch.testing.assert_close(climb, length, rtol=1e-2, atol=0)


@pytest.mark.parametrize("kind", ["dense", "residual", "packed"])
def test_an_untrained_network_predicts_zero(kind, rng):
    args = {"model_channels": 16, "cond_channels": CONTEXT, "num_blocks": 1, "num_heads": 2}
    flow = FlowNetwork(in_channels=CHANNELS, out_channels=CHANNELS, **args, **KINDS[kind])
    x = latents(kind, rng)
    assert not flow(x, TIMES, conditions(rng)).any()


@torch.no_grad()
def test_time_condition_and_pooled_vector_all_count(rng):
    flow, x, condition = network("packed", rng, pooled_channels=POOLED), latents("packed", rng), conditions(rng)
    plain = flow(x, TIMES, condition)
    others = {
        "time": flow(x, TIMES + 0.05, condition),
        "tokens": flow(x, TIMES, Condition(condition.tokens + 1, condition.offsets, condition.pooled)),
        "pooled": flow(x, TIMES, Condition(condition.tokens, condition.offsets, condition.pooled + 1)),
    }
    for what, other in others.items():
        assert (other - plain).abs().max() > 1e-4, what


@torch.no_grad()
def test_packed_blocks_know_an_absent_voxel_from_a_zero_one(rng):
    """Two voxels of one block: taking the second away must show in the first even where its latent was zero."""
    flow, condition = network("packed", rng), conditions(rng)[0]
    feats = torch.cat([torch.randn(1, CHANNELS, generator=rng), torch.zeros(1, CHANNELS)])
    both = Packed(feats, torch.tensor([[0, 0, 0], [0, 1, 1]]), torch.tensor([0, 2]))
    one = Packed(feats[:1], both.coords[:1], torch.tensor([0, 1]))
    assert (flow(both, TIMES[:1], condition)[:1] - flow(one, TIMES[:1], condition)).abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["dense", "residual", "packed"])
@torch.no_grad()
def test_bfloat16_torso_stays_near_float32(kind, rng):
    flow, x, condition = network(kind, rng), latents(kind, rng), conditions(rng)
    want = flow(x, TIMES, condition)
    master = flow.compute_in("bfloat16")(x, TIMES, condition)
    assert all(p.dtype == torch.float32 for p in flow.parameters())
    cast = flow.keep_torso_in("bfloat16")(x, TIMES, condition)
    assert flow.blocks[0].mlp.mlp[0].weight.dtype == torch.bfloat16
    assert flow.blocks[0].norm2.weight.dtype == flow.input_layer.weight.dtype == torch.float32
    assert torch.equal(master, cast)
    assert master.dtype == torch.float32
    assert 0 < (master - want).square().mean().sqrt() < 0.05 * want.square().mean().sqrt()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pe_mode": "rope"}, "pe_mode must be 'ape'"),
        ({"resolution": 9}, "patches of 2 do not divide a grid of 9"),
        ({"io_block_channels": [8]}, "belong to io 'residual'"),
        ({"io": "residual"}, "does not fit io_block_channels None"),
        ({"io": "residual", "io_block_channels": [8, 8]}, "one entry"),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    args = {"model_channels": 16, "cond_channels": CONTEXT, "num_blocks": 1, "num_heads": 2, **KINDS["packed"]}
    with pytest.raises(ValueError, match=message):
        FlowNetwork(in_channels=CHANNELS, out_channels=CHANNELS, **{**args, **change})


def test_calls_that_do_not_fit(rng):
    flow, x = network("packed", rng, pooled_channels=POOLED), latents("packed", rng)
    with pytest.raises(ValueError, match="3 samples, 3 times and 1 conditions"):
        flow(x, TIMES, conditions(rng)[0])
    with pytest.raises(ValueError, match="needs a pooled vector of 5 channels"):
        flow(x, TIMES, Condition(torch.randn(9, CONTEXT, generator=rng), torch.tensor([0, 5, 6, 9])))
