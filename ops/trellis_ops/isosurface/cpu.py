"""Vectorised torch on the processor."""

from torch import Tensor

from trellis_ops.isosurface import Isosurface, extraction


def refusal(coords: Tensor, sdf: Tensor, *args: object, **kwargs: object) -> str | None:
    if sdf.device.type != "cpu":
        return f"sdf is on {sdf.device}, not the CPU"
    return None


def run(*args: Tensor, resolution: int, training: bool) -> Isosurface:
    return extraction.run(*args, resolution=resolution, training=training)
