"""Every command of docs/training.md, in its order, on eight toys and for two steps."""

import re
import shlex
from pathlib import Path

import pytest

from tests.tiny_world import trellis
from trellis_cli.stages.export_objects import export_objects

PAGE = Path(__file__).parent.parent / "docs" / "training.md"
NUM = 14  # toys: as many as it takes for one that is held out


def commands() -> list[list[str]]:
    """The lines of all blocks of code, as words."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def shortened(words: list[str]) -> list[str]:
    """A training of two steps of two assets, with nothing to wait for; all else as it stands."""
    if words[1].startswith("train-") and "--plot" not in words and "--dry-run" not in words:
        return [*words, "--set", "optimizer.steps=2", "--set", "optimizer.batch=2", "--device", "cpu", "--quiet"]
    return words


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export_objects("toybox", None, tmp_path / "toys", num=NUM)
    meshes = tmp_path / "MESHES"
    meshes.mkdir()
    for k, path in enumerate(sorted((tmp_path / "toys" / "objects").iterdir())):
        path.rename(meshes / f"thing_number_{chr(97 + k)}.glb")
    found = commands()
    assert len(found) > 30 and all(words[0] == "trellis" for words in found)
    for words in found:
        expanded = [p for w in shortened(words)[1:] for p in (sorted(map(str, Path().glob(w))) if "*" in w else [w])]
        said = trellis(*expanded)
        assert said.strip(), words
    assert (tmp_path / "chair.glb").is_file() and (tmp_path / "runs/slat-flow/curves.png").is_file()
    assert (tmp_path / "own-model/ckpts/slat_flow_model_image.safetensors").is_file()
    assert (tmp_path / "mine-lora/ckpts/slat_flow_model.safetensors").is_file()
