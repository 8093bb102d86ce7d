"""A folder that one process alone writes to, for as long as it lives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trellis_cli.errors import DiskError, UsageError


@contextmanager
def held_alone(folder: Path, doing: str) -> Iterator[None]:
    """Hold the folder against other processes. Where it is missing it is made, and goes again if it stays empty.

    The system lets go of it however this process ends. A disk that knows no such locks is held by nobody.

    Raises:
        UsageError: another process holds it.
        DiskError: the folder cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    made = not folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror}", hint="choose another folder") from error
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"another process is {doing} {folder}", hint="let it end, or choose another folder"
                ) from error
        yield
    finally:
        os.close(descriptor)
        if made:
            with suppress(OSError):  # unless there is something in it
                folder.rmdir()
