"""Any folder of mesh files: the caption is the file's name, the category its folder's."""

from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object, plain_words
from trellis_cli.errors import FileError
from trellis_cli.io.mesh_files import READABLE


def list_objects(root: Path) -> list[SourceObject]:
    """Every readable mesh under `root`, in the order of their paths. Raises FileError where there is none.

    `chairs/red_chair_02.glb` is a "red chair" of the category "chairs" and the group "red chair".
    """
    if not root.is_dir():
        raise FileError(f"{root}: no such folder", hint="give a folder of mesh files")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in READABLE and p.is_file())
    if not paths:
        raise FileError(f"{root} holds no mesh ({', '.join(READABLE)})", hint="give another folder")
    return [_object(path, root) for path in paths]


def _object(path: Path, root: Path) -> SourceObject:
    inside = path.relative_to(root)
    name = plain_words(path.stem) or "object"
    category = plain_words(inside.parent.name) if inside.parent.name else "object"
    return mesh_object(
        path, source="folder", key=inside.as_posix(), name=name, category=category, licence="unknown", credit=""
    )
