"""Amazon Berkeley Objects: the 3D models of `abo-3dmodels.tar`, unpacked, and the listings that name them.

    ROOT/3dmodels/original/<x>/<id>.glb          or ROOT/raw/3dmodels/... as the published tools leave it
    ROOT/listings/metadata/listings_*.json.gz    optional: names, by the column `3dmodel_id` of each line
    ROOT/metadata.csv                            optional: which objects, their scores and captions

The models are CC-BY 4.0; credit goes to Amazon.com.
Source: https://amazon-berkeley-objects.s3.amazonaws.com/index.html
"""

import gzip
import json
from pathlib import Path

from trellis_cli.data.sources import SourceObject, mesh_object, plain_words
from trellis_cli.data.sources.published_metadata import PublishedRow, read_metadata
from trellis_cli.errors import FileError

MODELS = ("3dmodels/original", "raw/3dmodels/original")
LICENCE, CREDIT = "CC-BY-4.0", "Amazon.com, Amazon Berkeley Objects"


def list_objects(root: Path) -> list[SourceObject]:
    """The models in the order of their ids. Raises FileError where there is none."""
    folder = next((root / name for name in MODELS if (root / name).is_dir()), None)
    paths = sorted(folder.glob("*/*.glb")) + sorted(folder.glob("*.glb")) if folder else []
    if folder is None or not paths:
        raise FileError(f"{root} holds no {MODELS[0]}/<x>/<id>.glb", hint="unpack abo-3dmodels.tar into it")
    rows = read_metadata(root)
    chosen = None if rows is None else {Path(row.identifier).stem: row for row in rows}
    named = _names(root)
    return [
        _object(path, folder, named, (chosen or {}).get(path.stem))
        for path in paths
        if chosen is None or path.stem in chosen
    ]


def _object(path: Path, folder: Path, named: dict[str, tuple[str, str]], row: PublishedRow | None) -> SourceObject:
    name, category = named.get(path.stem, ("object", "object"))
    return mesh_object(
        path, source="abo", key=path.relative_to(folder).as_posix(), name=name, category=category, licence=LICENCE,
        credit=CREDIT, captions=row.captions if row else (), score=row.score if row else None,
    )  # fmt: skip


def _names(root: Path) -> dict[str, tuple[str, str]]:
    """Model id -> (English name, product type), of the listings that are there."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(root.glob("listings/metadata/listings_*.json.gz")):
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    listing = json.loads(line)
                    if "3dmodel_id" in listing:
                        kind = plain_words(str((listing.get("product_type") or [{}])[0].get("value", "object")))
                        found[listing["3dmodel_id"]] = (_english(listing) or kind, kind)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(f"{path} holds no listings: {error}", hint="unpack abo-listings.tar anew") from error
    return found


def _english(listing: dict) -> str:
    names = [n["value"] for n in listing.get("item_name", ()) if str(n.get("language_tag", "")).startswith("en")]
    return plain_words(names[0]) if names else ""
