"""The benchmark runner: parity before times, one JSON line a row, and no op forgotten."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

OPS = Path(__file__).parent.parent.parent / "ops"
FOLDERS = sorted(p.parent.name for p in (OPS / "trellis_ops").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def run():
    """ops/bench/run.py as a module; it lies outside the packages."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("trellis_bench_run", OPS / "bench" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    sys.modules.pop("cases", None)


@pytest.fixture
def tiny(run, monkeypatch):
    """One case of `voxelize` whose full size is as small as its parity check; answers can be spoilt."""
    spoilt = {"by": 0}
    case = next(run.CASES["voxelize"]("cpu"))

    def call(*, backend, **inputs):
        answer = case.call(**inputs, backend=backend)
        return answer + spoilt["by"] if backend == "cpu" else answer

    tiny = type(case)(op="voxelize", name="tiny", call=call, inputs=case.small, small=case.small)
    monkeypatch.setitem(run.CASES, "voxelize", lambda device: iter([tiny]))
    return spoilt


def test_every_op_is_timed(run):
    assert sorted(run.CASES) == FOLDERS


@pytest.mark.parametrize("op", FOLDERS)
def test_the_default_backend_matches_at_the_benchmarks_small_size(run, op):
    torch.manual_seed(0)
    for case in run.CASES[op]("cpu"):
        run.check(case, "cpu")


def test_rows_are_json(run, tiny, capsys):
    assert run.main(["voxelize", "--rounds", "3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["op"], row["backend"], row["pass"]) for row in rows][0] == ("voxelize", "cpu", "forward")
    assert all(row["ms_min"] <= row["ms_median"] <= row["ms_max"] for row in rows)
    assert rows[0]["torch"] == torch.__version__


def test_a_wrong_answer_is_not_timed(run, tiny, capsys):
    tiny["by"] = 1
    assert run.main(["voxelize", "--backend", "cpu", "--rounds", "3"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no timing without parity: voxelize (tiny) on cpu" in err


def test_a_refusal_is_told(run, capsys):
    assert run.main(["view_average", "--backend", "triton", "--rounds", "3"]) == 0
    assert "skipped: view_average has no backend 'triton'; it has cpu, reference" in capsys.readouterr().err


def test_an_unknown_op_is_a_usage_error(run, capsys):
    with pytest.raises(SystemExit, match="2"):
        run.main(["volexize"])
    assert "no such op: volexize" in capsys.readouterr().err


def test_the_readme_lists_every_op_and_its_backends(run):
    """OPS holds what the contracts registered when the cases imported them."""
    for op in FOLDERS:
        importlib.import_module(f"trellis_ops.{op}")
    rows = [line.split(" | ") for line in (OPS / "README.md").read_text().splitlines() if line.startswith("| `")]
    listed = {row[0].split("`")[1]: row[2].replace("`", "").split(", ") for row in rows}
    registered = {name: list(op.backends) for name, op in run.OPS.items() if op.package.startswith("trellis_ops.")}
    assert listed == registered
