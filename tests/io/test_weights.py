"""Weights read one by one: the numbers that safetensors reads, and broken files told as such."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trellis_cli.errors import FileError
from trellis_cli.io.quantised import dequantise, quantise
from trellis_cli.io.weights import StoredWeights


def test_every_kind_of_number(tmp_path: Path, rng: torch.Generator) -> None:
    state = {
        "half": torch.randn(3, 5, generator=rng).half(),
        "brain": torch.randn(7, generator=rng).bfloat16(),
        "single": torch.randn(2, 3, 4, generator=rng),
        "whole": torch.arange(6),
        "none": torch.zeros(0, 4),
        "scalar": torch.tensor(2.5),
    }
    save_file(state, tmp_path / "w.safetensors", metadata={"format": "pt"})
    stored = StoredWeights(tmp_path / "w.safetensors")
    assert set(stored) == set(state) and len(stored) == len(state)
    for name, value in state.items():
        assert stored[name].dtype == value.dtype
        assert torch.equal(stored[name], value), name
        assert stored.shapes[name] == tuple(value.shape)
    assert stored.dtypes == {"half": "F16", "brain": "BF16", "single": "F32", "whole": "I64", "none": "F32",
                             "scalar": "F32"}  # fmt: skip
    assert stored.num_bytes == sum(v.numel() * v.itemsize for v in state.values())


def test_int8_weights_come_with_their_scales(tmp_path: Path, rng: torch.Generator) -> None:
    whole = quantise({"matrix": torch.randn(4, 32, generator=rng), "odd.scale": torch.ones(3)})
    save_file(whole, tmp_path / "w.safetensors")
    stored = StoredWeights(tmp_path / "w.safetensors")
    assert set(stored) == {"matrix", "odd.scale"}  # a weight may be called so
    assert torch.equal(stored["matrix"], dequantise(whole)["matrix"])


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-3], lambda data: data[:20], lambda data: b"", lambda data: data * 2]
)
def test_broken_files(tmp_path: Path, spoil) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(4)}, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(FileError, match="no whole safetensors file"):
        StoredWeights(path)
