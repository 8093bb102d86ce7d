"""How near a set of made objects comes to a set of real ones, by pictures of both: the paper's table 2."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras, orbit
from trellis_cli.metrics.distribution import frechet_distance, kernel_distance
from trellis_cli.metrics.uncertainty import set_deviation
from trellis_cli.networks.conv_trunks import imagenet_normalised
from trellis_cli.networks.image_encoders import AlexNetEncoder, load_image_encoder
from trellis_cli.stages.object_suite import Generation
from trellis_cli.stages.score_cache import Scores

Features = Float[Tensor, "a v d"]


def cameras(protocol: Generation) -> Cameras:
    """The same for every object."""
    yaws = [math.radians(yaw) for yaw in protocol.yaws_deg]
    pitches = [math.radians(protocol.pitch_deg)] * len(yaws)
    return orbit(yaws, pitches, radius=protocol.radius, fov=math.radians(protocol.fov_deg))


@torch.no_grad()
def alexnet_features(images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 256"]:
    """The mean over space of AlexNet's last convolution: what is in a picture, more or less."""
    trunk = _alexnet().trunk
    small = F.interpolate(images, (224, 224), mode="bilinear", antialias=True, align_corners=False)
    return trunk(imagenet_normalised(small))[-1].mean((2, 3))


@cache
def _alexnet() -> AlexNetEncoder:
    encoder = load_image_encoder("alexnet")
    assert isinstance(encoder, AlexNetEncoder)
    return encoder


def generation_scores(made: Features, real: Features, protocol: Generation) -> Scores:
    """Fréchet and kernel distance (x 100) of all pictures, each with its deviation over sets of objects drawn anew.

    Args:
        made, real: features of v pictures of each of a objects, in the same order.
    """

    def taken(features: Features, which: Sequence[int] | np.ndarray) -> Float[Tensor, "n d"]:
        return features[torch.as_tensor(np.asarray(which))].flatten(0, 1)

    def kernel(which: np.ndarray) -> float:
        return 100 * kernel_distance(
            taken(made, which), taken(real, which), subsets=protocol.kernel_subsets,
            size=protocol.kernel_subset_size, seed=protocol.seed,
        )[0]  # fmt: skip

    def frechet(which: np.ndarray) -> float:
        return frechet_distance(taken(made, which), taken(real, which))

    num, everything = len(made), np.arange(len(made))
    return {
        "frechet": {"value": frechet(everything), "deviation": set_deviation(frechet, num)},
        "kernel": {"value": kernel(everything), "deviation": set_deviation(kernel, num)},
        "objects": num,
        "pictures": num * made.shape[1],
    }
