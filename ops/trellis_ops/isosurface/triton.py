"""The GPU: the same torch code as on the processor. Its time goes to gathers, for which torch's own kernels do."""

from torch import Tensor

from trellis_ops.isosurface import Isosurface, extraction


def refusal(coords: Tensor, sdf: Tensor, *args: object, **kwargs: object) -> str | None:
    if not sdf.is_cuda:
        return f"sdf is on {sdf.device}, not a CUDA device"
    return None


def run(*args: Tensor, resolution: int, training: bool) -> Isosurface:
    return extraction.run(*args, resolution=resolution, training=training)
