"""Plain files of decoded assets: skipped where done, never over another's file, on past a bad asset."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trellis_cli.errors import FileError, SomeFailed, TrellisError, UsageError
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.io.stamps import BLANK, stamped
from trellis_cli.stages.decode_files import Decoded, Source, write_files


def _slat(path: Path, *values: int) -> Path:
    """One asset for each value, which is its id and all its latents."""
    assets = [
        with_ids(f"{v:064x}", lengths=2, coords=np.array([[0, 0, v], [1, 0, v]], np.int16),
                 feats=np.full((2, 4), v, np.float32)) for v in values
    ]  # fmt: skip
    write_stage(path, {"slat": (assets, {"resolution": 16})}, Provenance("encode", {}))
    return path


class Decoder:
    """Writes an asset's value; `bad` values have no surface, at `crash` the program itself breaks."""

    def __init__(self, *, bad: Sequence[int] = (), crash: int | None = None) -> None:
        self.bad, self.crash, self.calls = bad, crash, []

    def __call__(self, source: Source, work: str) -> bytes:
        value = int(source.group.asset(source.index)["feats"][0, 0])
        self.calls.append(value)
        if value == self.crash:
            raise KeyboardInterrupt("power cut")
        if value in self.bad:
            raise TrellisError("no surface", hint="another seed")
        return stamped(f"# {BLANK}\nasset {value}\n".encode(), work)


@contextmanager
def _sources(paths: Sequence[Path]) -> Iterator[list[Source]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        groups = [(p, stack.enter_context(open_stage(p)).group("slat")) for p in paths]
        yield [Source(p, g, k) for p, g in groups for k in range(len(g))]


def _run(paths: Sequence[Path] | Path, decoder: Decoder, out: Path | None = None, **options: Any) -> Decoded:
    paths = [paths] if isinstance(paths, Path) else list(paths)
    parameters = {"format": options.pop("format", "mesh")}
    with _sources(paths) as sources:
        return write_files(sources, decoder, parameters, paths, out, options.pop("suffix", ".glb"), **options)


def _values(folder: Path) -> list[int]:
    return [int(p.read_text().split()[-1]) for p in sorted(folder.glob("*.glb"))]


def test_default_names(tmp_path: Path) -> None:
    one, two = _slat(tmp_path / "one.slat.h5", 1), _slat(tmp_path / "two.slat.h5", 2, 3)
    assert _run(one, Decoder()).files == (tmp_path / "one.glb",)
    assert _run(two, Decoder()).files == tuple(tmp_path / "two" / f"{v:064x}.glb" for v in (2, 3))
    got = _run([one, two], Decoder(), tmp_path / "all")
    assert sorted(p.name for p in got.files) == sorted(["one.glb", f"{2:064x}.glb", f"{3:064x}.glb"])


def test_done_work_is_not_done_again(tmp_path: Path) -> None:
    slat, decoder = _slat(tmp_path / "x.slat.h5", 1, 2), Decoder()
    assert _run(slat, Decoder()).done == 2
    again = _run(slat, decoder)
    assert not decoder.calls and (again.done, again.kept) == (0, 2)
    assert again.text == f"2 files in {tmp_path / 'x'}: done already"
    renamed = _slat(tmp_path / "y.slat.h5", 2, 1)
    assert _run(renamed, decoder, tmp_path / "x").kept == 2  # by content, not by name


def test_a_stopped_decode_goes_on_where_it_was(tmp_path: Path) -> None:
    slat, decoder = _slat(tmp_path / "x.slat.h5", 1, 2, 3), Decoder()
    with pytest.raises(KeyboardInterrupt, match="power cut"):
        _run(slat, Decoder(crash=2))
    assert _values(tmp_path / "x") == [1]
    got = _run(slat, decoder)
    assert decoder.calls == [2, 3] and (got.done, got.kept) == (2, 1) and _values(tmp_path / "x") == [1, 2, 3]
    assert "1 done already" in got.text


@pytest.mark.parametrize("change", ["foreign", "edited", "parameters", "latents", "folder"])
def test_another_file_in_the_way_is_left_alone(tmp_path: Path, change: str) -> None:
    slat, decoder = _slat(tmp_path / "x.slat.h5", 1), Decoder()
    target, options = tmp_path / "x.glb", {}
    if change == "folder":
        target.mkdir()
    elif change == "foreign":
        target.write_text("mine")
    else:
        _run(slat, Decoder())
    if change == "edited":
        target.write_text(target.read_text().replace("asset", "chair"))
    elif change == "parameters":
        options = {"format": "gaussians"}
    elif change == "latents":
        slat.unlink()
        _slat(slat, 9)
    before = None if change == "folder" else target.read_bytes()
    with pytest.raises(UsageError, match=r"x\.glb exists and was not made by this very command") as caught:
        _run(slat, decoder, **options)
    assert "--overwrite" in caught.value.hint and not decoder.calls
    if before is not None:
        assert target.read_bytes() == before
        assert _run(slat, decoder, overwrite=True, **options).done == 1 and target.read_bytes() != before


def test_what_is_in_the_way_is_found_before_any_work(tmp_path: Path) -> None:
    slat, decoder = _slat(tmp_path / "x.slat.h5", 1, 2), Decoder()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / f"{2:064x}.glb").write_text("mine")
    with pytest.raises(UsageError):
        _run(slat, decoder)
    assert not decoder.calls


