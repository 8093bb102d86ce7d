"""Content hashes: what an id is made from."""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path

_REFERENCE = re.compile(rb"^\s*(?:mtllib|map_\w+|bump|norm|disp|decal|refl)\s+(.+?)\s*$", re.MULTILINE)


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def source_digest(path: Path) -> str:
    """sha256 of a mesh file and of the files beside it that it names (an OBJ's materials and textures, a glTF's data).

    A file without such company has the digest that `sha256sum` prints.
    """
    company = sorted(_company(path))
    if not company:
        return file_digest(path)
    whole = hashlib.sha256(file_digest(path).encode())
    for other in company:
        whole.update(f"{other.name}\0{file_digest(other)}\0".encode())
    return whole.hexdigest()


def _company(path: Path) -> set[Path]:
    """The existing files within the mesh's own folder that it refers to."""
    suffix = path.suffix.lower()
    if suffix == ".obj":
        materials = _beside(path, _REFERENCE.findall(path.read_bytes()))
        named = [_REFERENCE.findall(m.read_bytes()) for m in materials]
        return materials.union(*(_beside(path, [w for r in some for w in r.split()[-1:]]) for some in named))
    if suffix == ".gltf":
        try:
            table = json.loads(path.read_bytes())
            uris = [e.get("uri", "") for kind in ("buffers", "images") for e in table.get(kind, [])]
        except (ValueError, AttributeError):
            return set()
        return _beside(path, [u.encode() for u in uris if not u.startswith("data:")])
    return set()


def _beside(path: Path, names: list[bytes]) -> set[Path]:
    folder, found = path.parent.resolve(), set()
    for name in names:
        with suppress(OSError, ValueError):  # too long, or with a zero in it: no such file
            other = (folder / name.decode("utf-8", "replace")).resolve()
            if other.is_file() and other.is_relative_to(folder):
                found.add(other)
    return found
