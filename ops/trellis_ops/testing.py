"""How close two tensors must be, and an assertion that says where they are not."""

import torch
from torch import Tensor

# Largest allowed RMS error over the reference's RMS, unless a test measured a tighter one for its op.
# A change here is a change of the kernels' contract.
RATIO = {
    torch.float64: 1e-9,
    torch.float32: 1.5e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
}


def assert_matches(got: Tensor, want: Tensor, *, what: str, ratio: float | None = None) -> None:
    """Raise AssertionError unless `got` has the shape, dtype and, within `ratio`, the values of `want`."""
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(f"{what}: got {tuple(got.shape)} {got.dtype}, want {tuple(want.shape)} {want.dtype}")
    if not got.dtype.is_floating_point:
        if not torch.equal(got, want):
            raise AssertionError(f"{what}: {int((got != want).sum())} of {got.numel()} values differ")
        return
    if not torch.isfinite(got).all():
        raise AssertionError(f"{what}: {int((~torch.isfinite(got)).sum())} of {got.numel()} values are not finite")
    limit = RATIO[got.dtype] if ratio is None else ratio
    if not got.numel():
        return
    error = (got.double() - want.double()).square().mean().sqrt()
    scale = want.double().square().mean().sqrt().clamp_min(1e-12)
    if error / scale > limit:
        worst = (got.double() - want.double()).abs().argmax()
        at = tuple(int(i) for i in torch.unravel_index(worst, got.shape))
        raise AssertionError(
            f"{what}: RMS error {error / scale:.2e} of the reference's RMS, limit {limit:.2e}; "
            f"worst at {at}: got {got[at].item():.6g}, want {want[at].item():.6g}"
        )
