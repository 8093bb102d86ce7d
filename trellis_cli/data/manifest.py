"""A data folder's manifest: `manifest.jsonl`, one row an asset, beside `objects/<id>.glb`.

A row holds what `Row` says. It names the split, which is by group, so that near-duplicates stay on one side.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path

from trellis_cli.data.index import MANIFEST, TEST_SHARE, read_manifest
from trellis_cli.errors import FileError
from trellis_cli.io.aside import write_text

OBJECTS = "objects"
MAX_HELD_OUT_GROUP = 4


@dataclass(frozen=True, slots=True)
class Row:
    """id: sha256 of the GLB; source, key: where it comes from; name, category, group; split: "train" or "test";
    captions: from the plain name to the longest; colours: dominant ones, main first; kind: "real", "procedural";
    licence, credit; num_faces (0: not counted); aliases: keys of further objects that turned out to be this very one;
    path: the mesh file, from the manifest's folder, where it is not objects/<id>.glb; score: how good it looks, and
    scorer: by what (`trellis data score`)."""

    id: str
    source: str
    key: str
    name: str
    category: str
    group: str
    split: str
    captions: list[str]
    colours: list[str]
    licence: str
    credit: str
    kind: str
    num_faces: int = 0
    aliases: list[str] = field(default_factory=list)
    path: str = ""
    score: float | None = None
    scorer: str = ""


def split_of(group: str, size: int = 1) -> str:
    """ "test" for 8 % of the groups, by a hash of the group's name, so that it never depends on what else is there.

    A group of more than four is a general word ("chair", 26 objects), not one object's near-duplicates: held out
    whole, it would leave training without any chair. Such groups are always "train".
    """
    if size > MAX_HELD_OUT_GROUP:
        return "train"
    return "test" if int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32 < TEST_SHARE else "train"


def whole_rows(path: Path) -> dict[str, Row]:
    """The rows of a manifest by id. Raises FileError for a row that lacks something, or has more than a row has."""
    known = {field.name for field in fields(Row)}
    needed = {field.name for field in fields(Row) if field.default is field.default_factory is MISSING}
    rows = read_manifest(path)
    for id_, row in rows.items():
        if wrong := sorted(needed - row.keys()) or sorted(row.keys() - known):
            kind = "lacks" if wrong[0] in needed else "has unknown"
            raise FileError(f"{path}: the row of {id_} {kind} {', '.join(wrong)}", hint="write the manifest anew")
    return {id_: Row(**row) for id_, row in rows.items()}


def read_rows(folder: Path) -> dict[str, Row]:
    """key or alias -> row of a folder's manifest; rows whose object is gone are left out. Raises as `whole_rows`."""
    rows = whole_rows(folder / MANIFEST).values()
    return {
        key: row for row in rows if (folder / OBJECTS / f"{row.id}.glb").is_file() for key in (row.key, *row.aliases)
    }


def together(rows: Iterable[Row]) -> dict[str, Row]:
    """key or alias -> row. Rows of one object become one: the first, with the keys and captions of the others."""
    by_id: dict[str, Row] = {}
    for row in rows:
        twin = by_id.get(row.id, row)
        keys = dict.fromkeys([*twin.aliases, row.key, *row.aliases])
        keys.pop(twin.key, None)
        captions = list(dict.fromkeys([*twin.captions, *row.captions]))
        by_id[row.id] = replace(twin, aliases=list(keys), captions=captions)
    return {key: row for row in by_id.values() for key in (row.key, *row.aliases)}


def write_rows(folder: Path, rows: Mapping[str, Row], sizes: Mapping[str, int] | None = None) -> None:
    """The manifest, written aside and renamed; splits follow from all rows together, or from `sizes` of groups."""
    write_text(folder / MANIFEST, manifest_text(settled(list(rows.values()), sizes)))


def settled(rows: Sequence[Row], sizes: Mapping[str, int] | None = None) -> list[Row]:
    """The rows with the splits that follow from how large each group is: among these rows, or as `sizes` says."""
    if sizes is None:
        sizes = Counter(row.group for row in {row.id: row for row in rows}.values())
    return [replace(row, split=split_of(row.group, sizes[row.group])) for row in rows]


def manifest_text(rows: Sequence[Row]) -> str:
    """Rows as a manifest has them, each id once, sorted by source and key."""
    unique = sorted({row.id: row for row in rows}.values(), key=lambda row: (row.source, row.key))
    return "".join(json.dumps(_told(row), ensure_ascii=False) + "\n" for row in unique)


def _told(row: Row) -> dict[str, object]:
    """A row without what it does not say."""
    optional = ("path", "score", "scorer")
    return {k: v for k, v in asdict(row).items() if k not in optional or v not in ("", None)}
