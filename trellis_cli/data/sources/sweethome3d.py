"""SweetHome3D's furniture libraries: zip files (.sh3f) of OBJ models with a catalogue of names, tags and licences.

Of the Debian package `sweethome3d-furniture`; `recipes/mini/fetch_data.sh` gets it. CC0 and CC-BY 3.0.
Source: http://www.sweethome3d.com/importModels.jsp; "Sweet Home 3D's file formats" for `modelRotation`, nine numbers,
row by row, that turn the OBJ's own (y up) axes into the catalogue's.
"""

import re
import tempfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from trellis_cli.data.sources import SourceObject, plain_words
from trellis_cli.errors import FileError
from trellis_cli.geometry.rotations import Y_UP_TO_Z_UP
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.representations.mesh import TexturedMesh

CATALOGUE = "PluginFurnitureCatalog.properties"
CREATIVE_COMMONS_ZERO = "Public domain"

# Catalogue names that are not what an English speaker would type: misspelt, French, or brands and model numbers.
RENAMED = {
    "apple ibook": "laptop computer", "apple imac 1998": "desktop computer", "apple imac 2004": "desktop computer",
    "apple iphone": "smartphone", "bended coconut tree": "bent coconut tree", "bike": "bicycle",
    "bill 10": "banknote", "bill 20": "banknote", "bill 50": "banknote", "barnum": "marquee tent",
    "cctv": "security camera", "car model": "model car", "chevrolet": "car", "class seat": "school desk",
    "concept sedan": "sedan car", "concept sedan 02 sport": "sports car", "convertible sofa bz": "sofa bed",
    "opened convertible sofa bz": "open sofa bed", "flacon": "perfume bottle", "flipper": "pinball machine",
    "football table": "table football", "ford focus": "car", "frame chambord": "picture frame",
    "frame hoi an": "picture frame", "gaz water heater": "gas water heater", "hashtray": "ashtray",
    "indoor bike": "exercise bike", "island": "kitchen island", "island extension": "kitchen island",
    "letters box": "letter box", "lip stick": "lipstick", "little bank": "small bench", "mocassin": "moccasin",
    "mower": "lawn mower", "peugeot 308 cc": "convertible car", "puff": "pouffe", "renault scenic": "car",
    "seat leon": "car", "short": "shorts", "smart car": "small car", "teck chair": "teak chair",
    "toilets unit": "toilet", "trunck": "trunk", "tv 16 9": "flat tv", "vw new beetle": "beetle car",
    "wood bank": "wooden bench", "yamaha yzr r6": "motorcycle", "female": "woman", "male": "man",
    "holding female": "standing woman", "holding male": "standing man", "lying down female": "lying woman",
    "lying down male": "lying man", "lying down boy": "lying boy", "sitting female": "sitting woman",
    "sitting male": "sitting man", "mannequin female": "female mannequin", "mannequin male": "male mannequin",
    "woman shoes": "high heeled shoes", "relax chair": "lounge chair", "hood": "range hood", "tool": "kitchen tool",
    "squeezer": "juicer", "wire coathanger": "coat hanger", "television cabinet": "tv cabinet",
    "winchester armchair": "chesterfield armchair", "winchester sofa": "chesterfield sofa", "wood logs": "log pile",
    "utensils pot": "utensil pot", "suv": "suv car", "full bookcase": "bookcase full of books",
    "drawers cabinet": "chest of drawers", "table tennis": "table tennis table", "white board": "whiteboard",
}  # fmt: skip
RENAMED_BY_MODEL = {"chaussette": "sock", "gant-textured": "glove", "bague": "ring", "casque": "helmet"}
SYNONYMS = {
    "bookcase": ("bookshelf",), "bookcase full of books": ("bookshelf", "bookcase"), "sofa": ("couch",),
    "couch": ("sofa",), "tv": ("television",), "fridge": ("refrigerator",), "refrigerator": ("fridge",),
    "pine": ("pine tree",), "cypress": ("cypress tree",), "poplar": ("poplar tree",), "acacia": ("acacia tree",),
    "copper beech": ("beech tree",), "sycamore maple": ("maple tree",), "japanese maple": ("maple tree",),
    "lamp": ("table lamp",), "little lamp": ("small lamp",), "bedside table": ("nightstand",),
    "suv car": ("car", "suv"),
    "sedan car": ("car",), "sports car": ("car",), "convertible car": ("car",), "small car": ("car",),
    "beetle car": ("car",), "rowboat": ("boat",), "motorbike": ("motorcycle",), "dustbin": ("trash can",),
    "blue pine under snow": ("snowy pine tree",), "pine under snow": ("snowy pine tree",), "garden hut": ("shed",),
    "child hut": ("playhouse",), "shelves": ("shelf",), "vertical shelves": ("bookshelf",), "couches": ("sofa",),
}  # fmt: skip


