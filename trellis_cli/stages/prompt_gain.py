"""How much better a prompt explains latents than no prompt does, by a model's own flows: a judge that works offline.

The loss of a flow, with the prompt and without, on the very latents (a "diffusion classifier", Li et al. 2023,
arXiv:2303.16203, for rectified flow). It says whether what is there is what this model takes the prompt for, and is
no measure from outside as CLIP is: it may not be compared between models, nor called alignment without saying this.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from trellis_cli.flow.path import interpolate
from trellis_cli.flow.path import velocity as path_velocity
from trellis_cli.geometry.packed import Packed, dense_to_packed, pack
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.pipeline import SLAT_FLOW, STRUCTURE_FLOW, Pipeline, velocities

TIMES = (0.5, 0.7, 0.9)
DRAWS = 2  # of noise at each time


@torch.no_grad()
def gain(
    flow: FlowNetwork,
    data: Packed,
    inside: Bool[Tensor, " n"],
    condition: Condition,
    empty: Condition,
    *,
    seed: int = 0,
) -> float | None:
    """1 - loss with the prompt / loss without, over the tokens `inside`; above 0 where the prompt helps.

    Args:
        data: one asset, normalised as the flow wants it.
        condition, empty: the prompt's, and that of no prompt; a single one each.

    Returns:
        None where no token is inside.
    """
    if not bool(inside.any()):
        return None
    under = velocities(flow, data)
    led = [under(condition), under(empty)]
    generator = torch.Generator().manual_seed(seed)
    losses = [0.0, 0.0]
    for t in TIMES:
        for _ in range(DRAWS):
            noise = torch.randn(data.feats.shape, generator=generator)
            x, wanted = interpolate(data.feats, noise, t), path_velocity(data.feats, noise)
            for k, velocity in enumerate(led):
                losses[k] += float((velocity(x, t) - wanted).square().mean(1)[inside].mean())
    return 1 - losses[0] / losses[1]


def slat_gain(
    pipeline: Pipeline, coords: Tensor, feats: Tensor, inside: Bool[Tensor, " n"], pair: tuple[Condition, Condition]
) -> float | None:
    """`gain` of a latent [n, c] on each voxel [n, 3], not normalised, by the second flow."""
    flow = pipeline.flow(SLAT_FLOW)
    data = pack([(coords.int(), (feats - pipeline.mean) / pipeline.std)])
    return gain(flow, data, inside, *pair)


def structure_gain(
    pipeline: Pipeline, latent: Tensor, inside: Bool[Tensor, "r r r"], pair: tuple[Condition, Condition]
) -> float | None:
    """`gain` of a structure latent [c, r, r, r] in some of its cells, by the first flow."""
    return gain(pipeline.flow(STRUCTURE_FLOW), dense_to_packed(latent[None]), inside.flatten(), *pair)
