"""Options that mean the same in every command."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.errors import MissingError, UsageError, backend_refused

Out = Annotated[Path, typer.Option("-o", "--out", help="The file to write.", show_default=False)]
MaybeOut = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="The file to write; its extension names the format.", show_default=False),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if another file is there.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="i/n",
        help="Do only this part of the inputs, i from 0 to n - 1.",
        show_default="a SLURM array's task, else all",
    ),
]
WorkerProcesses = Annotated[
    int, typer.Option("--workers", min=1, max=256, help="Work on so many items at once, each in a process of its own.")
]
ItemTimeout = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Give up an item that takes longer.", show_default=False),
]
WorkerMemory = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="GIB", help="Memory that a worker process may take.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:n]", help="Where to compute.")]
Dtype = Annotated[str, typer.Option(metavar="auto|float32|bfloat16|float16", help="What the networks compute in.")]
Backend = Annotated[
    list[str] | None,
    typer.Option("--backend", metavar="op=name", help="Force an op's backend; repeatable.", show_default=False),
]
RequireGpu = Annotated[bool, typer.Option("--require-gpu", help="Fail rather than fall back to the CPU.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]
KeepLoaded = Annotated[
    bool | None,
    typer.Option(
        "--keep-loaded/--one-at-a-time",
        help="Keep all networks in memory, or one at a time. By default all for several assets, where they fit.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="More notes.")]
Model = Annotated[
    str, typer.Option(help="A model folder, a shipped model's name, or an id on the Hugging Face hub (owner/name).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe; repeatable.", show_default=False),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        "--start-from",
        metavar="MODEL",
        help="A run or a model whose weights a new run begins with, where they fit.",
        show_default=False,
    ),
]


def _plot(run: Path | None) -> Path | None:
    """Draw the curves instead of training; no other argument is then asked for."""
    if run is not None:
        from trellis_cli.stages.plot_run import plot_run

        console.result(str(plot_run(run)))
        raise typer.Exit
    return run


Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="RUN", callback=_plot, is_eager=True, show_default=False,
        help="Draw the curves of a run to RUN/curves.png, and train nothing.",
    ),
]  # fmt: skip
MaxMinutes = Annotated[float | None, typer.Option(min=0, help="Stop cleanly after this long.", show_default=False)]


@contextmanager
def running(
    *,
    quiet: bool = False,
    verbose: bool = False,
    backend: Sequence[str] | None = None,
    device: str = "cpu",
    require_gpu: bool = False,
    workers: int = 1,
    item_timeout: float | None = None,
    worker_memory: float | None = None,
) -> Iterator[str]:
    """The frame of every command: sets up the console and forced backends; gives the device to use.

    Raises:
        UsageError: an unknown device, op or backend, or a backend that cannot run a call.
        MissingError: a GPU was asked for and there is none.
    """
    console.configure(quiet=quiet, verbose=verbose)
    from trellis_cli.session import backend_choices  # heavy only from here on
    from trellis_cli.workers import Workers, asked_for
    from trellis_ops._dispatch import BackendUnavailable, forced

    chosen = resolve_device(device, require_gpu=require_gpu)
    try:
        asked = Workers(workers, item_timeout, None if worker_memory is None else round(worker_memory * 2**30))
        with forced(backend_choices(backend or [])), asked_for(asked):
            yield chosen
    except BackendUnavailable as error:
        raise backend_refused(error) from error


def resolve_device(device: str, *, require_gpu: bool = False) -> str:
    """`auto` becomes cuda where there is one, else cpu."""
    if device == "cpu" and not require_gpu:
        return device
    import torch

    if device not in ("auto", "cpu", "cuda") and not (device.startswith("cuda:") and device[5:].isdecimal()):
        raise UsageError(f"--device {device!r} is not auto, cpu, cuda or cuda:n", hint="for example --device cuda:0")
    there = torch.cuda.is_available()
    if not there and (require_gpu or device.startswith("cuda")):
        raise MissingError("no CUDA device here", hint="leave out --require-gpu and --device, or see `trellis doctor`")
    return ("cuda" if there else "cpu") if device == "auto" else device


def torso_dtype(dtype: str, device: str):
    """What `--dtype` means on a device. Raises UsageError."""
    from trellis_cli.training.loop import torso_dtype as resolve

    if dtype not in ("auto", "float32", "bfloat16", "float16"):
        raise UsageError(f"--dtype {dtype!r} is not known", hint="one of: auto, float32, bfloat16, float16")
    if dtype == "float16" and device == "cpu":
        console.note("float16 is no fast format of a CPU: --dtype auto is several times faster")
    return resolve(dtype, device)


def run_text(summary: dict[str, object]) -> str:
    """A training run's last line."""
    if summary["finished"]:
        return f"{summary['run']}: finished, weights in {summary['run']}/ckpts"
    return f"{summary['run']}: stopped, the same command goes on; weights so far in {summary['run']}/ckpts"
