"""`trellis edit` as it is typed: contradictions, names of outputs, and the documented commands on the sample files."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.tiny_world import trellis
from trellis_cli import recipes
from trellis_cli.errors import UsageError
from trellis_cli.io.stage_files import open_stage
from trellis_cli.stages.edit_options import default_out, gather_prompt, mode_of
from trellis_cli.stages.shipped_samples import copy_samples

PAGE = Path(__file__).parents[2] / "docs" / "editing.md"
QUICK = {  # of as little work as there can be
    "edit": ("--steps", "1", "--resample", "1"),
    "render": ("--num-views", "2", "--size", "32"),
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    copy_samples(folder)
    return folder


def documented() -> list[str]:
    """The commands of docs/editing.md but for the evaluation."""
    blocks = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("trellis ")]
    return [line for line in lines if not line.startswith("trellis eval ")]


def test_the_documented_commands_run_on_the_sample_files(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as they stand there, but for fewer steps: a later one may need what an earlier one wrote."""
    monkeypatch.chdir(samples)
    lines = documented()
    shown = " ".join(lines)
    for option in ("--vary", "--box", "--add", "--remove", "--mask", "--image", "--sphere", "--voxels", "--grow",
                   "--units", "--keep-structure", "--preview", "--num"):  # fmt: skip
        assert option in shown, option
    for line in lines:
        _, command, *words = shlex.split(line)
        assert trellis(command, *words, *QUICK.get(command, ()), "--quiet"), line
    assert "a gilded throne" in trellis("inspect", "chair-vary.slat.h5")
    said = trellis("inspect", "stone-tower.slat.h5")
    assert "trellis edit tower.slat.h5 --vary" in said and "trellis edit house.slat.h5 --box" in said


def test_sample_files_are_whole_and_copied_once(samples: Path, tmp_path: Path) -> None:
    for path in samples.glob("*.h5"):
        trellis("inspect", path)
    assert {p.name for p in samples.glob("*.slat.h5")} >= {
        f"{n}.slat.h5" for n in ("house", "chair", "island", "robot")
    }
    assert "README.md" in {p.name for p in copy_samples(tmp_path)}
    (tmp_path / "seat.glb").write_text("mine")
    with pytest.raises(UsageError, match="another file"):
        copy_samples(tmp_path)
    assert (tmp_path / "seat.glb").read_text() == "mine"
    copy_samples(tmp_path, overwrite=True)
    assert (tmp_path / "seat.glb").read_bytes() == (recipes.folder() / "samples" / "seat.glb").read_bytes()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--vary", "--add", "--text", "x"), 2),
        (("--add", "--remove", "--box", "0,0,0,1,1,1"), 2),
        (("--text", "x"), 2),
        (("--vary",), 2),
        (("--vary", "--text", "x", "--grow", "2"), 2),
        (("--vary", "--text", "x", "--image", "leather.png"), 2),
        (("--vary", "--text", "x", "--box", "0,0,0,1,1,1"), 2),
        (("--remove", "--box", "0,0,0,1,1,1", "--keep-structure"), 2),
        (("--box", "0,0,0,1,1,1", "--negative", "x"), 2),
        (("--box", "0,0,0,1,1,1", "--text", "x", "--jump", "0"), 2),
        (("--box", "0,0,0,1,1,1", "--text", "x", "--resample", "2,2,2"), 2),
        (("--box", "0,0,0,1,1,1", "--text", "x", "--preview", "x.jpg"), 2),
        (("--box", "0,0,0,1,1,1", "--text", "x", "--feather", "2"), 2),
        (("--box", "0,0,0,1,1,1", "--text", "x", "--model", "nothing"), 4),
        (("--mask", "leather.png", "--text", "x"), 2),
        (("--mask", "missing.glb", "--text", "x"), 3),
        (("--voxels", "chair.glb", "--text", "x"), 3),
        (("--remove", "--box", "-0.5,-0.5,-0.5,0.5,0.5,0.5"), 1),
        (("--remove", "--box", "-0.5,-0.5,-0.5,-0.45,-0.45,-0.45"), 1),
    ],
)
def test_what_cannot_be_ends_with_its_code_and_without_a_file(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(samples)
    trellis("edit", "house.slat.h5", *options, "-o", tmp_path / "x.slat.h5", "--quiet", code=code)
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".ledger.jsonl")]


def test_modes_prompts_and_names_of_outputs() -> None:
    assert mode_of(vary=False, add=False, remove=False) == "replace"
    assert default_out([Path("a/x.slat.h5")], "add") == Path("a/x-add.slat.h5")
    assert default_out([Path("chair.glb")], "vary") == Path("chair-vary.slat.h5")
    assert default_out([Path("x.voxels.h5")], "vary") == Path("x-vary.slat.h5")
    for inputs in ([Path("a.h5"), Path("b.h5")], [Path("list.txt")]):
        with pytest.raises(UsageError, match="need a name"):
            default_out(inputs, "vary")
    assert gather_prompt(None) == (None, None)
    with pytest.raises(UsageError, match="one prompt, and 2 are given"):
        gather_prompt(None, [recipes.folder() / "samples" / "leather.png"] * 2)


def test_a_preview_shows_an_asset_before_its_region_and_after(samples: Path, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    out, sheet = tmp_path / "x.slat.h5", tmp_path / "x.png"
    change = ("--remove", "--box", "-0.5,-0.5,0.3,0.5,0.5,0.5")
    trellis("edit", samples / "robot.slat.h5", *change, "-o", out, "--preview", sheet, "--quiet")
    picture = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    wide = picture.shape[1] // 6
    before, region, after = (picture[:, k * wide : (k + 1) * wide] for k in range(3))
    assert (abs(before - after).sum(2) > 60).sum() > 100 < (abs(before - region).sum(2) > 60).sum()
    orange = lambda p: ((p[..., 0] > 200) & (p[..., 2] < 120)).sum()  # noqa: E731
    assert orange(region) > 2 * orange(before)
    with open_stage(out) as file:
        assert json.loads(file.attrs["parameters"])["mode"] == "remove"
