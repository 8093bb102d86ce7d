"""The finished items of a batch on their way to its output: each a stage file of its own, in `<out>.parts/`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trellis_cli.errors import FileError

if TYPE_CHECKING:
    from trellis_cli.io.stage_files import Asset, Provenance, StageGroup

KEPT_BYTES = 256 << 20  # of each group, while an output is put together


class _Assets(Sequence["dict[str, Any]"]):
    """The assets of one group: some in parts, files of one asset each, the others at a place in the old output."""

    def __init__(self, sources: "Sequence[Path | int]", name: str, old: "StageGroup | None") -> None:
        self.sources, self.name, self.old = sources, name, old
        self._read: dict[int, dict[str, Any]] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> "dict[str, Any]":  # type: ignore[override]
        from trellis_cli.io.stage_files import open_stage

        if index in self._read:
            return self._read[index]
        source = self.sources[index]
        if isinstance(source, int):
            assert self.old is not None
            asset = self.old.asset(source)
        else:
            with open_stage(source) as file:
                asset = file.group(self.name).asset(0)
        self._room -= sum(a.nbytes for a in asset.values())
        if self._room > 0:  # writing takes two visits, and opening a part costs more than reading it
            self._read[index] = asset
        return asset


def write_part(part: Path, assets: "Mapping[str, Asset]", provenance: "Provenance", attrs: Mapping[str, Any]) -> None:
    """Without the parameters: with a long list of prompts in each, the parts would fill a disk."""
    from trellis_cli.io.stage_files import Provenance, write_stage

    short = Provenance(provenance.command, {}, seed=provenance.seed)
    write_stage(part, {name: ([assets[name]], attrs[name]) for name in attrs}, short)


def readable(part: Path, attrs: Mapping[str, Any]) -> bool:
    from trellis_cli.io.stage_files import open_stage

    if not part.exists():
        return False
    try:
        with open_stage(part) as file:
            return all(len(file.group(name)) == 1 for name in attrs)
    except FileError:
        return False


def assemble(
    out: Path,
    order: Sequence[str],
    kept: set[str],
    folder: Path,
    provenance: "Provenance",
    attrs: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the output anew from what it holds already and the parts of all else; until it is whole, nothing goes."""
    from trellis_cli.io.stage_files import open_stage, write_stage

    with ExitStack() as stack:
        old: dict[str, StageGroup] = {}
        if kept:
            file = stack.enter_context(open_stage(out))
            old = {name: file.group(name) for name in attrs}
        groups = {}
        for name in attrs:
            places = {id_: k for k, id_ in enumerate(old[name].ids)} if kept else {}
            sources = [places[i] if i in kept else folder / f"{i}.h5" for i in order]
            groups[name] = (_Assets(sources, name, old.get(name)), attrs[name])
        write_stage(out, groups, provenance)


def remove_empty(folder: Path) -> None:
    for path in (folder, folder.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
