"""Time the backends of ops, each only after it has matched the reference; one JSON line a row.

    python ops/bench/run.py                                   # every op, every backend that runs here
    python ops/bench/run.py splat rasterize --device cuda
    python ops/bench/run.py splat --backend cpu --rounds 50

Rows go to stdout; what was skipped and why, to stderr. The exit code is 1 if a backend failed its parity.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from trellis_ops._dispatch import OPS, BackendUnavailable

sys.path.insert(0, str(Path(__file__).parent))  # so that it also runs from a test or another folder
from cases import CASES, Case, tensors


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def with_gradients(case: Case, inputs: dict[str, Any], backend: str | None) -> tuple[Any, list[torch.Tensor]]:
    """The answer and the gradients of a fixed sum of its float outputs."""
    leaves = {name: inputs[name].detach().requires_grad_() for name in case.gradients}
    answer = case.call(**{**inputs, **leaves}, backend=backend)
    outputs = [t for t in tensors(answer) if t.requires_grad]
    # Weights that differ from element to element, so that no gradient can cancel.
    weights = [torch.linspace(0.5, 1.5, t.numel(), device=t.device).to(t.dtype).reshape(t.shape) for t in outputs]
    total = sum((t * w).sum() for t, w in zip(outputs, weights, strict=True))
    return answer, list(torch.autograd.grad(total, list(leaves.values())))


def check(case: Case, backend: str) -> None:
    """Raise AssertionError unless the backend does on the small inputs what the reference does."""
    what = f"{case.op} ({case.name}) on {backend}"
    if case.gradients:
        want, want_gradients = with_gradients(case, dict(case.small), "reference")
        got, got_gradients = with_gradients(case, dict(case.small), backend)
        case.parity(got_gradients, want_gradients, what=f"{what}, gradients", ratio=case.gradient_ratio)
    else:
        want, got = case.call(**case.small, backend="reference"), case.call(**case.small, backend=backend)
    case.parity(got, want, what=what)


def milliseconds(call: Callable[[], Any], device: str, *, rounds: int) -> list[float]:
    """Wall time of each round, shortest first, after three that are not counted (compiling, tuning, warm caches)."""

    def once() -> float:
        start = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start)

    for _ in range(3):
        once()
    return sorted(once() for _ in range(rounds))


def rows(case: Case, backend: str, device: str, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Check, then time: the call alone, and with its backward pass where it has one."""
    check(case, backend)
    calls = {"forward": lambda: case.call(**case.inputs, backend=backend)}
    if case.gradients:
        calls["forward+backward"] = lambda: with_gradients(case, dict(case.inputs), backend)
    for what, call in calls.items():
        times = milliseconds(call, device, rounds=rounds)
        yield {
            "op": case.op,
            "case": case.name,
            "pass": what,
            "backend": backend,
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else processor(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "rounds": rounds,
            "ms_min": round(times[0], 3),
            "ms_median": round(statistics.median(times), 3),
            "ms_max": round(times[-1], 3),
        }


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="*", metavar="OP", help=f"any of {', '.join(CASES)}; by default all")
    parser.add_argument("--backend", help="time this backend alone (the reference too, if named)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.ops) - CASES.keys():
        parser.error(f"no such op: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")

    failed = False
    for op in chosen.ops or CASES:
        torch.manual_seed(0)
        for case in CASES[op](chosen.device):
            backends = [chosen.backend] if chosen.backend else [b for b in OPS[op].backends if b != "reference"]
            for backend in backends:
                try:
                    for row in rows(case, backend, chosen.device, rounds=chosen.rounds):
                        sys.stdout.write(json.dumps(row) + "\n")
                        sys.stdout.flush()
                except BackendUnavailable as why:
                    say(f"skipped: {why}")
                except AssertionError as error:
                    failed = True
                    say(f"no timing without parity: {error}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
