"""Ctrl-C while training: the step at hand is finished and saved, so that nothing of it is lost."""

import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from trellis_cli import console


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the step at hand was finished and saved."""


class StopAfterStep:
    """While entered, the first Ctrl-C only sets `asked`; a second one stops at once, as it does everywhere else.

    Outside the main thread, where Python lets nobody listen, and with `listen=False` it does nothing: of several
    processes none may leave the others waiting in the next step.
    """

    def __init__(self, *, listen: bool = True) -> None:
        self.asked = False
        self._listen = listen and threading.current_thread() is threading.main_thread()
        self._before: Any = None

    def __enter__(self) -> "StopAfterStep":
        if self._listen:
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listen:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(RuntimeError):  # the signal came while this very stream was being written to
            console.note("stopping after this step; Ctrl-C again stops at once")
