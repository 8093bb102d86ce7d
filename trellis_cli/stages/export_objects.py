"""A source's objects to a data folder: `objects/<id>.glb` and `manifest.jsonl`."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from trellis_cli import console, invocation
from trellis_cli.data.captions import captions_of
from trellis_cli.data.colour_words import dominant_colours
from trellis_cli.data.manifest import OBJECTS, Row, read_rows, split_of, together, write_rows
from trellis_cli.data.sources import SourceObject
from trellis_cli.errors import FileError, SomeFailed, UsageError, first_line, is_full
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.glb import textured_glb
from trellis_cli.io.lock import held_alone
from trellis_cli.ledger import Item, Ledger, ledger_row
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.shards import in_shard
from trellis_cli.workers import each

_log = logging.getLogger(__name__)
ADAPTERS = {  # each a module of data/sources with `list_objects`
    "sweethome3d": "sweethome3d", "0ad": "zeroad", "folder": "folder", "objaverse-xl": "objaverse_xl", "abo": "abo",
    "3d-future": "future3d", "hssd": "hssd", "toys4k": "toys4k",
}  # fmt: skip
SOURCES = (*ADAPTERS, "toybox")
MAX_TEXTURE = 512  # pixels along an edge
MAX_FACES = 400_000
SAVE_EVERY = 50  # objects between two writes of the manifest
LEDGER = "export.ledger.jsonl"


@dataclass(frozen=True, slots=True)
class ExportSummary:
    out: Path
    done: int
    kept: int
    failed: int

    @property
    def text(self) -> str:
        failures = f", {self.failed} failed (see {self.out / LEDGER})" if self.failed else ""
        return f"{self.out}: {self.done + self.kept} objects, {self.kept} of them there before{failures}"


def list_source(source: str, root: Path | None, *, num: int | None = None, seed: int = 0) -> list[SourceObject]:
    """The first `num` objects of a source (all, by default; of toybox 2,000).

    Raises UsageError for an unknown source or a missing ROOT, FileError where ROOT does not hold the source.
    """
    if source == "toybox":
        return toys(2000 if num is None else num, seed)
    if source not in ADAPTERS:
        raise UsageError(f"there is no source {source!r}", hint=f"choose one of {', '.join(SOURCES)}")
    if root is None:
        raise UsageError(f"source {source} needs the folder it is in", hint=f"trellis data export {source} ROOT -o DIR")
    if not root.is_dir():
        raise FileError(f"{root}: no such folder", hint=f"give the folder that {source} is in")
    return import_module(f"trellis_cli.data.sources.{ADAPTERS[source]}").list_objects(root)[:num]


def toys(num: int, seed: int) -> list[SourceObject]:
    """`num` procedural objects, category by category in turn; object k has the seed `seed + k`."""
    from trellis_cli.data import toybox

    out = []
    for k in range(num):
        category = toybox.CATEGORIES[k % len(toybox.CATEGORIES)]
        toy = toybox.make(category, seed + k)
        out.append(
            SourceObject(
                source="toybox",
                key=f"{category}/{seed + k}",
                name=category,
                category=toy.category,
                group=toy.group,
                licence="CC0-1.0",
                credit="trellis toybox",
                captions=toy.captions,
                kind="procedural",
                load=partial(_toy_mesh, category, seed + k),
            )  # fmt: skip
        )
    return out


def _toy_mesh(category: str, seed: int) -> TexturedMesh:
    from trellis_cli.data import toybox

    return toybox.make(category, seed).mesh


def export_objects(
    source: str,
    root: Path | None,
    out: Path,
    *,
    num: int | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    retry_failed: bool = False,
) -> ExportSummary:
    """Write every object of a source into the data folder `out`, beside what other sources put there.

    What is there already is kept; a broken object is listed in `export.ledger.jsonl` and not tried again unless
    `retry_failed`. The same objects give the same bytes, whether in one go or in several.

    Args:
        shard: (i, n) writes the objects of this part alone, by the hash of their keys, each part to a folder of its
            own. Their splits follow from how many objects of a group the source has in all.

    Raises:
        SomeFailed: some of the objects failed; the others are written.
        FileError, UsageError: as `list_source`; another process is exporting to `out`.
        DiskError: the disk is full; what was written stays listed.
    """
    listed = list_source(source, root, num=num, seed=seed)
    sizes = Counter(item.group for item in listed) if shard[1] > 1 else None
    items = [Item(item.key, item.key, item) for item in listed if in_shard(item.key, shard)]
    (out / OBJECTS).mkdir(parents=True, exist_ok=True)
    with nullcontext() if invocation.role() else held_alone(out, "exporting to"):
        rows = read_rows(out)
        made, failures = _make(items, out, rows, sizes, retry_failed=retry_failed)
    failed = sum(item.id in failures for item in items)
    summary = ExportSummary(out, made, sum(item.id in rows for item in items), failed)
    if failed:
        console.note(summary.text)
        raise SomeFailed(f"{failed} of {len(items)} objects failed", hint=Ledger(out / LEDGER, "export").hint)
    return summary


def _make(
    items: Sequence[Item], out: Path, rows: Mapping[str, Row], sizes: Mapping[str, int] | None, *, retry_failed: bool
) -> tuple[int, dict[str, dict[str, str]]]:
    """Write the objects that `rows` lack, and the manifest as it grows; gives how many, and what failed by key."""
    ledger, made = Ledger(out / LEDGER, "export"), dict[str, Row]()
    failures = ledger.read()
    skip = set(rows) if retry_failed else rows.keys() | failures.keys()

    def save() -> None:  # in the order of the items, in whichever they ended
        own = (made[item.id] for item in items if item.id in made)
        write_rows(out, together([*rows.values(), *own]), sizes)

    with ledger.closing(failures):
        try:
            for item, row, error in each(
                items, lambda item: asdict(_exported(item.payload, out)), skip=skip, what="trellis data export",
                begin=lambda item: failures.pop(item.id, None),
            ):  # fmt: skip
                if error is None:
                    made[item.id] = Row(**row)
                    if len(made) % SAVE_EVERY == SAVE_EVERY - 1:
                        save()
                else:
                    failures[item.id] = ledger_row(item.id, item.payload.name, error)
                    ledger.write(failures)
                    _log.warning("%s: %s", item.id, error.problem)
        finally:  # after Ctrl-C too
            save()
    return len(made), failures


def _exported(item: SourceObject, out: Path) -> Row:
    """As `export_one`; whatever goes wrong within an object's own file is a FileError."""
    try:
        return export_one(item, out)
    except (ValueError, KeyError, IndexError, OSError) as error:
        if is_full(error):
            raise
        raise FileError(f"{item.key}: {first_line(error)}", hint="look at the file, or leave it out") from error


