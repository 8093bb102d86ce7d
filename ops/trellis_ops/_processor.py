"""What this machine's processor does fast: asked of the processor, never of the user."""

from functools import cache
from pathlib import Path


@cache
def has_fast_bfloat16() -> bool:
    """Whether bfloat16 matrix products run in hardware (AMX or AVX-512 BF16).

    Without them bfloat16 is about four times slower than float32, so backends then compute in float32.
    """
    return bool({"amx_bf16", "avx512_bf16"} & _cpu_flags())


def _cpu_flags() -> set[str]:
    """The feature flags Linux reports for the first core; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())
