"""The next step's data is read while this step computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Prefetch(Generic[T]):
    """`make(step)` for one step after the other, each begun in a thread when the one before is handed out.

    What `make` gives must depend on the step alone: then nothing changes but the time. Errors come out where the step
    is asked for.
    """

    def __init__(self, make: Callable[[int], T], last: int) -> None:
        self._make, self._last = make, last
        threads = torch.get_num_threads()  # a thread of its own counts anew, and sums in another order
        self._pool = ThreadPoolExecutor(1, "data", initializer=torch.set_num_threads, initargs=(threads,))
        self._next: tuple[int, Future[T]] | None = None

    def __enter__(self) -> "Prefetch[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def get(self, step: int) -> T:
        """What `make` gives for `step`; steps before `last` are begun ahead."""
        step_ahead, future = self._next or (step, self._pool.submit(self._make, step))
        assert step_ahead == step
        made = future.result()
        self._next = (step + 1, self._pool.submit(self._make, step + 1)) if step + 1 < self._last else None
        return made

    def wait(self) -> None:
        """Until what is begun is made: from then to the next `get`, no other thread reads data."""
        if self._next is not None:
            wait([self._next[1]])