def export_one(item: SourceObject, out: Path) -> Row:
    """Write one object's GLB and give its row. Raises FileError for a mesh that no later stage could use."""
    mesh = prepared(item.load(), item.key)
    data = textured_glb(mesh)
    digest = hashlib.sha256(data).hexdigest()
    path = out / OBJECTS / f"{digest}.glb"
    if not path.is_file():
        write_bytes(path, data)
    colours = dominant_colours(mesh)
    return Row(
        id=digest, source=item.source, key=item.key, name=item.name, category=item.category, group=item.group,
        split=split_of(item.group), captions=captions_of(item, colours), colours=list(colours), licence=item.licence,
        credit=item.credit, kind=item.kind, num_faces=len(mesh.faces), score=item.score,
    )  # fmt: skip


def prepared(mesh: TexturedMesh, name: str) -> TexturedMesh:
    """The mesh with textures of at most 512 pixels, and checked: finite, with an extent, of at most 400k faces."""
    if not len(mesh.faces):
        raise FileError(f"{name}: no triangles")
    if len(mesh.faces) > MAX_FACES:
        raise FileError(f"{name}: {len(mesh.faces)} faces, more than {MAX_FACES}")
    used = mesh.vertices[np.unique(mesh.faces)]
    if not np.isfinite(used).all():
        raise FileError(f"{name}: a vertex is not finite")
    if not np.ptp(used, axis=0).max() > 0:
        raise FileError(f"{name}: all vertices are one point")
    return replace(mesh, materials=tuple(replace(m, texture=_shrunk(m.texture)) for m in mesh.materials))


def _shrunk(texture: np.ndarray | None) -> np.ndarray | None:
    if texture is None or max(texture.shape[:2]) <= MAX_TEXTURE:
        return texture
    from PIL import Image

    height, width = texture.shape[:2]
    scale = MAX_TEXTURE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Colour and alpha apart: PIL weighs colour by alpha, and where alpha is a mask the colour under it matters.
    rgb = Image.fromarray(np.ascontiguousarray(texture[..., :3])).resize(size, Image.Resampling.BOX)
    alpha = Image.fromarray(np.ascontiguousarray(texture[..., 3])).resize(size, Image.Resampling.BOX)
    return np.concatenate([np.asarray(rgb), np.asarray(alpha)[..., None]], -1)
