"""Shared fixtures. An op's parity test asks for `nan_scratch`, so that an output left unwritten cannot pass."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.tiny_world import World

torch.set_num_threads(1)  # two busy threads on a shared machine wait for each other far longer than they work


@pytest.fixture(autouse=True)
def _all_warnings() -> None:
    """A command that another test ran with --quiet leaves the program's log quiet, for whoever comes next."""
    logging.getLogger("trellis_cli").setLevel(logging.NOTSET)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20241202)


@pytest.fixture
def nan_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.empty, empty_like and Tensor.new_empty give NaN (floats) instead of whatever the memory held."""

    def poison(original):
        def poisoned(*args: object, **kwargs: object) -> torch.Tensor:
            out = original(*args, **kwargs)
            return out.fill_(float("nan")) if out.is_floating_point() else out

        return poisoned

    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(owner, name, poison(getattr(owner, name)))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Data, runs and models of the end-to-end tests; made once, as nearly all their time goes into the training."""
    from tests.tiny_world import make_world

    return make_world(tmp_path_factory.mktemp("end-to-end"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reference-dir", default=None, help="a folder of reference tensors (default: the shipped set)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
