"""The straight path between data and noise, and the velocity along it: the one place that fixes time.

t = 0 is data, t = 1 is noise, everywhere in this program. The factor 1000 of the published weights belongs to the time
embedding (networks/embeddings.py) and appears nowhere else.
Source: TRELLIS (arXiv:2412.01506), equation 5, after Lipman et al. (arXiv:2210.02747).
"""

from jaxtyping import Float
from torch import Tensor

SIGMA_MIN = 1e-5  # of the published weights: the width that is left of the noise at t = 0

Times = float | Float[Tensor, "*n 1"]  # one for all, or one a token


def interpolate(x0: Float[Tensor, "*n c"], noise: Float[Tensor, "*n c"], t: Times) -> Float[Tensor, "*n c"]:
    """x_t = (1 - t) x_0 + (s + (1 - s) t) noise, with s = SIGMA_MIN."""
    return (1 - t) * x0 + (SIGMA_MIN + (1 - SIGMA_MIN) * t) * noise


def velocity(x0: Float[Tensor, "*n c"], noise: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
    """dx_t / dt = (1 - s) noise - x_0, what a flow network is trained to predict."""
    return (1 - SIGMA_MIN) * noise - x0


def data_at(x_t: Float[Tensor, "*n c"], v: Float[Tensor, "*n c"], t: Times) -> Float[Tensor, "*n c"]:
    """The x_0 that a velocity points at: the inverse of `interpolate` and `velocity` together."""
    return (1 - SIGMA_MIN) * x_t - (SIGMA_MIN + (1 - SIGMA_MIN) * t) * v


def noise_at(x_t: Float[Tensor, "*n c"], v: Float[Tensor, "*n c"], t: Times) -> Float[Tensor, "*n c"]:
    """The noise that a velocity points away from; with `data_at` it gives back x_t through `interpolate`."""
    return x_t + (1 - t) * v


def begin(noise: Float[Tensor, "*n c"], t: float) -> Float[Tensor, "*n c"]:
    """What sampling from time t begins with where nothing of the data is known: x_t of data that are all 0.

    At t = 1 the noise itself.
    """
    return (SIGMA_MIN + (1 - SIGMA_MIN) * t) * noise


def velocity_to(x_t: Float[Tensor, "*n c"], x0: Float[Tensor, "*n c"], t: Times) -> Float[Tensor, "*n c"]:
    """The velocity at x_t that points at a given x_0: `data_at` of it gives back x_0. For t above 0."""
    noise = (x_t - (1 - t) * x0) / (SIGMA_MIN + (1 - SIGMA_MIN) * t)
    return velocity(x0, noise)
