"""What a flow is trained on: the points of its path, the times that it is told, and the loss, written out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from tests.flow.test_diffusion import kept
from tests.tiny_world import FLOW, World
from trellis_cli import recipes
from trellis_cli.data.index import DataFolder
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.model_folders import SHIPPED
from trellis_cli.networks.condition import Condition
from trellis_cli.stages.train_flow import FlowRecipe, FlowTask


class Recorder(nn.Module):
    """Predicts a constant, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(0.25))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Packed, t: Tensor, condition: Condition) -> Tensor:
        self.seen.append((x.feats, t))
        return self.constant.expand_as(x.feats)


@pytest.mark.parametrize("objective", ["flow", "diffusion"])
@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_the_loss_by_hand(world: World, objective: str, mean: float) -> None:
    changes = (
        f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, objective = '{objective}', {FLOW}}}",
        f"t_mean={mean}",
    )
    recipe = recipes.load(FlowRecipe, "mini-cpu/structure-flow", changes)
    task = FlowTask(recipe, DataFolder(world.data), SHIPPED / "mini" / "ckpts")
    items = [task.item(torch.Generator().manual_seed(k)) for k in range(3)]
    places = [item.generator.get_state() for item in items]
    batch = task.batch(items)
    x0, module = batch.x0, Recorder()
    loss = task.loss(module, batch)["loss"]
    generators = [torch.Generator().set_state(place) for place in places]
    [(seen, told)] = module.seen
    if objective == "flow":
        times = torch.cat([torch.sigmoid(mean + torch.randn(1, generator=g)) for g in generators])
        noise = torch.cat([torch.randn(4**3, 4, generator=g) for g in generators])
        at = times.repeat_interleave(4**3)[:, None]
        points, wanted = (1 - at) * x0.feats + (1e-5 + (1 - 1e-5) * at) * noise, (1 - 1e-5) * noise - x0.feats
    else:
        ks = torch.cat([torch.randint(1000, (1,), generator=g) for g in generators])
        noise, times = torch.cat([torch.randn(4**3, 4, generator=g) for g in generators]), ks / 1000
        weights = torch.tensor([[math.sqrt(kept(int(k))), math.sqrt(1 - kept(int(k)))] for k in ks])
        of_data, of_noise = weights.repeat_interleave(4**3, 0).float().split(1, 1)
        points, wanted = of_data * x0.feats + of_noise * noise, noise
    torch.testing.assert_close(told, times)
    torch.testing.assert_close(seen, points, atol=1e-5, rtol=1e-5)
    assert float(loss.detach()) == pytest.approx(float((0.25 - wanted).square().mean()), rel=1e-5)
    loss.backward()
    assert module.constant.grad is not None
    assert float(module.constant.grad) == pytest.approx(2 * float((0.25 - wanted).mean()), rel=1e-4, abs=1e-6)


def test_dropped_conditions_are_the_empty_text(world: World) -> None:
    """About as many as the recipe says, and of those the very condition of "" that guidance uses."""
    changes = (f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, {FLOW}}}", "drop_condition=0.3")
    recipe = recipes.load(FlowRecipe, "mini-cpu/structure-flow", changes)
    task = FlowTask(recipe, DataFolder(world.data), SHIPPED / "mini" / "ckpts")
    empty = task.conditions([None], [False])
    condition = task.batch([task.item(torch.Generator().manual_seed(k)) for k in range(200)]).condition
    assert condition.pooled is not None and empty.pooled is not None
    dropped = int((condition.pooled == empty.pooled).all(1).sum())
    assert dropped == pytest.approx(60, abs=20)
