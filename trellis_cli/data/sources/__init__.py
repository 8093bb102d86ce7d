"""Where objects come from: an adapter a data set, each a function that lists `SourceObject`s.

Listing is cheap and reads no geometry; an object's mesh is read when `load` is called, so that one broken object
costs nobody else anything.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.io.zipped import unpacked
from trellis_cli.representations.mesh import TexturedMesh


@dataclass(frozen=True, slots=True, eq=False)
class SourceObject:
    """One object of a data set, before its mesh is read.

    source: the data set's short name; key: what names the object there, stable from release to release; name: plain
    lower-case English, "round table"; synonyms: other names, plain or fuller; category: a coarse kind; group: shared by
    near-duplicates, and a split keeps it whole; licence, credit: what must travel with a model trained on it; load:
    reads the mesh (z up, any unit), and raises FileError for a broken one; captions: finished ones, where the source
    has its own; path: the mesh file, where it is one of its own; score: its aesthetic score, where the set has one.
    """

    source: str
    key: str
    name: str
    category: str
    group: str
    licence: str
    credit: str
    load: Callable[[], TexturedMesh]
    synonyms: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    kind: str = "real"
    path: Path | None = None
    score: float | None = None


def mesh_object(path: Path, *, group: str = "", **fields: Any) -> SourceObject:
    """A SourceObject whose mesh is a file of its own, or one within a zip; its group is its name unless given."""
    return SourceObject(path=path, load=partial(_read, path), group=group or fields["name"], **fields)


def _read(path: Path) -> TexturedMesh:
    with unpacked(path) as there:
        return read_mesh(there)


def plain_words(text: str) -> str:
    """A label as a caption writes it: ASCII, lower case, camelCase and_underscores-split, without a trailing number."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-/.]+", " ", ascii_text)
    words = re.sub(r"[^A-Za-z0-9' ]+", " ", split).lower().split()
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return " ".join(words)
