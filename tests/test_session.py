"""Batches: skip what is done, go on past a bad item, keep a ledger, never touch another's file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trellis_cli.errors import DiskError, FileError, SomeFailed, TrellisError, UsageError
from trellis_cli.io.stage_files import Asset, Provenance, open_stage, with_ids
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.shards import in_shard, parse_shard

ITEMS = [Item(f"{k:064x}", f"mesh{k}.glb", k) for k in (2, 0, 3, 1)]


class Work:
    """Makes k + 1 voxels for item k; `bad` items fail as bad files do, at `crash` the program itself breaks."""

    def __init__(self, *, bad: Sequence[int] = (), crash: int | None = None) -> None:
        self.bad, self.crash, self.calls = bad, crash, []

    def __call__(self, item: Item) -> dict[str, Asset]:
        self.calls.append(item.payload)
        if item.payload == self.crash:
            raise KeyboardInterrupt("power cut")
        if item.payload in self.bad:
            raise FileError(f"{item.name} is broken", hint="repair it")
        coords = np.full((item.payload + 1, 3), item.payload, np.int16)
        return {"voxels": with_ids(item.id, lengths=len(coords), coords=coords, source_to_cube=np.eye(4))}


def _run(out: Path, work: Work, items: Sequence[Item] = ITEMS, *, resolution: int = 16, **options: Any) -> Summary:
    inputs = options.pop("inputs", [(i.id, i.name) for i in items])
    provenance = Provenance("voxelize", {"resolution": resolution}, inputs=inputs)
    return run_batch(items, work, out, provenance, {"voxels": {"resolution": resolution}}, **options)


def _held(out: Path) -> list[int]:
    with open_stage(out) as file:
        group = file.group("voxels")
        return [int(group.asset(k)["coords"][0, 0]) for k in range(len(group))]


def _ledger(out: Path) -> list[dict[str, str]]:
    path = out.with_name(out.name + ".ledger.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_stopped_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    out, whole = tmp_path / "x.h5", tmp_path / "whole" / "x.h5"
    with pytest.raises(KeyboardInterrupt, match="power cut"):
        _run(out, Work(crash=3))
    assert not out.exists()
    work = Work()
    assert _run(out, work).done == 4
    assert work.calls == [3, 1] and _held(out) == [0, 1, 2, 3]
    _run(whole, Work())
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["whole", "x.h5"]


def test_done_work_is_not_done_again(tmp_path: Path) -> None:
    out, work = tmp_path / "x.h5", Work()
    _run(out, Work())
    before = out.read_bytes()
    assert "done already (4 assets)" in _run(out, work).text
    assert not work.calls and out.read_bytes() == before
    renamed = [Item(i.id, f"other-{i.name}", i.payload) for i in ITEMS]
    assert "done already" in _run(out, work, renamed).text  # by content, not by name


def test_a_grown_list_does_the_rest_only(tmp_path: Path) -> None:
    out, whole, work = tmp_path / "x.h5", tmp_path / "whole.h5", Work()
    _run(out, Work(), ITEMS[:2])
    summary = _run(out, work)
    assert (summary.done, summary.kept, work.calls) == (2, 2, [3, 1])
    _run(whole, Work())
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("change", ["text", "parameters", "items", "inputs"])
def test_another_file_in_the_way_is_left_alone(tmp_path: Path, change: str) -> None:
    """`inputs`: assets keep their ids when the files they are read from change, as views rendered anew do."""
    out, inputs = tmp_path / "x.h5", [("a" * 64, "views.h5")]
    if change == "text":
        out.write_text("my notes")
    else:
        _run(out, Work(), resolution=32 if change == "parameters" else 16, inputs=inputs)
    before = out.read_bytes()
    again = {"inputs": [("b" * 64, "views.h5")] if change == "inputs" else inputs}
    items = ITEMS[:2] if change == "items" else ITEMS
    with pytest.raises(UsageError, match="was not made by this very command") as caught:
        _run(out, Work(), items, **again)
    assert "--overwrite" in caught.value.hint and out.read_bytes() == before
    assert _run(out, Work(), items, **again, overwrite=True).done == len(items)


def test_a_bad_item_does_not_stop_the_others(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    with pytest.raises(SomeFailed, match="1 of 4 inputs failed") as caught:
        _run(out, Work(bad=[0]))
    assert caught.value.code == 5 and str(out) in caught.value.hint
    assert _held(out) == [1, 2, 3]
    (row,) = _ledger(out)
    assert (row["name"], row["reason"], row["hint"]) == ("mesh0.glb", "mesh0.glb is broken", "repair it")

    again = Work()
    with pytest.raises(SomeFailed):
        _run(out, again)
    assert not again.calls  # it failed before, and nobody asked to retry

    assert _run(out, again, retry_failed=True).failed == 0
    assert again.calls == [0] and _held(out) == [0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_a_stopped_batch_keeps_what_failed(tmp_path: Path) -> None:
    out, again = tmp_path / "x.h5", Work()
    with pytest.raises(KeyboardInterrupt, match="power cut"):
        _run(out, Work(bad=[2, 0], crash=3))
    assert [row["name"] for row in _ledger(out)] == ["mesh2.glb", "mesh0.glb"]
    with pytest.raises(KeyboardInterrupt, match="power cut"):  # of the retried ones, those that it did not come to stay
        _run(out, Work(crash=2), retry_failed=True)
    assert [row["name"] for row in _ledger(out)] == ["mesh0.glb"]
    with pytest.raises(SomeFailed, match="1 of 4 inputs failed"):
        _run(out, again)
    assert again.calls == [2, 3, 1]


def test_a_ledger_of_other_work_is_not_believed(tmp_path: Path) -> None:
    out, work = tmp_path / "x.h5", Work()
    with pytest.raises(SomeFailed, match="all 4 inputs failed"):
        _run(out, Work(bad=range(4)), resolution=32)
    assert not out.exists() and len(_ledger(out)) == 4
    assert _run(out, work).done == 4


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.h5.ledger.jsonl").write_text("{")
    with pytest.raises(FileError, match="ledger.jsonl is damaged"):
        _run(tmp_path / "x.h5", Work())


def test_inputs_that_cannot_be_opened_count_as_failed(tmp_path: Path) -> None:
    out, bad = tmp_path / "x.h5", [("gone.glb", FileError("gone.glb: no such file", hint="check the path"))]
    for work in (Work(), Work()):  # the second time nothing is to be done, and yet one input is bad
        with pytest.raises(SomeFailed, match="1 of 5 inputs failed"):
            _run(out, work, bad_inputs=bad)
    assert not work.calls and _held(out) == [0, 1, 2, 3]
    assert [row["name"] for row in _ledger(out)] == ["gone.glb"]


@pytest.mark.parametrize("opened", [True, False])
def test_a_single_bad_input_raises_its_own_error_and_leaves_nothing(tmp_path: Path, opened: bool) -> None:
    work = Work(bad=[2])
    for _ in range(2):
        with pytest.raises(FileError, match="is broken"):
            if opened:
                _run(tmp_path / "x.h5", work, ITEMS[:1])
            else:
                _run(tmp_path / "x.h5", work, [], bad_inputs=[("y", FileError("y is broken", hint="repair it"))])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_bad_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise DiskError("could not be written: no space left", hint="free some")

    monkeypatch.setattr("trellis_cli.session.write_part", full)
    work = Work()
    with pytest.raises(TrellisError, match="no space left") as caught:
        _run(tmp_path / "x.h5", work)
    assert caught.value.code == 1 and work.calls == [2]


def test_no_items_give_a_valid_empty_file(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    assert _run(out, Work(), []).text.endswith("0 assets") and _held(out) == []
    assert _run(out, Work(), []).done == 0


def test_in_order_keeps_the_order_of_the_items(tmp_path: Path) -> None:
    _run(tmp_path / "x.h5", Work(), in_order=True)
    assert _held(tmp_path / "x.h5") == [2, 0, 3, 1]


def test_an_output_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a stage file is a .h5"):
        _run(tmp_path / "x.png", Work())


@pytest.mark.parametrize("n", [1, 2, 7])
def test_shards_are_a_partition(n: int) -> None:
    ids = [f"{k:064x}" for k in range(50)]
    shards = [[i for i in ids if in_shard(i, parse_shard(f"{k}/{n}"))] for k in range(n)]
    assert sorted(i for shard in shards for i in shard) == ids
    assert all(shards)


def array(monkeypatch: pytest.MonkeyPatch, task: object, low: object, high: object, count: object) -> None:
    for name, value in (("ID", task), ("MIN", low), ("MAX", high), ("COUNT", count)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))


def test_a_task_of_a_slurm_array_does_its_own_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_shard(None) == (0, 1)
    array(monkeypatch, 2, 0, 3, 4)
    assert parse_shard(None) == (2, 4) and parse_shard("1/3") == (1, 3)


@pytest.mark.parametrize("given", [(3, 3, 3, 1), (1, 1, 4, 4), (2, 0, 4, 3), ("x", 0, 3, 4), (4, 0, 3, 4)])
def test_arrays_that_do_not_say_how_many_shards_there_are(
    given: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    array(monkeypatch, *given)
    with pytest.raises(UsageError, match="not 0-<n - 1>"):
        parse_shard(None)
    assert parse_shard("3/4") == (3, 4)


@pytest.mark.parametrize("text", ["2/2", "-1/2", "1", "a/b", "1/", "0/0"])
def test_shards_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)
