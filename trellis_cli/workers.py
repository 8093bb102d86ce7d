"""Worker processes of a batch command: each is the same command once more, and is told item by item what to do.

A worker that takes too long over an item, or too much memory, costs that item alone: it is stopped or has ended, the
item is noted as failed, and another worker takes its place. Finished items lie in `<out>.parts/`, as without workers.

The parent writes an item's id to a worker's stdin; the worker answers one line of JSON on a pipe of its own.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import IO, TYPE_CHECKING, Any, NoReturn

import typer

from trellis_cli import console, errors, invocation
from trellis_cli.errors import (
    NO_ITEMS_FAULT,
    DiskError,
    MissingError,
    TrellisError,
    backend_refused,
    first_line,
    is_full,
)

if TYPE_CHECKING:
    from trellis_cli.ledger import Item

_log = logging.getLogger(__name__)
START = 600.0  # seconds for a worker to come up, with its libraries and networks still to load
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # what torch says, of processors and of cards
STARTS = 3  # workers in a row that may fail to


@dataclass(frozen=True, slots=True)
class Workers:
    """How items are worked on: by `num` processes, each item in `timeout` seconds at most (None: no limit) and with
    `memory` bytes a process at most (None: no limit)."""

    num: int = 1
    timeout: float | None = None
    memory: int | None = None

    @property
    def apart(self) -> bool:
        """Whether processes of their own are needed for it."""
        return self.num > 1 or self.timeout is not None or self.memory is not None


_asked: ContextVar[Workers] = ContextVar("workers", default=Workers())  # noqa: B039 (it is frozen)


@contextmanager
def asked_for(workers: Workers) -> Iterator[None]:
    """Batches in this block are worked on so."""
    token = _asked.set(workers)
    try:
        yield
    finally:
        _asked.reset(token)


def asked() -> Workers:
    return _asked.get()


Ended = tuple["Item", Any, TrellisError | None]  # an item, what its work gave, why it failed


def each(
    items: Sequence["Item"],
    do: Callable[["Item"], Any],
    *,
    what: str,
    skip: Set[str] = frozenset(),
    begin: Callable[["Item"], object] = lambda item: None,
) -> Iterator[Ended]:
    """Do every item, here or by worker processes as was `asked_for`; they come in the order they end.

    In a worker itself this does as it is told, and does not return.

    Args:
        do: does one item and keeps it, or gives what JSON can say.
        what: the command, for the progress bar.
        skip: ids of items that are not to be done. (A worker that starts late may find more done than its parent did.)
        begin: is told of an item before it is done.

    Whatever else goes wrong with an item costs that item alone; a bug leaves its traceback on stderr.

    Raises:
        TrellisError: what is no fault of an item: a full disk, missing weights. The others stop.
    """
    if invocation.role():
        _serve(items, do)
    todo = [item for item in items if item.id not in skip]
    if _asked.get().apart:
        yield from console.track(_apart(todo, begin), total=len(todo), what=what)
        return
    for item in console.track(todo, total=len(todo), what=what):
        begin(item)
        value, failed = None, None
        try:
            value = do(item)
        except typer.Abort:  # of Ctrl-C, and an Exception
            raise
        except Exception as error:  # an asset may make any library raise anything
            failed = _expected(error)
            if isinstance(failed, NO_ITEMS_FAULT):
                raise failed from (None if failed is error else error)
        yield item, value, failed


def _apart(todo: Sequence["Item"], begin: Callable[["Item"], object]) -> Iterator[Ended]:
    pool = _Pool(_asked.get(), deque(todo), begin)
    try:
        while pool.todo or pool.busy:
            yield from pool.turn()
    finally:
        pool.stop()


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[str]
    answers: IO[str]
    item: "Item | None" = None
    since: float = field(default_factory=time.monotonic)
    ready: bool = False


class _Pool:
    def __init__(self, workers: Workers, todo: "deque[Item]", begin: Callable[["Item"], object]) -> None:
        self.workers, self.todo, self.begin = workers, todo, begin
        self.running: list[_Worker] = []
        self.stillborn = 0  # workers that ended before their first item, in a row

    @property
    def busy(self) -> int:
        return sum(w.item is not None for w in self.running)

    def turn(self) -> Iterator[Ended]:
        """Start who is missing, hear who answers, give the idle ones their next items, stop who is late."""
        while len(self.running) < min(self.workers.num, len(self.todo) + self.busy):
            self.running.append(_start(self.workers))
        by_pipe = {worker.answers.fileno(): worker for worker in self.running}
        for pipe in wait(list(by_pipe), timeout=self._patience()):
            assert isinstance(pipe, int)
            yield from self._heard(by_pipe[pipe], by_pipe[pipe].answers.readline())
        for worker in self.running:
            if self.todo and worker.ready and worker.item is None:
                worker.item, worker.since = self.todo.popleft(), time.monotonic()
                self.begin(worker.item)
                assert worker.process.stdin is not None
                with suppress(BrokenPipeError):  # that it ended will be heard
                    worker.process.stdin.write(json.dumps(worker.item.id) + "\n")
                    worker.process.stdin.flush()
        yield from self._late()

    def _heard(self, worker: _Worker, line: str) -> Iterator[Ended]:
        if not line.endswith("\n"):
            yield from self._ended(worker)
            return
        answer = json.loads(line)
        if answer["kind"] == "stop":
            raise _told(answer)
        if worker.item is not None:
            yield worker.item, answer.get("value"), _told(answer) if answer["kind"] == "failed" else None
        worker.ready, worker.item, self.stillborn = True, None, 0

    def _late(self) -> Iterator[Ended]:
        for worker in list(self.running):
            late = time.monotonic() - worker.since
            if worker.item is not None and self.workers.timeout is not None and late > self.workers.timeout:
                why = f"not done after {self.workers.timeout:g} seconds"
                yield self._lost(worker, why, "a larger --item-timeout")
            elif not worker.ready and late > START:
                raise TrellisError("a worker did not come up", hint="try without --workers and --item-timeout")

    def _patience(self) -> float:
        """Seconds until somebody may have to be stopped."""
        limit, now = self.workers.timeout, time.monotonic()
        ends = [w.since + (START if not w.ready else limit or START) - now for w in self.running]
        return max(0.05, min(ends, default=1.0))

    def _ended(self, worker: _Worker) -> Iterator[Ended]:
        code = worker.process.wait()
        if worker.item is None:
            self.running.remove(worker)
            self.stillborn += not worker.ready
            if self.stillborn >= STARTS:
                what = f"{STARTS} workers ended before their first item, the last with code {code}"
                raise TrellisError(what, hint="more --worker-memory, fewer --workers or none; the same command goes on")
            return
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        yield self._lost(worker, f"its process ended ({how})", "a larger --worker-memory, or fewer --workers")

    def _lost(self, worker: _Worker, why: str, more: str) -> Ended:
        assert worker.item is not None
        _kill(worker)
        self.running.remove(worker)
        return worker.item, None, TrellisError(why, hint=f"try again with --retry-failed and {more}")

    def stop(self) -> None:
        for worker in self.running:
            _kill(worker)


def _start(workers: Workers) -> _Worker:
    """The same command as a worker, with stdout to stderr: a result is the parent's to print."""
    ours, theirs = os.pipe()
    role = f"{theirs}:{workers.memory or 0}"
    process = subprocess.Popen(
        [sys.executable, "-m", "trellis_cli", "--as-worker", role, *invocation.arguments()],
        stdin=subprocess.PIPE, stdout=sys.stderr.fileno() if _has_fileno(sys.stderr) else subprocess.DEVNULL,
        text=True, pass_fds=(theirs,),
    )  # fmt: skip
    os.close(theirs)
    return _Worker(process, os.fdopen(ours, "r", encoding="utf-8"))


