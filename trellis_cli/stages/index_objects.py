"""A source's objects where they lie: a manifest of ids, files, captions, licences and splits, nothing copied."""

import fnmatch
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli import console
from trellis_cli.data.captions import captions_of
from trellis_cli.data.manifest import Row, manifest_text, settled, split_of, together
from trellis_cli.data.sources import SourceObject
from trellis_cli.errors import SomeFailed, UsageError
from trellis_cli.io.aside import write_text
from trellis_cli.io.digests import source_digest
from trellis_cli.io.inputs import require_file
from trellis_cli.io.zipped import unpacked
from trellis_cli.ledger import Item, Ledger
from trellis_cli.session import in_the_way
from trellis_cli.shards import in_shard
from trellis_cli.stages.export_objects import list_source
from trellis_cli.stages.manifest_rows import check_out, read_sidecar, work_rows


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """files: rows whose mesh is a file that stages read; the others are inside of archives, or made by a program."""

    out: Path
    rows: int
    files: int
    failed: int
    licences: dict[str, int]
    before: bool = False  # it was there already, to the byte

    @property
    def text(self) -> str:
        held = ", ".join(f"{name} {num}" for name, num in sorted(self.licences.items()))
        lines = [f"{self.out}: {'done already, ' if self.before else ''}{self.rows} objects ({held})"]
        if self.files < self.rows:
            lines.append(f"{self.rows - self.files} have no mesh file of their own: `trellis data export` writes them")
        return "\n".join(lines)


def index_objects(
    source: str,
    root: Path | None,
    out: Path,
    *,
    licences: Sequence[str] = (),
    min_score: float | None = None,
    num: int | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> IndexSummary:
    """Write a manifest of a source's objects, whose meshes stay where they are: stages take it in their place.

    Digests of files are kept at once in `<out>.digests.jsonl`: what was read is not read again, unless `overwrite`.

    Args:
        licences: keep objects of these licences alone; `*` stands for anything, capitals do not matter.
        min_score: keep objects of at least this aesthetic score; those without a score go.
        shard: (i, n) looks at the files of this part alone, by the hash of the objects' keys. Splits follow from all
            objects that are kept, so that `trellis merge` of all parts gives what one call does.

    Raises:
        UsageError, FileError: as `list_source`; another file is in the way; no object is left.
        SomeFailed: some files could not be read; the others are in the manifest.
    """
    check_out(out)
    items = [item for item in list_source(source, root, num=num, seed=seed) if _wanted(item, licences, min_score)]
    if not items:
        raise UsageError(f"no object of {source} is left", hint="allow more by --licence and --min-score")
    own = {item.key: item for item in items if in_shard(item.key, shard)}
    stamps = {key: _stamp(item.path) for key, item in own.items()}
    sidecar, ledger = out.with_name(out.name + ".digests.jsonl"), Ledger.beside(out, "index")

    def unchanged(row: dict[str, Any]) -> bool:
        return not overwrite and row["stamp"] == stamps.get(row["id"]) and isinstance(row["digest"], str)

    known = read_sidecar(sidecar, unchanged)

    def do(item: SourceObject) -> dict[str, Any]:
        return {"stamp": stamps[item.key], "digest": _digest(item)}

    failed = work_rows(
        [Item(key, key, item) for key, item in own.items()], do, known, sidecar, ledger,
        what="trellis data index", retry_failed=retry_failed,
    )  # fmt: skip
    found = [_row(own[key], known[key]["digest"], out.parent) for key in sorted(own) if key in known]
    unique = {row.id: row for row in together(found).values()}.values()
    rows = settled(list(unique), Counter(item.group for item in items))
    done_before = _put(out, manifest_text(rows), overwrite=overwrite)
    held = {name: sum(row.licence == name for row in rows) for name in {row.licence for row in rows}}
    summary = IndexSummary(out, len(rows), sum(bool(row.path) for row in rows), len(failed), held, done_before)
    if failed:
        console.note(summary.text)
        raise SomeFailed(f"{len(failed)} of {len(own)} objects failed", hint=ledger.hint)
    return summary


def _put(out: Path, text: str, *, overwrite: bool) -> bool:
    """Write the manifest, or say True where it is there to the byte. Raises UsageError for another one."""
    if out.exists() and not overwrite:
        if out.is_file() and out.read_bytes() == text.encode():
            return True
        raise in_the_way(out)
    write_text(out, text)
    return False


def _wanted(item: SourceObject, licences: Sequence[str], min_score: float | None) -> bool:
    allowed = not licences or any(fnmatch.fnmatchcase(item.licence.lower(), p.lower()) for p in licences)
    return allowed and (min_score is None or (item.score is not None and item.score >= min_score))


def _stamp(path: Path | None) -> str:
    """What tells whether a file, or the archive it lies in, has changed since its digest was taken."""
    there = next((p for p in (path, *path.parents) if p.is_file()), None) if path is not None else None
    return f"{there.stat().st_size} {there.stat().st_mtime_ns}" if there is not None else ""


def _digest(item: SourceObject) -> str:
    """Of its file; without one, of the source's name for it."""
    if item.path is None:
        return hashlib.sha256(f"{item.source}\0{item.key}".encode()).hexdigest()
    with unpacked(item.path) as there:
        return source_digest(require_file(there))


def _row(item: SourceObject, digest: str, folder: Path) -> Row:
    """A row; the mesh is told by its own name, not by what a link leads to: its extension and company are there."""
    path = "" if item.path is None else os.path.relpath(os.path.abspath(item.path), os.path.abspath(folder))
    return Row(
        id=digest, source=item.source, key=item.key, name=item.name, category=item.category, group=item.group,
        split=split_of(item.group), captions=list(item.captions) or captions_of(item, []), colours=[],
        licence=item.licence, credit=item.credit, kind=item.kind, path=Path(path).as_posix() if path else "",
        score=item.score,
    )  # fmt: skip
