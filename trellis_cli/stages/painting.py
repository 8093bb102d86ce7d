"""Colours of a mesh's vertices from the Gaussians of the same latents: the latter learn colours better and sooner."""

import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import to_colours

NEIGHBOURS = 16
SOFTNESS = 0.005  # cube edges: Gaussians nearer than this count alike


def colours_at(points: Float[Tensor, "v 3"], gaussians: Gaussians) -> Float[Tensor, "v 3"]:
    """The mean colour of the Gaussians nearest to each point, by opacity over squared distance; in [0, 1]."""
    means = gaussians.means.float().cpu()
    count = min(NEIGHBOURS, len(means))
    distance, near = cKDTree(means.numpy()).query(points.float().cpu().numpy(), k=range(1, count + 1))
    weight = gaussians.opacities.cpu()[near] / (torch.from_numpy(distance).float().square() + SOFTNESS**2)
    weight = weight.clamp_min(1e-12)
    colours = to_colours(gaussians.sh[:, 0].float().cpu()).clamp(0, 1)[near]
    return (colours * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
