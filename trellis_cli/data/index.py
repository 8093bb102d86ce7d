"""A data folder: a manifest and stage files, found by group and id."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trellis_cli.errors import FileError
from trellis_cli.io.checks import check_asset
from trellis_cli.io.inputs import unfinished
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.schema import GROUPS
from trellis_cli.io.stage_files import Asset, StageGroup

MANIFEST = "manifest.jsonl"
TEXTS = ("id", "source", "key", "name", "category", "group", "split", "licence", "credit", "kind", "path", "scorer")
LISTS = ("captions", "colours", "aliases")
TEST_SHARE = 0.08
CACHE_BYTES = 4 << 30


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
        self._opened, self._held = OpenStages(), set[tuple[Path, str]]()
        self._cache: dict[tuple[Path, str, int], Asset] = {}
        self._cached_bytes = 0
        self._mirrored: set[Path] = set()
        for path in sorted(folder.rglob("*.h5")):
            if unfinished(path):
                continue
            file = self._opened.file(path)
            if json.loads(file.attrs.get("parameters", "{}")).get("mirror"):
                self._mirrored.add(path)
            for name in file.groups:
                self._held.add((path, name))
                for index, id_ in enumerate(self._group(path, name).ids):
                    self._places.setdefault(name, {}).setdefault(id_, []).append((path, index))
        self.manifest = read_manifest(folder / MANIFEST)

    def close(self) -> None:
        self._opened.close()

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
        return told_split(self.manifest, id_)

    def captions(self, id_: str) -> list[str]:
        """What the manifest calls an asset; a list of one empty text where it says nothing."""
        return list(self.manifest.get(id_, {}).get("captions") or [""])

    def variants(self, group: str, id_: str) -> int:
        return len(self._places[group][id_])

    def length(self, group: str, id_: str, variant: int = 0) -> int:
        """Voxels, or views, of an asset."""
        path, index = self._places[group][id_][variant]
        return self._group(path, group).length(index)

    def mirrored(self, group: str, id_: str, variant: int) -> bool:
        """Whether a variant is the asset's mirror image (`trellis encode --mirror`)."""
        return self._places[group][id_][variant][0] in self._mirrored

    def asset(self, group: str, id_: str, variant: int = 0) -> Asset:
        """One asset's arrays; kept in memory while all that is kept stays under CACHE_BYTES."""
        path, index = self._places[group][id_][variant]
        if (key := (path, group, index)) in self._cache:
            return self._cache[key]
        opened = self._group(path, group)
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
        asset = self._group(path, group).views(index, rows, surfaces=surfaces)
        check_asset(asset, GROUPS[group], None, f"{path}: /{group} of {id_[:12]}")
        return asset

    def cameras(self, id_: str, group: str = "views") -> Asset:
        """The cameras of an asset's /views or /conditions, without their pictures."""
        path, index = self._places[group][id_][0]
        return self._group(path, group).cameras(index)

    def holds(self, group: str) -> bool:
        return bool(self._places.get(group))

    def _group(self, path: Path, group: str) -> StageGroup:
        return self._opened.group(path, group, values=False)

    def attr(self, group: str, name: str) -> Any:
        """An attribute that all files of a group must agree on. Raises FileError where they do not."""
        values = {self._group(path, g).attrs[name] for path, g in self._held if g == group}
        if len(values) != 1:
            raise FileError(
                f"{self.folder}: /{group} files have different {name}: {sorted(map(str, values))}",
                hint="keep files of one kind in a data folder",
            )
        return values.pop()


def told_split(manifest: Mapping[str, Mapping[str, Any]], id_: str) -> str:
    """A manifest's word on an asset's split, or by a hash of the id where there is none."""
    return str(manifest.get(id_, {}).get("split") or split_by_hash(id_))


def split_by_hash(id_: str) -> str:
    """Where no manifest says an asset's split."""
    return "test" if int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) / 2**32 < TEST_SHARE else "train"


def read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """id -> row of a manifest.jsonl; empty where there is none. Raises FileError for a broken line."""
    if not path.is_file():
        return {}
    rows = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):  # names may have other ends of lines in them
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            _check_row(row)
            rows[row["id"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{path}:{number} is not a manifest row: {error}", hint="write it anew with `trellis data export`"
            ) from error
    return rows


def _check_row(row: Any) -> None:
    """Raises ValueError for a value of the wrong type; what a row must have depends on who reads it."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise ValueError("it has no id")
    for name, value in row.items():
        if name in TEXTS and not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}, not a text")
        if name in LISTS and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise ValueError(f"{name} is {value!r}, not a list of texts")
        if name == "score" and not isinstance(value, int | float | None):
            raise ValueError(f"{name} is {value!r}, not a number")
    if row.get("split", "train") not in ("train", "test"):
        raise ValueError(f"split is {row['split']!r}, not train or test")


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
