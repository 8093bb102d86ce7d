"""Objaverse-XL, its parts sketchfab and github, as the published tools download them.

    ROOT/metadata.csv                                        see published_metadata
    ROOT/raw/hf-objaverse-v1/glbs/000-023/<uid>.glb          sketchfab: https://sketchfab.com/3d-models/<uid>
    ROOT/raw/github/repos/<owner>/<repository>.zip           github: .../<owner>/<repository>/blob/<commit>/<path>

An object of github is a file within the zip of its repository, which holds its textures too. Every object has a licence
of its own: give it as a column `license`, from the annotations of Objaverse-XL; without one it is "unknown".
Source: https://objaverse.allenai.org
"""

from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object
from trellis_cli.data.sources.published_metadata import NAME, PublishedRow, read_metadata
from trellis_cli.errors import FileError

GLBS = Path("raw/hf-objaverse-v1/glbs")
REPOSITORIES = Path("raw/github/repos")


def list_objects(root: Path) -> list[SourceObject]:
    """The objects of the metadata whose files are there. Raises FileError where there is no metadata, or none of it."""
    rows = read_metadata(root)
    if rows is None:
        raise FileError(f"{root} has no {NAME}", hint="fetch the published metadata of Objaverse-XL into it")
    by_uid = {path.stem: path for path in (root / GLBS).glob("*/*.glb")}
    found = [_object(row, path, root) for row in rows if (path := _path(row, root, by_uid)) is not None]
    if not found:
        raise FileError(f"{root}: no object of {NAME} is there", hint=f"download them into {root / 'raw'}")
    return found


def _path(row: PublishedRow, root: Path, by_uid: dict[str, Path]) -> Path | None:
    """Where a row's file lies, in a zip perhaps; None where it was not downloaded."""
    if row.local_path:
        path = root / row.local_path
        return path if _is_there(path) else None
    parts = row.identifier.removeprefix("https://").split("/")
    if parts[0] == "github.com" and len(parts) > 5 and parts[3] == "blob":
        path = root / REPOSITORIES / parts[1] / f"{parts[2]}.zip" / "/".join(parts[5:])
        return path if _is_there(path) else None
    return by_uid.get(parts[-1])


def _is_there(path: Path) -> bool:
    return path.is_file() or any(parent.suffix == ".zip" and parent.is_file() for parent in path.parents)


def _object(row: PublishedRow, path: Path, root: Path) -> SourceObject:
    return mesh_object(
        path, source="objaverse-xl", key=row.identifier, name=min(row.captions, key=len, default="object"),
        category="object", licence=row.licence or "unknown", credit=row.identifier, captions=row.captions,
        score=row.score,
    )  # fmt: skip
