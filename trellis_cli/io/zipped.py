"""Mesh files within a zip, as `archive.zip/inner/chair.obj`: unpacked for as long as they are read."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trellis_cli.errors import DiskError, FileError, first_line, is_full

LARGEST = 8 << 30  # bytes unpacked


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """`path` itself; or, where it leads into a zip, that file among its own textures and materials in a folder that
    goes when the block ends.

    Raises:
        FileError: the archive is damaged or too large, or does not hold the file.
        DiskError: there is no room for what is in it.
    """
    archive = None if path.exists() else next((p for p in path.parents if p.suffix == ".zip" and p.is_file()), None)
    if archive is None:
        yield path
        return
    inner = path.relative_to(archive)
    with tempfile.TemporaryDirectory(prefix="trellis-") as folder:
        try:
            with zipfile.ZipFile(archive) as opened:
                if sum(info.file_size for info in opened.infolist()) > LARGEST:
                    raise FileError(
                        f"{archive} holds more than {LARGEST >> 30} GiB", hint="unpack what is needed of it"
                    )
                opened.extractall(folder)  # which keeps every member inside of the folder
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            if is_full(error):
                raise DiskError(
                    f"{archive} cannot be unpacked: no space left in {tempfile.gettempdir()}",
                    hint="free some of it, or let TMPDIR name another folder",
                ) from error
            raise FileError(f"{archive} cannot be unpacked: {first_line(error)}", hint="download it anew") from error
        found = Path(folder) / inner
        if not found.is_file():  # some archives have one folder round everything
            found = next((p for p in Path(folder).glob(f"*/{inner}") if p.is_file()), found)
        if not found.is_file():
            raise FileError(f"{archive} does not hold {inner}", hint="download it anew")
        yield found
