"""A source's objects where they lie: a manifest of ids, files, captions, licences and splits, nothing copied."""

import fnmatch
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trellis_cli import console
from trellis_cli.data.captions import captions_of
from trellis_cli.data.manifest import Row, manifest_text, settled, split_of
from trellis_cli.data.sources import SourceObject
from trellis_cli.errors import SomeFailed, UsageError
from trellis_cli.io.aside import write_text
from trellis_cli.io.digests import source_digest
from trellis_cli.io.inputs import require_file
from trellis_cli.io.zipped import unpacked
from trellis_cli.ledger import Item, Ledger, ledger_row
from trellis_cli.shards import in_shard
from trellis_cli.stages.export_objects import list_source
from trellis_cli.stages.manifest_rows import check_out
from trellis_cli.workers import each

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """files: rows whose mesh is a file that stages read; the others are inside of archives, or made by a program."""

    out: Path
    rows: int
    files: int
    failed: int
    licences: dict[str, int]

    @property
    def text(self) -> str:
        held = ", ".join(f"{name} {num}" for name, num in sorted(self.licences.items()))
        lines = [f"{self.out}: {self.rows} objects ({held})"]
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
) -> IndexSummary:
    """Write a manifest of a source's objects, whose meshes stay where they are: stages take it in their place.

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
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already", hint="pass --overwrite to write it anew, or choose another -o")
    items = [item for item in list_source(source, root, num=num, seed=seed) if _wanted(item, licences, min_score)]
    if not items:
        raise UsageError(f"no object of {source} is left", hint="allow more by --licence and --min-score")
    sizes = Counter(item.group for item in items)
    own = [Item(item.key, item.key, item) for item in items if in_shard(item.key, shard)]
    ledger = Ledger.beside(out, "index")
    rows, failures = [], {}
    for item, row, error in each(own, lambda item: asdict(_row(item.payload, out.parent)), what="trellis data index"):
        if error is None:
            rows.append(Row(**row))
        else:
            _log.warning("%s: %s", item.id, error.problem)
            failures[item.id] = ledger_row(item.id, item.payload.name, error)
    rows = settled(sorted(rows, key=lambda row: row.key), sizes)
    write_text(out, manifest_text(rows))
    ledger.write(failures)
    held = {name: sum(row.licence == name for row in rows) for name in {row.licence for row in rows}}
    summary = IndexSummary(out, len(rows), sum(bool(row.path) for row in rows), len(failures), held)
    if failures:
        console.note(summary.text)
        raise SomeFailed(f"{len(failures)} of {len(own)} objects failed", hint=ledger.hint)
    return summary


def _wanted(item: SourceObject, licences: Sequence[str], min_score: float | None) -> bool:
    allowed = not licences or any(fnmatch.fnmatchcase(item.licence.lower(), p.lower()) for p in licences)
    return allowed and (min_score is None or (item.score is not None and item.score >= min_score))


def _row(item: SourceObject, folder: Path) -> Row:
    """A row, with the digest of its file; without a file the id is of the source's name for it."""
    if item.path is None:
        id_, path = hashlib.sha256(f"{item.source}\0{item.key}".encode()).hexdigest(), ""
    else:
        with unpacked(item.path) as there:
            id_ = source_digest(require_file(there))
        path = Path(os.path.relpath(item.path.resolve(), folder.resolve())).as_posix()
    return Row(
        id=id_, source=item.source, key=item.key, name=item.name, category=item.category, group=item.group,
        split=split_of(item.group), captions=list(item.captions) or captions_of(item, []), colours=[],
        licence=item.licence, credit=item.credit, kind=item.kind, path=path, score=item.score,
    )  # fmt: skip
