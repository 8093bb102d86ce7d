"""The one place that prints: results to stdout, progress and messages to stderr."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")
_state = {"quiet": False, "verbose": False}


def configure(*, quiet: bool = False, verbose: bool = False) -> None:
    """What `--quiet` and `--verbose` mean, for the rest of the process."""
    import logging

    _state.update(quiet=quiet, verbose=verbose)
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s", level=logging.WARNING, force=True)
    logging.getLogger("trellis_cli").setLevel(level)


def result(text: str, data: Any = None, *, as_json: bool = False) -> None:
    """The command's result on stdout: `text`, or with --json `data`."""
    if as_json and is_dataclass(data) and not isinstance(data, type):
        data = asdict(data)
    print(json.dumps(data, indent=2, default=str) if as_json else text, flush=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each as a table for a result, the first its head; numbers to the right.

    In bold and with a rule as far as stdout shows such things; never wrapped, so that a line stays a row.
    """
    from io import StringIO

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for k, name in enumerate(rows[0]):
        numbers = all(row[k][:1] in "+-.0123456789" for row in rows[1:])
        made.add_column(Text(name), justify="right" if numbers else "left", no_wrap=True)
    for row in rows[1:]:
        made.add_row(*map(Text, row))
    widths = [max(map(len, cells)) + 3 for cells in zip(*rows, strict=True)]
    out = StringIO()
    Console(file=out, width=sum(widths), force_terminal=sys.stdout.isatty()).print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def note(text: str) -> None:
    """A message on stderr, unless --quiet."""
    if not _state["quiet"]:
        print(text, file=sys.stderr, flush=True)


def error(problem: str, hint: str = "") -> None:
    """The two lines of an expected error."""
    print(f"error: {_one_line(problem)}", file=sys.stderr)
    print(f" hint: {_one_line(hint or 'see `trellis --help`')}", file=sys.stderr, flush=True)


def track(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Pass the items on, with a progress bar on stderr where that is a terminal."""
    if _state["quiet"] or not sys.stderr.isatty() or total < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as bar

    yield from bar(items, description=what, total=total, console=Console(stderr=True), transient=True)


class Stopwatch:
    """Seconds since it was made; for reports, never for results."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.start


def _one_line(text: str) -> str:
    return " ".join(text.split())
