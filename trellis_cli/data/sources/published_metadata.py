"""The published metadata of the sets that the paper trains on: one CSV a set, beside the folder `raw` of its files.

The columns read here are `sha256`, `file_identifier`, `aesthetic_score`, `captions` (a JSON list), and `local_path`,
which the published download tool adds: the file, from the folder of the CSV.
Source: https://huggingface.co/datasets/JeffreyXiang/TRELLIS-500K (MIT), and the page of its tools.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trellis_cli.errors import FileError

NAME = "metadata.csv"
WANTED = ("sha256", "file_identifier")


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One object of a set: what names it there, its score where it has one, its captions, and its file where it is."""

    identifier: str
    score: float | None
    captions: tuple[str, ...]
    local_path: str
    licence: str


def read_metadata(root: Path) -> Iterator[PublishedRow] | None:
    """The rows of ROOT/metadata.csv; None where there is none. Raises FileError for another kind of table."""
    path = root / NAME
    return _rows(path) if path.is_file() else None


def _rows(path: Path) -> Iterator[PublishedRow]:
    csv.field_size_limit(1 << 24)  # captions are long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in WANTED if name not in (reader.fieldnames or ())]:
                raise FileError(f"{path} has no column {missing[0]!r}", hint="give the published metadata of the set")
            for row in reader:
                if any(row[name] is None for name in WANTED):
                    raise FileError(f"{path}:{reader.line_num} is cut off", hint="fetch it anew")
                yield PublishedRow(
                    row["file_identifier"], _score(row.get("aesthetic_score")), _captions(row.get("captions")),
                    row.get("local_path") or "", row.get("license") or row.get("licence") or "",
                )  # fmt: skip
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is no CSV: {error}", hint="give the published metadata of the set") from error


def _score(text: str | None) -> float | None:
    try:
        score = float(text or "")
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def _captions(text: str | None) -> tuple[str, ...]:
    """A JSON list of texts; some objects have none."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(str(c).strip() for c in found if str(c).strip()) if isinstance(found, list) else ()