def list_objects(root: Path) -> list[SourceObject]:
    """Every model of every .sh3f under `root`, by library and catalogue number.

    Raises FileError where there is no library, or one is not a furniture library.
    """
    libraries = sorted(root.rglob("*.sh3f")) if root.is_dir() else []
    if not libraries:
        raise FileError(f"{root} holds no .sh3f library", hint="get them with recipes/mini/fetch_data.sh")
    return [entry for library in libraries for entry in _library(library)]


def _library(library: Path) -> list[SourceObject]:
    try:
        with zipfile.ZipFile(library) as archive:
            header, rows = read_catalogue(archive.read(CATALOGUE))
    except (zipfile.BadZipFile, KeyError) as error:
        raise FileError(f"{library}: not a furniture library: {error}", hint="fetch it anew") from error
    return [_object(library, header, rows[number]) for number in sorted(rows)]


def read_catalogue(raw: bytes) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    r"""(the library's own keys, number -> an entry's keys) of a Java properties file: latin-1 with \uXXXX escapes."""
    header: dict[str, str] = {}
    rows: dict[int, dict[str, str]] = {}
    for line in raw.decode("latin-1").splitlines():
        if line.lstrip().startswith(("#", "!")) or "=" not in line:
            continue
        key, value = (part.strip() for part in line.split("=", 1))
        value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), value)
        name, _, number = key.partition("#")
        (rows.setdefault(int(number), {}) if number.isdecimal() else header)[name] = value
    return header, rows


def _object(library: Path, header: dict[str, str], row: dict[str, str]) -> SourceObject:
    name = english_name(row)
    tags = [plain_words(tag) for tag in row.get("tags", "").split(",")]
    tag_names = {"car": "car", "tree": "tree", "couch": "sofa", "chair": "chair", "table": "table"}
    synonyms = [*SYNONYMS.get(name, ()), *(tag_names[tag] for tag in tags if tag in tag_names)]
    public = CREATIVE_COMMONS_ZERO in header.get("license", "")
    return SourceObject(
        source="sweethome3d",
        key=f"{library.stem}{row['model']}",
        name=name,
        category=plain_words(row.get("category", "")) or "object",
        group=name,
        licence="CC0-1.0" if public else "CC-BY-3.0",
        credit=f"{row.get('creator', 'unknown')} ({header.get('name', library.stem)}, Sweet Home 3D)",
        load=partial(load_model, library, row["model"], row.get("modelRotation")),
        synonyms=tuple(dict.fromkeys(s for s in synonyms if s != name and s not in name.split())),
    )


def english_name(row: dict[str, str]) -> str:
    """The catalogue's name in the words that a user would type."""
    folder = PurePosixPath(row["model"]).parent.name
    if folder in RENAMED_BY_MODEL:
        return RENAMED_BY_MODEL[folder]
    name = plain_words(row["name"].split(" - ")[0].lower())  # lower: "iPhone" is one word
    return RENAMED.get(name, name)


def load_model(library: Path, model: str, rotation: str | None) -> TexturedMesh:
    """One model, z up: its folder is unpacked aside, read, turned by its `modelRotation`, then from y up to z up."""
    member = PurePosixPath(model.lstrip("/"))
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(library) as archive:
        inside = [n for n in archive.namelist() if PurePosixPath(n).parent == member.parent and not n.endswith("/")]
        archive.extractall(scratch, inside)
        path = Path(scratch) / member
        if not path.is_file():
            raise FileError(f"{library}: its model {model} is missing", hint="fetch the library anew")
        mesh = read_mesh(path, up="z")  # as the file has it: the catalogue's own turn comes first
    turn = Y_UP_TO_Z_UP
    if rotation:
        turn = turn @ np.array([float(x) for x in rotation.split()]).reshape(3, 3)
    return replace(mesh, vertices=mesh.vertices @ turn.T)
