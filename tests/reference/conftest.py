"""Reference cases: inputs, weights and outputs of the published networks, from the shipped folder or another one.

`python -m pytest tests/reference --reference-dir DIR` holds the program to any folder of the form that data/README.md
describes. Nothing here or in the tests knows the sizes in the shipped one.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from trellis_cli.geometry.packed import Packed

SINGLE_NETWORK = 1e-5  # largest absolute difference, as data/README.md gives it


@dataclass(frozen=True, slots=True)
class Case:
    """One case's files: the checkpoint's json, its weights in float32, the tensors that go in and that came out."""

    name: str
    args: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def packed(self) -> Packed:
        """The sparse input (`coords` with the batch in front, `feats`) as this program holds it."""
        return packed(self.inputs["coords"], self.inputs["feats"])


def packed(coords: Tensor, feats: Tensor) -> Packed:
    lengths = torch.bincount(coords[:, 0].long())
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Packed(feats, coords[:, 1:], offsets)


@pytest.fixture(scope="session")
def reference_dir(request: pytest.FixtureRequest) -> Path:
    given = request.config.getoption("--reference-dir")
    return Path(given) if given else Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def load_case(reference_dir: Path) -> Callable[[str], Case]:
    def load(name: str) -> Case:
        checkpoint = json.loads((reference_dir / f"{name}.json").read_text())
        weights = {k: t.float() for k, t in load_file(reference_dir / f"{name}.safetensors").items()}
        inputs, outputs = (load_file(reference_dir / f"{name}.{part}.safetensors") for part in ("in", "out"))
        return Case(checkpoint["name"], checkpoint["args"], weights, inputs, outputs)

    return load


@pytest.fixture(scope="session")
def primitives(reference_dir: Path) -> dict[str, Tensor]:
    return load_file(reference_dir / "primitives.safetensors")


@pytest.fixture(scope="session")
def pack_sparse() -> Callable[[Tensor, Tensor], Packed]:
    """`coords` [n, 4] with the batch in front and `feats` as a Packed."""
    return packed


@pytest.fixture(scope="session")
def assert_near() -> Callable[..., None]:
    """got == want within an absolute tolerance (default: that of a single network), the largest difference said."""

    def check(got: Tensor, want: Tensor, *, what: str, tolerance: float = SINGLE_NETWORK) -> None:
        assert got.shape == want.shape, f"{what}: got {tuple(got.shape)}, want {tuple(want.shape)}"
        worst = float((got.detach().double() - want.double()).abs().max())
        assert worst <= tolerance, f"{what}: largest difference {worst:.2e}, allowed {tolerance:.0e}"

    return check


@pytest.fixture(scope="session")
def released_layout() -> Callable[[str, str], dict[str, tuple[tuple[int, ...], torch.dtype]]]:
    """Shape and stored dtype of each key of a released configuration, from the table STATE_KEYS.txt.

    Takes the configuration's file name and the role of the network in it ("encoder", "decoder", "denoiser").
    """
    table = (Path(__file__).parent / "data" / "STATE_KEYS.txt").read_text()

    def layout(config: str, role: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        section = table.split(f"== {config} :: {role} = ")[1].split("\n== ")[0]
        keys = {}
        for line in section.splitlines()[1:]:
            if row := re.match(r"\s+(\S+)\s+\[(.*?)\]\s+(\w+)(?: x(\d+))?$", line):
                name, shape, dtype, times = row.groups()
                entry = tuple(int(n) for n in shape.split(",") if n.strip()), getattr(torch, dtype)
                keys |= {name.replace("{i}", str(i)): entry for i in range(int(times or 1))}
        return keys

    return layout
