"""A file for HDF5 to write to that cannot fail under its hands.

When a write fails, HDF5 keeps the unwritten pages and tries again at every later close, the program's end included: it
prints tracebacks from destructors and dies of a segmentation fault. So a failed write is kept here, HDF5 is told that
all is well, and the writer asks between two assets, and at the end, what has become of it.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Any


class Hdf5File:
    """What h5py wants of a file object: seek, read, write, truncate, flush. `path` is made anew."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._at = self._end = 0
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise what went wrong with an earlier write: OSError, or the KeyboardInterrupt that fell into one."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (self._end if whence == os.SEEK_END else self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; what was never written, or could not be, reads as zeros."""
        view = memoryview(buffer).cast("B")
        data = os.pread(self._descriptor, len(view), self._at)
        view[: len(data)] = data
        view[len(data) :] = bytes(len(view) - len(data))
        self._at += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._error is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._descriptor, view[done:], self._at + done)
            except BaseException as error:  # Ctrl-C too: raised in here it would end in HDF5, which drops it
                self._error = error
        self._at += len(view)
        self._end = max(self._end, self._at)
        return len(view)

    def truncate(self, size: int) -> int:
        if self._error is None:
            try:
                os.ftruncate(self._descriptor, size)
            except BaseException as error:  # as in `write`; `check` raises it
                self._error = error
        self._end = size
        return size

    def flush(self) -> None:
        """Nothing waits here; io/aside.py flushes the whole file to the disk."""

    def __enter__(self) -> "Hdf5File":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
