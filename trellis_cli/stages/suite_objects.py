"""The objects of a suite: toys, or files of a set that the user has."""

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli import recipes
from trellis_cli.data import toybox
from trellis_cli.data.index import MANIFEST
from trellis_cli.data.manifest import OBJECTS, read_rows
from trellis_cli.errors import FileError, MissingError, UsageError
from trellis_cli.io.digests import source_digest
from trellis_cli.io.mesh_files import READABLE
from trellis_cli.stages.object_suite import ObjectSpec, ObjectSuite
from trellis_cli.stages.suite_assets import make_toy

CAPTIONS = "captions.csv"


@dataclass(frozen=True, slots=True)
class SuiteObject:
    """One object. name: of its files; source: what makes a toy, or a mesh file; caption: None where a file has none."""

    name: str
    source: ObjectSpec | Path
    caption: str | None = None

    def mesh(self, folder: Path) -> Path:
        """Its mesh file, of a toy made in `folder`."""
        if isinstance(self.source, Path):
            return self.source
        return make_toy(self.source.toybox, self.source.seed, folder / f"{self.name}.glb")

    @property
    def prompt(self) -> str | None:
        """Its caption, of a toy its shortest; None where it has none."""
        if isinstance(self.source, Path):
            return self.caption
        return min(toybox.make(self.source.toybox, self.source.seed).captions, key=len)

    @property
    def seed(self) -> int:
        """Its own part of the seed that it is made from: a toy's, else a number that its name gives."""
        if isinstance(self.source, Path):
            return int(hashlib.sha256(self.name.encode()).hexdigest()[:7], 16)
        return self.source.seed

    @property
    def identity(self) -> dict[str, Any]:
        """What decides what it is. Raises FileError for a file that is gone."""
        if isinstance(self.source, Path):
            return {"file": self.name, "sha256": source_digest(self.source), "caption": self.caption}
        return {"toybox": self.source.toybox, "seed": self.source.seed}


def suite_objects(suite: ObjectSuite, data: Path | None) -> dict[str, list[SuiteObject]]:
    """Part of the protocol -> its objects.

    Raises:
        UsageError: a folder for a suite that names its objects.
        MissingError: no folder for a suite that chooses from a set; the hint says where to get it and how it must lie.
        FileError: the folder holds fewer objects than that, or a captions.csv that is none.
    """
    if suite.objects:
        if data is not None:
            raise UsageError(f"{suite.name} needs no --data: its objects are there", hint="leave it out")
        named = [_named(spec) for spec in suite.objects]
        return {"reconstruction": named, "generation": named}
    choice = suite.choice
    if data is None or not data.is_dir():
        said = "no --data" if data is None else f"--data {data} is no folder"
        raise MissingError(f"{said}: {choice.name} is not shipped", hint=f"{choice.source}; {choice.layout}")
    if (data / MANIFEST).is_file():
        every = held_out(data, choice.salt)
    else:
        every = chosen(data, choice.salt, read_captions(data / CAPTIONS, choice.min_aesthetic))
    wanted = max(choice.reconstruction, choice.generation)
    if len(every) < wanted:
        raise FileError(
            f"{data} holds {len(every)} objects of {choice.name}, and the suite takes {wanted}", hint=choice.layout
        )
    return {"reconstruction": every[: choice.reconstruction], "generation": every[: choice.generation]}


def _named(spec: ObjectSpec) -> SuiteObject:
    if spec.file:
        return SuiteObject(spec.name, recipes.folder() / spec.file, spec.caption)
    return SuiteObject(spec.name, spec)


def chosen(data: Path, salt: str, captions: dict[str, str] | None) -> list[SuiteObject]:
    """Every mesh below a folder, or of these those with a caption, in the order of the suite's rule."""
    paths = sorted(p.relative_to(data).as_posix() for p in data.rglob("*") if p.name.lower().endswith(READABLE))
    if captions is not None:
        paths = [path for path in paths if path in captions]
    paths.sort(key=lambda path: hashlib.sha256(f"{salt}/{path}".encode()).hexdigest())
    return [
        SuiteObject(path.replace("/", "__"), data / path, None if captions is None else captions[path])
        for path in paths
    ]


def held_out(data: Path, salt: str) -> list[SuiteObject]:
    """The objects of a data folder that training never sees, in the order of the suite's rule, by their keys.

    Raises FileError for a manifest that is none.
    """
    rows = {row.id: row for row in read_rows(data).values() if row.split == "test"}.values()
    order = sorted(rows, key=lambda row: hashlib.sha256(f"{salt}/{row.key}".encode()).hexdigest())
    return [
        SuiteObject(f"{_slug(row.name)}-{row.id[:8]}", data / OBJECTS / f"{row.id}.glb", min(row.captions, key=len))
        for row in order
    ]


def _slug(name: str) -> str:
    """A part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def read_captions(path: Path, min_aesthetic: float) -> dict[str, str] | None:
    """File below the folder -> caption, of a table with the columns file, caption and, if need be, aesthetic_score.

    None where there is no such table. Raises FileError for one that is none.
    """
    if not path.is_file():
        return None
    out: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if float(row.get("aesthetic_score") or min_aesthetic) >= min_aesthetic:
                    out[row["file"]] = row["caption"]
    except (KeyError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(
            f"{path}: no table of captions: {error}", hint="a header with file,caption and perhaps aesthetic_score"
        ) from error
    return out
