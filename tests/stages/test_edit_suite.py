"""Suites of edits: read strictly, and run on a tiny trained model from the toys to the table."""

import json
from pathlib import Path

import pytest

from tests.tiny_world import FIXED, World, trellis
from trellis_cli import recipes
from trellis_cli.data import toybox
from trellis_cli.data.manifest import split_of
from trellis_cli.errors import FileError, RecipeError
from trellis_cli.stages.eval_tables import differences, means, text_table
from trellis_cli.stages.region_options import parse_box
from trellis_cli.stages.suites import read_suite

SUITE = """
name = "two"
kind = "edit"
model = "mini"
[[assets]]
name = "hut"
toybox = "house"
seed = 5
[[edits]]
name = "other-half"
asset = "hut"
mode = "replace"
boxes = ["0,-0.5,-0.5,0.5,0.5,0.5"]
text = "log cabin"
seed = 1
[[edits]]
name = "half"
asset = "hut"
mode = "remove"
boxes = ["0,-0.5,-0.5,0.5,0.5,0.5"]
seed = 1
"""


def test_the_shipped_suite_is_what_it_says() -> None:
    """32 edits; toys are of groups that training never saw; every region lies in the cube."""
    suite = read_suite("edit-mini")
    modes = [edit.mode for edit in suite.edits]
    assert {m: modes.count(m) for m in modes} == {"replace": 10, "add": 8, "remove": 8, "vary": 6}
    assert {edit.asset for edit in suite.edits} == {asset.name for asset in suite.assets}
    toys = [asset for asset in suite.assets if asset.toybox]
    assert all(split_of(toybox.make(toy.toybox, toy.seed).group) == "test" for toy in toys)
    assert len(toys) == 12 and len(suite.assets) == 17
    for edit in suite.edits:
        assert bool(edit.boxes) == (edit.mode != "vary") and bool(edit.text) == (edit.mode != "remove")
        for box in map(parse_box, edit.boxes):
            assert all(-0.5 <= a < b <= 0.5 for a, b in zip(box.low, box.high, strict=True))
    assert "edit-mini" in recipes.suites() and not any("edit-mini" in name for name in recipes.names())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "half"', 'name = "other-half"', "two edits are called"),
        ('asset = "hut"\nmode = "remove"', 'asset = "hat"\nmode = "remove"', "no asset"),
        ('mode = "remove"', 'mode = "move"', "has mode 'move'"),
        ('toybox = "house"', 'toybox = "mansion"', "toybox has no 'mansion'"),
        ('toybox = "house"', 'toybox = "house"\ntext = "a"', "one of the two"),
        ('kind = "edit"', 'kind = "sing"', "kind is 'sing'"),
        ("seed = 5", "sed = 5", "no such key 'sed'"),
        ('name = "half"', 'name = "../half"', "no name of a file"),
    ],
)
def test_a_suite_that_is_none(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SUITE
    (tmp_path / "x.toml").write_text(SUITE.replace(old, new, 1))
    with pytest.raises(RecipeError, match=said):
        read_suite(str(tmp_path / "x.toml"))


def test_a_suite_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no suite 'nothing'") as caught:
        read_suite("nothing")
    assert caught.value.hint and "edit-mini" in caught.value.hint
    (tmp_path / "x.toml").write_text("a = ")
    with pytest.raises(FileError, match="not TOML"):
        read_suite(str(tmp_path / "x.toml"))


def test_a_suite_is_run_and_gives_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    """A failing edit is listed, and does not stop the others."""
    (tmp_path / "two.toml").write_text(SUITE)
    command = ("eval", "--suite", tmp_path / "two.toml", "--model", world.model, *FIXED, "--quiet")
    said = trellis(*command, "-o", tmp_path / "a.json", "--work", tmp_path / "a")
    assert "replace" in said and "no-resampling" in said and "5 scores" in said
    report = json.loads((tmp_path / "a.json").read_text())
    rows = {(row["edit"], row["method"]): row for row in report["edits"]}
    assert set(rows) == {
        *((("other-half"), m) for m in ("repaint", "no-resampling", "paste")),
        *((("half"), m) for m in ("repaint", "paste")),
    }
    assert all(row["identical"] == 1.0 for row in rows.values())
    assert rows["half", "paste"]["voxels_new"] == 0 <= rows["half", "repaint"]["voxels_new"]
    assert rows["other-half", "repaint"]["gain_after"] != rows["other-half", "repaint"]["gain_before"]
    before = (tmp_path / "a.json").read_bytes()
    trellis(*command, "-o", tmp_path / "a.json", "--work", tmp_path / "a")
    assert (tmp_path / "a.json").read_bytes() == before
    score = next((tmp_path / "a" / "scores").rglob("half.json"))
    score.write_text("{")  # a kill while it was copied
    trellis(*command, "-o", tmp_path / "b.json", "--work", tmp_path / "a")
    assert (tmp_path / "b.json").read_bytes() == before
    (tmp_path / "two.toml").write_text(SUITE.replace("0,-0.5,-0.5,0.5", "0.49,0.49,0.49,0.5", 1))
    trellis(*command, "-o", tmp_path / "c.json", "--work", tmp_path / "c", code=2)  # a box without a voxel
    (tmp_path / "two.toml").write_text(
        SUITE.replace('mode = "remove"\nboxes = ["0,', 'mode = "remove"\nboxes = ["-0.5,')
    )
    trellis(*command, "-o", tmp_path / "d.json", "--work", tmp_path / "d", code=5)  # nothing would be kept
    failed = json.loads((tmp_path / "d.json").read_text())
    assert len(failed["edits"]) == 3 and "nothing would be kept" in failed["failed"][0]["reason"]


def test_means_have_intervals_that_hold_them() -> None:
    """Nine edits; one of them is drawn twice and counts once."""
    rows = [
        {"edit": str(v), "draw": 0, "method": "m", "mode": "add", "psnr": v, "seam": {"normal": 2 * v}, "gap": None}
        for v in range(8)
    ]
    rows += [{"edit": "8", "draw": k, "method": "m", "mode": "add", "psnr": v} for k, v in enumerate((7, 9))]
    table = means(rows)["m"]["add"]
    assert table["psnr"]["mean"] == 4 and table["seam.normal"]["mean"] == 7 and table["psnr"]["num"] == 9
    assert 0 < table["psnr"]["low"] < 4 < table["psnr"]["high"] < 8 and not {"gap", "draw"} & table.keys()
    assert ["add", "m"] in [line.split()[:2] for line in text_table(means(rows)).splitlines()]


def test_differences_are_paired() -> None:
    """Edits that vary far more among themselves than between methods; one has no score, one no partner."""
    rows = [
        {"edit": str(k), "method": m, "mode": "add" if k % 2 else "replace", "gap": 100.0 * k + d}
        for k in range(8)
        for m, d in (("a", 0.0), ("b", 1.0 + 0.1 * k))
    ]
    rows += [{"edit": "x", "method": "a", "mode": "add", "gap": 5.0}, {"edit": "0", "method": "c", "mode": "add"}]
    found = differences(rows, "a", ["b", "c"])
    assert found["a - c"] == {}
    every = found["a - b"]["all"]["gap"]
    assert every["num"] == 8 and every["mean"] == pytest.approx(-1.35) and -1.7 < every["low"] < every["high"] < -1
    assert found["a - b"]["add"]["gap"]["num"] == 4
    rows += [{"edit": "0", "draw": 1, "method": m, "mode": "replace", "gap": v} for m, v in (("a", 9.0), ("b", 0.0))]
    assert differences(rows, "a", ["b"])["a - b"]["all"]["gap"]["mean"] == pytest.approx(-1.35 + 5 / 8)


def test_draws_differ_in_their_seeds_alone() -> None:
    suite = read_suite("edit-mini")
    tasks = suite.tasks(["house-roof"], draws=2)
    assert [(t.stem, t.spec.seed) for t in tasks] == [("house-roof", 100), ("house-roof.1", 1100)]
    assert tasks[0].spec == next(e for e in suite.edits if e.name == "house-roof")
    assert [t.spec.name for t in suite.tasks()] == [e.name for e in suite.edits]
