"""Toys4k: the evaluation set, of `toys4k_obj_files.zip`, unpacked. (Its Blender files are not read.)

    ROOT/toys4k_obj_files/<category>/<category>_<number>/mesh.obj    with its material and textures
    ROOT/metadata.csv         optional: which objects (`<category>/<category>_<number>/....blend`), scores, captions

Its objects have Creative Commons and royalty-free licences of their own, which the set lists by object: "various".
Source: Stojanov et al. 2021, https://github.com/rehg-lab/lowshot-shapebias/tree/main/toys4k
"""

from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object, plain_words
from trellis_cli.data.sources.published_metadata import PublishedRow, read_metadata
from trellis_cli.errors import FileError

FOLDERS = ("toys4k_obj_files", "raw/toys4k_obj_files")
LICENCE, CREDIT = "various", "Toys4k, Stojanov et al. 2021"


def list_objects(root: Path) -> list[SourceObject]:
    """The objects in the order of their names. Raises FileError where there is none."""
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
    paths = sorted(folder.glob("*/*/mesh.obj")) if folder else []
    if folder is None or not paths:
        raise FileError(
            f"{root} holds no {FOLDERS[0]}/<category>/<name>/mesh.obj", hint="unpack toys4k_obj_files.zip into it"
        )
    rows = read_metadata(root)
    chosen = None if rows is None else {"/".join(row.identifier.split("/")[:2]): row for row in rows}
    keys = {path: path.parent.relative_to(folder).as_posix() for path in paths}
    return [
        _object(path, key, (chosen or {}).get(key)) for path, key in keys.items() if chosen is None or key in chosen
    ]


def _object(path: Path, key: str, row: PublishedRow | None) -> SourceObject:
    category = plain_words(path.parent.parent.name)
    return mesh_object(
        path, source="toys4k", key=key, name=category, category=category, licence=LICENCE, credit=CREDIT,
        captions=row.captions if row else (), score=row.score if row else None, group=key,
    )  # fmt: skip