def _has_fileno(stream: Any) -> bool:
    try:
        stream.fileno()
    except (OSError, ValueError, AttributeError):
        return False
    return True


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    worker.answers.close()
    if worker.process.stdin is not None:
        with suppress(BrokenPipeError):
            worker.process.stdin.close()


def _told(answer: Mapping[str, Any]) -> TrellisError:
    """The error that a worker told of, of its own kind."""
    return getattr(errors, answer["error"], TrellisError)(answer["problem"], hint=answer["hint"])


def _serve(items: Sequence["Item"], do: Callable[["Item"], Any]) -> NoReturn:
    """What a worker does: one item after the other as the parent names them, until it names no more."""
    descriptor, memory = (int(part) for part in invocation.role().split(":"))
    invocation.set_role("")  # a batch within the work of an item is done here
    _end_with_parent()
    _limit(memory)
    by_id = {item.id: item for item in items}
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers, asked_for(Workers()):

        def answer(kind: str, **more: Any) -> None:
            answers.write(json.dumps({"kind": kind, **more}) + "\n")
            answers.flush()

        with suppress(BrokenPipeError, KeyboardInterrupt):  # the parent is gone, or says why itself
            answer("ready")
            for line in sys.stdin:
                try:
                    value = do(by_id[json.loads(line)])
                except Exception as error:  # as in `each`
                    failed = _expected(error)
                    stops = isinstance(failed, NO_ITEMS_FAULT)
                    name = type(failed).__name__
                    answer("stop" if stops else "failed", error=name, problem=failed.problem, hint=failed.hint)
                    if stops:
                        break
                else:
                    answer("done", value=value)
    os._exit(0)  # nothing is left to be done, and threads of libraries may not end by themselves


def _expected(error: Exception) -> TrellisError:
    """The error to tell of. A bug costs its item, as a crash would; its traceback goes to stderr. What every item would
    meet alike, a forced backend that refuses or a library that is not there, is no item's fault."""
    from trellis_ops._dispatch import BackendUnavailable  # by now whoever worked has loaded it

    if isinstance(error, TrellisError):
        return error
    if isinstance(error, BackendUnavailable):
        return backend_refused(error)
    if isinstance(error, ImportError):
        return MissingError(f"a library is missing: {first_line(error)}", hint="pip install it, or trellis-slat anew")
    if is_full(error):
        return DiskError(first_line(error), hint="free some disk space, then run the same command again")
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return TrellisError(
            f"not enough memory: {first_line(error)}", hint="a larger --worker-memory, fewer --workers, a larger card"
        )
    _log.error("a bug, met by an item", exc_info=error)
    return TrellisError(f"{type(error).__name__}: {first_line(error)}", hint="a bug: its traceback is on stderr")


def _end_with_parent() -> None:
    """A parent that is killed takes its workers along: nobody would stop what hangs, or hear what is done."""
    parent = os.getppid()
    invocation.end_with_parent()

    def watch() -> None:  # for other systems, and a parent that was gone already
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit(memory: int) -> None:
    """No more than `memory` bytes for data, so that one item cannot take the machine down."""
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
