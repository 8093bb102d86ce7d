"""HSSD, the Habitat Synthetic Scenes Dataset: its models (hssd/hssd-models on the Hugging Face hub).

    ROOT/objects/<first letter>/<id>.glb         or below ROOT/raw; objects/decomposed and others are passed over
    ROOT/semantics/objects.csv                   optional: columns id, name, main_category (also ROOT/metadata/...)
    ROOT/metadata.csv                            optional: which objects (`objects/<x>/<id>.glb`), scores and captions

CC-BY-NC 4.0. Source: https://huggingface.co/datasets/hssd/hssd-models
"""

import csv
from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object, plain_words
from trellis_cli.data.sources.published_metadata import PublishedRow, read_metadata
from trellis_cli.errors import FileError

FOLDERS = ("objects", "raw/objects")
TABLES = ("semantics/objects.csv", "raw/semantics/objects.csv")
LICENCE, CREDIT = "CC-BY-NC-4.0", "HSSD, Habitat Synthetic Scenes Dataset"


def list_objects(root: Path) -> list[SourceObject]:
    """The models in the order of their ids. Raises FileError where there is none."""
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
    paths = sorted(p for p in folder.glob("?/*.glb") if not p.stem.endswith("_part")) if folder else []
    if folder is None or not paths:
        raise FileError(f"{root} holds no objects/<x>/<id>.glb", hint="download hssd/hssd-models into it")
    rows = read_metadata(root)
    chosen = None if rows is None else {Path(row.identifier).stem: row for row in rows}
    named = _names(root)
    return [
        _object(path, named, (chosen or {}).get(path.stem)) for path in paths if chosen is None or path.stem in chosen
    ]


def _object(path: Path, named: dict[str, tuple[str, str]], row: PublishedRow | None) -> SourceObject:
    name, category = named.get(path.stem, ("object", "object"))
    return mesh_object(
        path, source="hssd", key=f"{path.parent.name}/{path.name}", name=name, category=category, licence=LICENCE,
        credit=CREDIT, captions=row.captions if row else (), score=row.score if row else None,
    )  # fmt: skip


def _names(root: Path) -> dict[str, tuple[str, str]]:
    """Model id -> (name, main category), of the table that is there."""
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {
                row["id"]: (
                    plain_words(row["name"] or "") or "object",
                    plain_words(row["main_category"] or "") or "object",
                )
                for row in csv.DictReader(file)
            }
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise FileError(f"{path} is no table of models: {error}", hint="download hssd/hssd-models anew") from error
