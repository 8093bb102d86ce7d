"""A data folder: a manifest and stage files, found by group and id."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from trellis_cli.errors import FileError
from trellis_cli.io.checks import check_asset
from trellis_cli.io.inputs import unfinished
from trellis_cli.io.schema import GROUPS
from trellis_cli.io.stage_files import Asset, StageGroup, open_stage

MANIFEST = "manifest.jsonl"
TEST_SHARE = 0.08
CACHE_BYTES = 4 << 30
OPEN_FILES = 16


class DataFolder:
    """Every asset of every stage file under a folder, by group and id.

    One id may occur in several files of the same group: those are variants of the asset (a mirrored copy), of which
    training draws one. A few files are open at a time, however many there are; what an asset holds is checked when it
    is read. For one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileError(
                f"{folder}: no such data folder", hint="make one with `trellis data export` and the stage commands"
            )
        self.folder = folder
        self._places: dict[str, dict[str, list[tuple[Path, int]]]] = {}
        self._groups: dict[tuple[Path, str], StageGroup] = {}
        self._open: OrderedDict[Path, ExitStack] = OrderedDict()
        self._cache: dict[tuple[Path, str, int], Asset] = {}
        self._cached_bytes = 0
        self._mirrored: set[Path] = set()
        for path in sorted(folder.rglob("*.h5")):
            if unfinished(path):
                continue
            with open_stage(path) as file:
                if json.loads(file.attrs.get("parameters", "{}")).get("mirror"):
                    self._mirrored.add(path)
                for name in file.groups:
                    group = self._groups[path, name] = file.group(name, values=False)
                    for index, id_ in enumerate(group.ids):
                        self._places.setdefault(name, {}).setdefault(id_, []).append((path, index))
        self.manifest = read_manifest(folder / MANIFEST)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def ids(self, *groups: str, split: str | None = None) -> list[str]:
        """Sorted ids that every named group has, of one split ("train", "test") or all.

        Raises:
            FileError: nothing is there; the hint names the command that writes the first group missing.
        """
        sets = [set(self._places.get(g, {})) for g in groups]
        for group, found in zip(groups, sets, strict=True):
            if not found:
                raise FileError(f"{self.folder} holds no /{group}", hint=f"write it with `{GROUPS[group].command}`")
        return sorted(i for i in set.intersection(*sets) if split is None or self.split(i) == split)

    def split(self, id_: str) -> str:
        """The manifest's word, or by a hash of the id where there is none."""
        if id_ in self.manifest:
            return str(self.manifest[id_]["split"])
        return split_by_hash(id_)

    def captions(self, id_: str) -> list[str]:
        """What the manifest calls an asset; a list of one empty text where it says nothing."""
        return list(self.manifest.get(id_, {}).get("captions") or [""])

    def variants(self, group: str, id_: str) -> int:
        return len(self._places[group][id_])

    def length(self, group: str, id_: str, variant: int = 0) -> int:
        """Voxels, or views, of an asset."""
        path, index = self._places[group][id_][variant]
        return self._groups[path, group].length(index)

    def mirrored(self, group: str, id_: str, variant: int) -> bool:
        """Whether a variant is the asset's mirror image (`trellis encode --mirror`)."""
        return self._places[group][id_][variant][0] in self._mirrored

    def asset(self, group: str, id_: str, variant: int = 0) -> Asset:
        """One asset's arrays; kept in memory while all that is kept stays under CACHE_BYTES."""
        path, index = self._places[group][id_][variant]
        if (key := (path, group, index)) in self._cache:
            return self._cache[key]
        opened = self._opened(path, group)
        asset = opened.asset(index)
        check_asset(asset, opened.spec, opened.attrs.get("resolution"), f"{path}: /{group} of {id_[:12]}")
        self._cached_bytes += sum(a.nbytes for a in asset.values())
        if self._cached_bytes < CACHE_BYTES:
            self._cache[key] = asset
        return asset

    def views(
        self, id_: str, rows: Sequence[int] | None = None, *, surfaces: bool = True, group: str = "views"
    ) -> Asset:
        """Some of an asset's /views or /conditions, or all: as many as a step needs of the hundreds there may be."""
        path, index = self._places[group][id_][0]
        asset = self._opened(path, group).views(index, rows, surfaces=surfaces)
        check_asset(asset, GROUPS[group], None, f"{path}: /{group} of {id_[:12]}")
        return asset

    def cameras(self, id_: str, group: str = "views") -> Asset:
        """The cameras of an asset's /views or /conditions, without their pictures."""
        path, index = self._places[group][id_][0]
        return self._opened(path, group).cameras(index)

    def holds(self, group: str) -> bool:
        return bool(self._places.get(group))

    def _opened(self, path: Path, group: str) -> StageGroup:
        """The group, of an open file: of those the OPEN_FILES last ones stay open."""
        if path not in self._open:
            while len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            stack = ExitStack()
            file = stack.enter_context(open_stage(path))
            for name in file.groups:
                self._groups[path, name].rebind(file.raw(name))
            self._open[path] = stack
        self._open.move_to_end(path)
        return self._groups[path, group]

    def attr(self, group: str, name: str) -> Any:
        """An attribute that all files of a group must agree on. Raises FileError where they do not."""
        values = {opened.attrs[name] for (_, g), opened in self._groups.items() if g == group}
        if len(values) != 1:
            raise FileError(
                f"{self.folder}: /{group} files have different {name}: {sorted(map(str, values))}",
                hint="keep files of one kind in a data folder",
            )
        return values.pop()


def split_by_hash(id_: str) -> str:
    """Where no manifest says an asset's split."""
    return "test" if int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) / 2**32 < TEST_SHARE else "train"


def read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """id -> row of a manifest.jsonl; empty where there is none. Raises FileError for a broken line."""
    if not path.is_file():
        return {}
    rows = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows[row["id"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{path}:{number} is not a manifest row: {error}", hint="write it anew with `trellis data export`"
            ) from error
    return rows


class Lottery:
    """Ids drawn with replacement, each as likely as its weight says, or all alike."""

    def __init__(self, ids: Sequence[str], weights: Sequence[float] | None = None) -> None:
        self.ids = ids
        self._ends = None if weights is None else torch.tensor(weights, dtype=torch.float64).cumsum(0)

    def draw(self, generator: torch.Generator) -> str:
        if self._ends is None:
            return self.ids[int(torch.randint(len(self.ids), (), generator=generator))]
        place = torch.rand((), dtype=torch.float64, generator=generator) * self._ends[-1]
        return self.ids[min(int(torch.searchsorted(self._ends, place, right=True)), len(self.ids) - 1)]
