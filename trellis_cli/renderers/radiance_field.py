"""A radiance field and cameras to images, with gradients to the field."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.representations.radiance_field import RadianceField
from trellis_ops.march import march_views


def render(
    field: RadianceField,
    cameras: Cameras,
    *,
    size: int,
    background: Sequence[float] | Float[Tensor, "3"] = (0.0, 0.0, 0.0),
    supersample: int = 1,
    jitter: float | Float[Tensor, "v h w"] = 0.5,
    backend: str | None = None,
) -> tuple[Float[Tensor, "v h w 3"], Float[Tensor, "v h w"]]:
    """Square images over `background`, and alphas; on the field's device.

    `supersample` s averages s x s rays a pixel (published: 1 in training, 4 after it). `jitter` is where in its step
    each sample lies, in [0, 1]: one for all, or one a ray, h = w = size * supersample.

    Raises:
        BackendUnavailable: see `trellis_ops.march`.
        ValueError: see there; or supersample is under 1.
    """
    if supersample < 1:
        raise ValueError(f"supersample must be 1 or more, got {supersample}")
    images, alphas, _ = march_views(
        field.coords,
        field.factors,
        field.density,
        field.colours,
        cameras.extrinsics.to(field.factors),
        cameras.intrinsics.to(field.factors),
        resolution=field.resolution,
        width=size * supersample,
        height=size * supersample,
        background=torch.as_tensor(background).to(field.factors),
        jitter=jitter,
        backend=backend,
    )
    return _averaged(images, supersample), _averaged(alphas[..., None], supersample)[..., 0]


def _averaged(images: Float[Tensor, "v h w c"], s: int) -> Float[Tensor, "v h2 w2 c"]:
    """The means of blocks of s x s pixels."""
    return images.unflatten(1, (-1, s)).unflatten(3, (-1, s)).mean((2, 4)) if s > 1 else images
