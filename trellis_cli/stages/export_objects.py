"""A source's objects to a data folder: `objects/<id>.glb` and `manifest.jsonl`."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from trellis_cli import console
from trellis_cli.data.captions import captions_of
from trellis_cli.data.colour_words import dominant_colours
from trellis_cli.data.manifest import OBJECTS, Row, add_row, read_rows, split_of, write_rows
from trellis_cli.data.sources import SourceObject
from trellis_cli.errors import DiskError, FileError, SomeFailed, TrellisError, UsageError
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.glb import textured_glb
from trellis_cli.ledger import Ledger, ledger_row
from trellis_cli.representations.mesh import TexturedMesh

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
    source: str, root: Path | None, out: Path, *, num: int | None = None, seed: int = 0, retry_failed: bool = False
) -> ExportSummary:
    """Write every object of a source into the data folder `out`, beside what other sources put there.

    What is there already is kept; a broken object is listed in `export.ledger.jsonl` and not tried again unless
    `retry_failed`. The same objects give the same bytes, whether in one go or in several.

    Raises:
        SomeFailed: some of the objects failed; the others are written.
        FileError, UsageError: as `list_source`.
        DiskError: the disk is full; what was written stays listed.
    """
    items = list_source(source, root, num=num, seed=seed)
    (out / OBJECTS).mkdir(parents=True, exist_ok=True)
    ledger = Ledger(out / LEDGER, "export")
    rows, failures = read_rows(out), ledger.read()
    todo = [i for i in items if i.key not in rows and (retry_failed or i.key not in failures)]
    kept = sum(item.key in rows for item in items)
    done = 0
    with ledger.closing(failures):
        try:
            for position, item in enumerate(console.track(todo, total=len(todo), what="trellis data export")):
                failures.pop(item.key, None)
                try:
                    add_row(rows, export_one(item, out))
                    done += 1
                except DiskError:  # no fault of the object
                    raise
                except (TrellisError, ValueError, KeyError, IndexError, OSError) as error:
                    failures[item.key] = ledger_row(item.key, item.name, error)
                    _log.warning("%s: %s", item.key, failures[item.key]["reason"])
                if position % SAVE_EVERY == SAVE_EVERY - 1:
                    write_rows(out, rows)
        finally:  # after Ctrl-C too
            write_rows(out, rows)
    failed = sum(item.key in failures for item in items)
    summary = ExportSummary(out, done, kept, failed)
    if failed:
        console.note(summary.text)
        raise SomeFailed(
            f"{failed} of {len(items)} objects failed",
            hint=ledger.hint,
        )
    return summary


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
