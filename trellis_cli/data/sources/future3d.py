"""3D-FUTURE: furniture of `3D-FUTURE-model.zip`, unpacked.

    ROOT/3D-FUTURE-model/<id>/raw_model.obj      with model.mtl and texture.png; or below ROOT/raw
    ROOT/3D-FUTURE-model/model_info.json         a list of {"model_id", "super-category", "category", "style", ...}
    ROOT/metadata.csv                            optional: which objects (`3D-FUTURE-model/<id>`), scores and captions

Its terms allow research, not commerce: "3D-FUTURE-terms". Source: https://tianchi.aliyun.com/dataset/98063
"""

import json
from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object, plain_words
from trellis_cli.data.sources.published_metadata import PublishedRow, read_metadata
from trellis_cli.errors import FileError

FOLDERS = ("3D-FUTURE-model", "raw/3D-FUTURE-model")
MESH, INFO = "raw_model.obj", "model_info.json"
LICENCE, CREDIT = "3D-FUTURE-terms", "3D-FUTURE, Alibaba"


def list_objects(root: Path) -> list[SourceObject]:
    """The models in the order of their ids. Raises FileError where there is none."""
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
    paths = sorted(folder.glob(f"*/{MESH}")) if folder else []
    if folder is None or not paths:
        raise FileError(f"{root} holds no {FOLDERS[0]}/<id>/{MESH}", hint="unpack 3D-FUTURE-model.zip into it")
    rows = read_metadata(root)
    chosen = None if rows is None else {Path(row.identifier).name: row for row in rows}
    info = _info(folder / INFO)
    return [
        _object(path, info.get(path.parent.name, {}), (chosen or {}).get(path.parent.name))
        for path in paths
        if chosen is None or path.parent.name in chosen
    ]


def _object(path: Path, info: dict, row: PublishedRow | None) -> SourceObject:
    words = (plain_words(str(info.get(key) or "")) for key in ("category", "super-category"))
    category = next(filter(None, words), "furniture")
    style = plain_words(str(info.get("style") or ""))
    return mesh_object(
        path, source="3d-future", key=path.parent.name, name=category, category=category, licence=LICENCE,
        credit=CREDIT, captions=row.captions if row else (), score=row.score if row else None,
        synonyms=(f"{style} {category}",) if style else (), group=path.parent.name,
    )  # fmt: skip


def _info(path: Path) -> dict[str, dict]:
    """What the set says of each model; nothing where the file is not there."""
    if not path.is_file():
        return {}
    try:
        return {str(row["model_id"]): row for row in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} is no list of models: {error}", hint="unpack 3D-FUTURE-model.zip anew") from error
