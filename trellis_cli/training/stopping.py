"""Signals while training: the step at hand is finished and saved, so that nothing of it is lost.

Ctrl-C, SIGTERM (which SLURM sends before it kills) and SIGUSR1 (which `sbatch --signal` sends ahead of a time limit).
"""

import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from trellis_cli import console

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(KeyboardInterrupt):
    """A signal, after the step at hand was finished and saved. `code` is what the process exits with: 128 + signal."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.code = 128 + number


class StopAfterStep:
    """While entered, the first signal only sets `asked`, to its number; a second Ctrl-C stops at once, as it does
    everywhere else. Outside the main thread, where Python lets nobody listen, it does nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self._listen = threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopAfterStep":
        if self._listen:
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked = number
            with suppress(RuntimeError):  # the signal came while this very stream was being written to
                console.note("stopping after this step; Ctrl-C again stops at once")