def test_a_format_without_stamps_is_compared_by_its_bytes(tmp_path: Path) -> None:
    slat, decoder = _slat(tmp_path / "x.slat.h5", 1), Decoder()
    assert _run(slat, decoder, suffix=".splat").done == 1
    assert _run(slat, decoder, suffix=".splat").kept == 1 and decoder.calls == [1, 1]
    (tmp_path / "x.splat").write_text("mine")
    with pytest.raises(UsageError, match="was not made by this very command"):
        _run(slat, decoder, suffix=".splat")
    assert (tmp_path / "x.splat").read_text() == "mine"


def test_a_bad_asset_does_not_stop_the_others(tmp_path: Path) -> None:
    slat = _slat(tmp_path / "x.slat.h5", 1, 2, 3)
    with pytest.raises(SomeFailed, match="1 of 3 inputs failed, the first: no surface") as caught:
        _run(slat, Decoder(bad=[2]))
    ledger = tmp_path / "decode.ledger.jsonl"
    assert caught.value.code == 5 and str(ledger) in caught.value.hint and _values(tmp_path / "x") == [1, 3]
    row = json.loads(ledger.read_text())
    assert (row["name"], row["reason"]) == ("x.slat.h5:1", "no surface")

    again = Decoder()
    with pytest.raises(SomeFailed):
        _run(slat, again)
    assert not again.calls  # it failed before, and nobody asked to retry
    other = _slat(tmp_path / "y.slat.h5", 7)
    assert _run(other, Decoder()).done == 1 and ledger.exists()  # other work leaves the list alone
    assert _run(slat, again, retry_failed=True).kept == 2
    assert again.calls == [2] and _values(tmp_path / "x") == [1, 2, 3] and not ledger.exists()


def test_a_stopped_decode_keeps_what_failed_and_a_repaired_input_is_forgotten(tmp_path: Path) -> None:
    slat, ledger = _slat(tmp_path / "x.slat.h5", 1, 2, 3), tmp_path / "decode.ledger.jsonl"
    with pytest.raises(KeyboardInterrupt, match="power cut"):
        _run(slat, Decoder(bad=[1], crash=2))
    assert json.loads(ledger.read_text())["name"] == "x.slat.h5:0"
    assert _run(slat, Decoder(), retry_failed=True).done == 3 and not ledger.exists()

    mended = tmp_path / "y.slat.h5"
    gone = [(str(mended), FileError("y.slat.h5: no such file", hint="check the path"))]
    with _sources([slat]) as sources, pytest.raises(SomeFailed):
        write_files(sources, Decoder(), {"format": "mesh"}, [slat, mended], None, ".glb", bad=gone)
    assert ledger.exists()  # until the input is repaired
    assert _run([slat, _slat(mended, 7)], Decoder()).done == 1 and not ledger.exists()


def test_the_only_asset_raises_its_own_error_and_leaves_nothing(tmp_path: Path) -> None:
    slat = _slat(tmp_path / "x.slat.h5", 1)
    for _ in range(2):
        with pytest.raises(TrellisError, match="^no surface$") as caught:
            _run(slat, Decoder(bad=[1]))
        assert caught.value.code == 1
    gone = [("y.slat.h5", FileError("y.slat.h5: no such file", hint="check the path"))]
    with pytest.raises(FileError, match="no such file"):
        write_files([], Decoder(), {}, [tmp_path / "y.slat.h5"], None, ".glb", bad=gone)
    assert [p.name for p in tmp_path.iterdir()] == ["x.slat.h5"]
    with pytest.raises(SomeFailed, match="1 of 2 inputs failed"):
        _run(slat, Decoder(), bad=gone)
    assert (tmp_path / "x.glb").exists()


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    two = _slat(tmp_path / "two.slat.h5", 2, 3)
    with pytest.raises(UsageError, match="names one file for 2 assets"):
        _run(two, Decoder(), tmp_path / "x.glb")
    (tmp_path / "v1.0").mkdir()
    assert _run(two, Decoder(), tmp_path / "v1.0").done == 2  # a folder with a dot is one all the same
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = _slat(tmp_path / "a" / "x.slat.h5", 1), _slat(tmp_path / "b" / "x.slat.h5", 2)
    with pytest.raises(UsageError, match="would both be written to"):
        _run([a, b], Decoder(), tmp_path / "out")
    assert _run([a, a], Decoder(), tmp_path / "out").done == 1  # the same asset twice counts once


def test_a_file_without_assets_gives_no_files(tmp_path: Path) -> None:
    got = _run(_slat(tmp_path / "empty.slat.h5"), Decoder())
    assert got.files == () and "no asset" in got.text and [p.name for p in tmp_path.iterdir()] == ["empty.slat.h5"]
