"""Colours as the constant term of spherical harmonics, as Gaussians carry them: the one home of the factor."""

from jaxtyping import Float
from torch import Tensor

CONSTANT = 0.28209479177387814  # 1 / (2 sqrt(pi)), the value of the constant harmonic


def to_colours(constant: Float[Tensor, "g 3"]) -> Float[Tensor, "g 3"]:
    """max(0, 0.5 + 0.2821 f): not limited above, as the published renderer has it."""
    return (0.5 + CONSTANT * constant).clamp_min(0)


def from_colours(colours: Float[Tensor, "g 3"]) -> Float[Tensor, "g 3"]:
    """The terms whose colours these are, if none is negative."""
    return (colours - 0.5) / CONSTANT
