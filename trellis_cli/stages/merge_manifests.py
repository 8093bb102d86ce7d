"""Manifests put together, as shards of `data index`, `export`, `score` and `caption` leave them."""

from collections.abc import Sequence
from pathlib import Path

from trellis_cli.data.manifest import manifest_text, together
from trellis_cli.errors import UsageError
from trellis_cli.io.aside import write_text
from trellis_cli.io.inputs import require_file
from trellis_cli.session import Summary, in_the_way
from trellis_cli.stages.manifest_rows import SUFFIX, relative_row, rows_of


def merge_manifests(inputs: Sequence[Path], out: Path, *, overwrite: bool = False) -> Summary:
    """Write the rows of all manifests as one, whose meshes stay where they are; an object that several name comes once.

    Splits stay as they are told: parts of one work agree on them.

    Raises:
        UsageError: inputs or an output of another kind, or another file in the way.
        FileError: an input is no manifest.
    """
    others = [path for path in (*inputs, out) if path.suffix.lower() != SUFFIX]
    if others:
        raise UsageError(f"{others[0]} is no manifest", hint="merge manifests into a .jsonl, stage files into a .h5")
    rows = [relative_row(row, path, out) for path in inputs for row in rows_of(require_file(path)).values()]
    rows.sort(key=lambda row: (row.source, row.key))  # of twins the first in this order stays, as in one go
    unique = list({row.id: row for row in together(rows).values()}.values())
    text = manifest_text(unique)
    if out.exists() and not overwrite:
        if out.is_file() and out.read_bytes() == text.encode():
            return Summary(out, 0, len(unique), 0)
        raise in_the_way(out)
    write_text(out, text)
    return Summary(out, len(unique), 0, 0)
