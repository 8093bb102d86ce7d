"""numba, set up once for every CPU kernel: compiled code is kept between runs, and threads are safe.

    from trellis_ops._numba import jit, prange

    @jit                                   # a helper that other kernels call, or a serial kernel
    @jit(parallel=True)                    # a kernel with a prange loop
    @jit(parallel=True, fastmath=True)     # where the order of sums is free and no NaN or inf occurs

numba's own defaults do not suit a library. It writes compiled code beside the source, and fails where that folder and
the home are read-only; and its default thread pool ("workqueue") aborts the process when two Python threads use it.
Only import this module from a file that a backend's `run` needs: numba takes 0.3 s to import.

A kernel's cache notices changes of its own file alone: keep the helpers that a kernel calls in the kernel's file.
"""

import inspect
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import torch  # first: it brings the OpenMP library that numba's pool links to
from numba import prange
from numba.core import config

__all__ = ["cache_folder", "jit", "prange", "set_num_threads"]

_decorating = threading.Lock()


def _has_openmp() -> bool:
    """Whether numba's OpenMP pool loads here: its library is the system's or torch's, never numba's own."""
    try:
        from numba.np.ufunc import omppool  # noqa: F401
    except ImportError:
        return False
    return True


# Without a pool that several Python threads may use, kernels run on one thread: slower, never an abort.
PARALLEL = _has_openmp()
if PARALLEL and "NUMBA_THREADING_LAYER" not in os.environ:
    config.THREADING_LAYER = "omp"


def _start_pool() -> None:
    """Start numba's threads now, and give torch its own count back.

    Starting, the pool sets OpenMP's number of threads for good, and torch reads the same number: after the first kernel
    torch would use every core whatever it was told, and its small convolutions then wait for each other on a busy
    machine (measured: 2 s instead of 25 ms a step).
    """
    told = torch.get_num_threads()
    numba.get_num_threads()  # starts the pool
    torch.set_num_threads(told)


if PARALLEL:
    _start_pool()


def cache_folder() -> Path:
    """The folder of compiled kernels: NUMBA_CACHE_DIR, else the user's cache, else one in the temporary folder."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    for folder in (home / "trellis" / "numba", Path(tempfile.gettempdir()) / f"trellis-numba-{user}"):
        if _is_ours(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="trellis-numba-"))  # for this process alone


def _is_ours(folder: Path) -> bool:
    """Whether the folder can be made and written, and is no one else's (compiled code is loaded from it)."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


_folder = cache_folder()


def jit(
    function: Callable | None = None,
    *,
    parallel: bool = False,
    fastmath: bool | set[str] = False,
    **options: Any,
) -> Any:
    """Compile at the first call, keep the result on disk, release the GIL while it runs.

    Division by zero follows IEEE (inf, NaN), as in numpy. `fastmath` may name LLVM's flags, such as {"contract"} for
    fused multiply-add alone. `options` go to `numba.njit` as they are.
    """
    if function is None:
        return lambda f: jit(f, parallel=parallel, fastmath=fastmath, **options)
    bare = inspect.unwrap(function)  # tests wrap every function to check shapes, and numba cannot compile a wrapper
    with _decorating:  # the cache folder is chosen while decorating: set it for ours, leave it to others
        before, config.CACHE_DIR = config.CACHE_DIR, str(_folder)
        try:
            return numba.njit(
                cache=True,
                nogil=True,
                error_model="numpy",
                parallel=parallel and PARALLEL,
                fastmath=fastmath,
                **options,
            )(bare)
        finally:
            config.CACHE_DIR = before


def set_num_threads(count: int) -> None:
    """Let kernels called from this thread use `count` threads; more than the machine has means all of them."""
    numba.set_num_threads(max(1, min(count, config.NUMBA_NUM_THREADS)))
