"""Work on the rows of a manifest: what is known of each object is kept at once, line by line, beside the output."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trellis_cli.data.manifest import OBJECTS, Row, whole_rows
from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.ledger import Item, Ledger, ledger_row
from trellis_cli.session import in_the_way
from trellis_cli.shards import in_shard
from trellis_cli.workers import each

_log = logging.getLogger(__name__)
SUFFIX = ".jsonl"


def rows_of(manifest: Path, shard: tuple[int, int] = (0, 1)) -> dict[str, Row]:
    """The rows of this shard by id. Raises FileError where there is no manifest, or a damaged one."""
    if not manifest.is_file():
        raise FileError(f"{manifest}: no such manifest", hint="write one with `trellis data index` or `data export`")
    return {id_: row for id_, row in whole_rows(manifest).items() if in_shard(id_, shard)}


def check_out(out: Path, manifest: Path | None = None, *, sidecar: Path | None = None, overwrite: bool = False) -> None:
    """Raises UsageError for an output that is no .jsonl, which no stage would take for a manifest, or is `manifest`, or
    is there without the `sidecar` of the work that writes it, and not to be overwritten."""
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"-o {out}: a manifest is a .jsonl", hint=f"for example -o {out.with_suffix(SUFFIX).name}")
    if manifest is not None and out.resolve() == manifest.resolve():
        raise UsageError(f"-o {out} is the manifest itself", hint="write the new one beside it")
    if sidecar is not None and out.exists() and not sidecar.is_file() and not overwrite:
        raise in_the_way(out)


def mesh_path(manifest: Path, row: Row) -> Path:
    """A row's mesh file."""
    return manifest.parent / (row.path or f"{OBJECTS}/{row.id}.glb")


def relative_row(row: Row, manifest: Path, out: Path) -> Row:
    """The row with its file told from another manifest's folder."""
    if os.path.abspath(out.parent) == os.path.abspath(manifest.parent):
        return row
    path = os.path.relpath(os.path.abspath(mesh_path(manifest, row)), os.path.abspath(out.parent))
    return replace(row, path=Path(path).as_posix())


def read_sidecar(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, dict[str, Any]]:
    """What is known by id; half a line, which a killed process leaves, is passed over, and what is not `wanted`."""
    found: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_bytes().decode(errors="replace").split("\n"):
            try:
                row = json.loads(line)
                if wanted(row):
                    found[row["id"]] = row
            except (ValueError, KeyError, TypeError):
                continue
    return found


def work_rows(
    items: Sequence[Item],
    do: Callable[[Any], dict[str, Any]],
    known: dict[str, dict[str, Any]],
    sidecar: Path,
    ledger: Ledger,
    *,
    what: str,
    retry_failed: bool = False,
    heard: Callable[[TrellisError | None], None] = lambda error: None,
) -> list[str]:
    """Find out what is not `known` yet, and put it there and into the sidecar; gives the ids of items that failed.

    Args:
        do: what the sidecar is to say of one item, of its payload, beside its id.
        heard: is told how each ended.
    """
    failures = ledger.read()
    skip = set(known) if retry_failed else known.keys() | failures.keys()
    sidecar.parent.mkdir(parents=True, exist_ok=True)
    broken = sidecar.is_file() and not sidecar.read_bytes().endswith(b"\n")
    with ledger.closing(failures), sidecar.open("a", encoding="utf-8") as kept:
        kept.write("\n" if broken else "")
        for item, value, error in each(
            items, lambda item: do(item.payload), skip=skip, what=what, begin=lambda item: failures.pop(item.id, None)
        ):
            if error is None:
                known[item.id] = {"id": item.id, **value}
                kept.write(json.dumps(known[item.id], ensure_ascii=False) + "\n")
                kept.flush()
            else:
                _log.warning("%s: %s", item.name, error.problem)
                failures[item.id] = ledger_row(item.id, item.name, error)
                ledger.write(failures)
            heard(error)
    return [item.id for item in items if item.id in failures]


def row_items(rows: Mapping[str, Row]) -> list[Item]:
    return [Item(id_, row.key, row) for id_, row in rows.items()]
