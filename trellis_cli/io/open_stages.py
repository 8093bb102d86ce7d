"""Many stage files, read as if all were open, of which the last few are."""

from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from trellis_cli.io.stage_files import StageFile, StageGroup, open_stage

MOST = 16  # files open at a time


class OpenStages:
    """Stage files and their groups by path; what was read of a group stays, its file is opened again when it is needed.

    For one thread at a time. Raises what `open_stage` does.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: OrderedDict[Path, tuple[ExitStack, StageFile]] = OrderedDict()
        self._groups: dict[tuple[Path, str], StageGroup] = {}

    def file(self, path: Path) -> StageFile:
        """The file, open until `most` others were asked for."""
        if path not in self._open:
            while len(self._open) >= self._most:
                self._open.popitem(last=False)[1][0].close()
            stack = ExitStack()
            self._open[path] = stack, stack.enter_context(open_stage(path))
        self._open.move_to_end(path)
        return self._open[path][1]

    def group(self, path: Path, name: str, *, values: bool = True) -> StageGroup:
        """A group, checked when it is first asked for (`values` as of `StageFile.group`); of use while `self` is."""
        if (path, name) not in self._groups:
            group = self.file(path).group(name, values=values)
            group.reopen = lambda: self.file(path).raw(name)
            self._groups[path, name] = group
        return self._groups[path, name]

    def __len__(self) -> int:
        return len(self._open)

    def __enter__(self) -> "OpenStages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1][0].close()
