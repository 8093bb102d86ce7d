"""3D Gaussians after activation: what the splat renders and the .ply holds."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Gaussians:
    """g Gaussians in the cube [-0.5, 0.5]^3, z up.

    means [g, 3] in cube edges; quats [g, 4] as w, x, y, z, unit length; scales [g, 3], standard deviations in cube
    edges; opacities [g] in (0, 1); sh [g, k, 3], spherical harmonics coefficients (k = 1: the constant term, of which
    the colour is 0.5 + 0.28209479 sh).
    """

    means: Float[Tensor, "g 3"]
    quats: Float[Tensor, "g 4"]
    scales: Float[Tensor, "g 3"]
    opacities: Float[Tensor, " g"]
    sh: Float[Tensor, "g k 3"]

    def __len__(self) -> int:
        return len(self.means)
