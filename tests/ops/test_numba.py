"""What every numba kernel relies on: a folder for compiled code, threads that may share it, plain functions."""

import functools
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from trellis_ops import _numba
from trellis_ops._numba import cache_folder, jit, prange


@jit(parallel=True)
def _sum_of_squares(x):
    total = 0.0
    for i in prange(len(x)):
        total += x[i] * x[i]
    return total


@pytest.fixture
def no_choice_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No NUMBA_CACHE_DIR, and temporary files under tmp_path."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_users_cache_comes_first(no_choice_made, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_choice_made / "cache"))
    assert cache_folder() == no_choice_made / "cache" / "trellis" / "numba"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/chosen/by/hand")
    assert cache_folder() == Path("/chosen/by/hand")


def test_an_unwritable_home_is_no_obstacle(no_choice_made, monkeypatch):
    (no_choice_made / "file").touch()  # nobody, root included, makes a folder under a file
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_choice_made / "file"))
    folder = cache_folder()
    assert folder.parent == no_choice_made
    assert cache_folder() == folder, "the next process finds the same one"
    folder.rmdir()
    folder.touch()  # in the way: a folder for this process alone remains
    assert cache_folder().is_dir()


def test_another_users_folder_is_not_trusted(no_choice_made, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_choice_made / "cache"))
    mine = cache_folder()
    monkeypatch.setattr(_numba.os, "getuid", lambda: mine.stat().st_uid + 1)
    assert cache_folder() != mine


def test_kernels_are_kept_in_our_folder_and_numbas_own_setting_is_left_alone():
    assert _sum_of_squares(np.ones(3)) == 3.0
    assert Path(_sum_of_squares.stats.cache_path).is_relative_to(_numba._folder)
    assert str(_numba._folder) != numba.config.CACHE_DIR


def test_a_wrapped_function_is_compiled_without_its_wrapper():
    """Shape checks wrap every function of this package in tests; what numba gets is the function itself."""

    def double(x):
        return 2 * x

    @functools.wraps(double)
    def checked(*args, **kwargs):
        raise AssertionError("numba was handed the wrapper")

    assert jit(checked, parallel=False).py_func is double


def test_two_threads_may_run_kernels_at_once():
    """numba's default pool aborts the process here."""
    x = np.arange(10_000.0)
    results, barrier = [], threading.Barrier(2)

    def work():
        barrier.wait()
        results.extend(_sum_of_squares(x) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(results, [np.sum(x * x)] * 100, rtol=1e-12)
    assert not _numba.PARALLEL or numba.threading_layer() == "omp"


def test_the_number_of_threads_is_kept_within_the_machines():
    before = numba.get_num_threads()
    try:
        _numba.set_num_threads(1)
        assert numba.get_num_threads() == 1
        _numba.set_num_threads(10**6)
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
    finally:
        numba.set_num_threads(before)


def test_torch_keeps_the_number_of_threads_it_was_told():
    """numba's pool sets OpenMP's number when it starts, and torch reads the same number."""
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from trellis_ops.voxelize import voxelize\n"
        "voxelize(torch.eye(3) - 0.5, torch.tensor([[0, 1, 2]]), resolution=8)\n"
        "import numba; numba.threading_layer()\n"  # raises where no pool was started
        "print(torch.get_num_threads())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "1"
