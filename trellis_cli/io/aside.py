"""Files written whole: aside in their own folder, flushed to the disk, renamed. No reader ever meets half of one."""

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from trellis_cli.errors import DiskError, first_line

_PART = re.compile(r"\..+\.trellis-([0-9a-f]{8})-(\d{1,9})\.part")


@contextmanager
def aside(path: Path, *, also: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
    """A path to write to; where the block ends well that file becomes `path`, else it goes and `path` stays as it was.

    Args:
        also: what else, beside OSError, a library raises for a disk that takes no more.

    Raises:
        DiskError: the disk is full, or the folder cannot be made or written.
    """
    part = path.with_name(f".{path.name}.trellis-{_here()}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent.resolve())
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, *also) as error:
        raise DiskError(
            f"{path} could not be written: {_reason(error)}",
            hint="free some disk space or choose another folder; run the same command again to go on",
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be what could not be reached
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`. Raises DiskError."""
    with aside(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path`, in UTF-8. Raises DiskError."""
    write_bytes(path, text.encode())


@cache  # once a process and folder: a batch writes thousands of parts into one
def _sweep(folder: Path) -> None:
    """Remove what killed processes left aside; a living one may be writing right now, and so may another machine's."""
    for entry in os.scandir(folder):
        if (match := _PART.fullmatch(entry.name)) and match[1] == _here() and not _alive(int(match[2])):
            Path(entry.path).unlink(missing_ok=True)


@cache
def _here() -> str:
    """A tag of where this process's number means something: the machine, since it was started, and its container."""
    known = [socket.gethostname()]
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _reason(error: BaseException) -> str:
    """One line, without the path that the message names anyway."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is not a folder"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)
