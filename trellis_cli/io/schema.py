"""What each stage writes, as data: one `Group` a stage, one `Field` a dataset.

A file holds b assets packed end to end, as the networks hold them in memory. The checks of a file, `trellis inspect`
and docs/formats.md are made from this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FORMAT = "trellis-slat"
FORMAT_VERSION = 1
CONTENT = "content"  # attribute of every group: sha256 of all that it holds (checks.content_digest)
AXES = "x right, y back, z up; cube [-0.5, 0.5]^3; voxel i of N has its centre at (i + 0.5)/N - 0.5"


@dataclass(frozen=True, slots=True)
class Field:
    """One dataset. A name in `shape` is a size that must agree wherever the name recurs in the group.

    `b` counts assets and `b` alone; every other leading name is a packed axis, whose lengths an asset are given by the
    group's `packed`. `bounds` are inclusive limits of the values; every float must be finite. What networks make is not
    `compressed`: gzip takes a fifth off it, and ten times as long to write and to read.
    """

    dtype: str
    shape: tuple[str | int, ...]
    unit: str
    doc: str
    bounds: tuple[float | int, float | int] | None = None
    optional: bool = False
    compressed: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """What one stage writes, and the command that writes it.

    `packed` names, for each packed axis, the dataset with its length an asset; `attrs` are required attributes.
    """

    name: str
    version: int
    command: str
    doc: str
    fields: Mapping[str, Field]
    attrs: Mapping[str, type] = field(default_factory=dict)
    packed: Mapping[str, str] = field(default_factory=lambda: {"n": "lengths"})


IDS = Field("S64", ("b",), "sha256, hex", "which asset: of a source object the digest of its file(s)")


def _lengths(what: str) -> Field:
    return Field("int64", ("b",), "count", f"{what} of each asset", bounds=(0, 2**40))


def _coords(doc: str = "active voxels as x, y, z; sorted, each once an asset") -> Field:
    return Field("int16", ("n", 3), "voxel index", doc, bounds=(0, 1023))


VOXELS = Group(
    name="voxels",
    version=1,
    command="trellis voxelize",
    doc="The active voxels: those that the surface touches.",
    attrs={"resolution": int},
    fields={
        "ids": IDS,
        "lengths": _lengths("active voxels"),
        "coords": _coords(),
        "source_to_cube": Field(
            "float64", ("b", 4, 4), "source units to cube edges", "maps a source point (z up) into the cube"
        ),
    },
)

VIEWS = Group(
    name="views",
    version=1,
    command="trellis render",
    doc="Rendered views: PNG pictures end to end, with their cameras.",
    attrs={"size": int, "lighting": str},
    packed={"v": "lengths", "m": "image_bytes"},
    fields={
        "ids": IDS,
        "lengths": _lengths("views"),
        "image_bytes": _lengths("bytes of all pictures"),
        "images": Field(
            "uint8", ("m",), "PNG files", "RGBA pictures, straight alpha, one PNG after the other", compressed=False
        ),
        "image_offsets": Field(
            "int64", ("v+1",), "bytes", "picture j is images[image_offsets[j]:image_offsets[j + 1]]"
        ),
        "extrinsics": Field("float32", ("v", 4, 4), "cube edges", "world to camera; x right, y down, z forward"),
        "intrinsics": Field("float32", ("v", 3, 3), "image widths, heights", "pinhole, normalised"),
        "depth": Field("float32", ("v", "h", "w"), "cube edges along z", "0 where nothing is hit", (0, 1e4), True),
        "normal": Field("uint8", ("v", "h", "w", 3), "(n + 1)/2 * 255, world axes", "surface normals", None, True),
    },
)

CONDITIONS = replace(
    VIEWS,
    name="conditions",
    command="trellis render --conditions",
    doc="Views to condition on: as /views, but each camera with its own distance and angle of view.",
)

FEATURES = Group(
    name="features",
    version=1,
    command="trellis featurize",
    doc="Image features averaged over the views at each active voxel.",
    attrs={"encoder": str, "resolution": int},
    fields={
        "ids": IDS,
        "lengths": _lengths("active voxels"),
        "coords": _coords(),
        "feats": Field(
            "float16", ("n", "c"), "of the encoder", "mean over all views of the sampled feature maps", compressed=False
        ),
    },
)

STRUCTURE = Group(
    name="structure",
    version=1,
    command="trellis encode` or `trellis sample",
    doc="The dense latent of the structure, from which the first decoder makes active voxels.",
    fields={
        "ids": IDS,
        "lengths": _lengths("cells (r^3)"),
        "latent": Field(
            "float32", ("b", "c", "r", "r", "r"), "latent", "axes x, y, z after the channels", compressed=False
        ),
    },
)

SLAT = Group(
    name="slat",
    version=1,
    command="trellis encode` or `trellis sample",
    doc="The structured latent: active voxels with a latent each. Never normalised on disk.",
    attrs={"resolution": int},
    fields={
        "ids": IDS,
        "lengths": _lengths("active voxels"),
        "coords": _coords(),
        "feats": Field("float32", ("n", "c"), "latent", "one latent a voxel", compressed=False),
    },
)

GAUSSIANS = Group(
    name="gaussians",
    version=1,
    command="trellis decode --format gaussians",
    doc="3D Gaussians, after activation.",
    fields={
        "ids": IDS,
        "lengths": _lengths("Gaussians"),
        "means": Field("float32", ("n", 3), "cube edges", "centres"),
        "quats": Field("float32", ("n", 4), "unit quaternion", "w, x, y, z"),
        "scales": Field("float32", ("n", 3), "cube edges", "standard deviations along the own axes"),
        "opacities": Field("float32", ("n",), "share", "opacity at the centre", (0, 1)),
        "sh": Field("float32", ("n", "k", 3), "-", "spherical harmonics; colour = 0.5 + 0.28209479 sh[0]"),
    },
)

RADIANCE_FIELD = Group(
    name="radiance_field",
    version=1,
    command="trellis decode --format radiance-field",
    doc="Radiance fields: on each active voxel a volume of d^3 points, the sum of r products of three lines.",
    attrs={"resolution": int},
    fields={
        "ids": IDS,
        "lengths": _lengths("active voxels"),
        "coords": _coords(),
        "factors": Field(
            "float32", ("n", "r", 3, "d"), "-", "each term's lines along x, y, z, at (i + 0.5)/d of the voxel's edge"
        ),
        "density": Field(
            "float32", ("n", "r"), "1 / cube edge, before softplus", "each term's; softplus of their sum is the density"
        ),
        "colours": Field(
            "float32", ("n", "r", 3), "-", "each term's; the colour is sigmoid(0.28209479 times their sum)"
        ),
    },
)

MESH = Group(
    name="mesh",
    version=1,
    command="trellis decode --format mesh",
    doc="Triangle meshes with vertex colours.",
    packed={"n": "lengths", "f": "face_lengths"},
    fields={
        "ids": IDS,
        "lengths": _lengths("vertices"),
        "face_lengths": _lengths("faces"),
        "vertices": Field("float32", ("n", 3), "cube edges", "positions, z up"),
        "faces": Field("int32", ("f", 3), "vertex of its asset", "counter-clockwise from outside", bounds=(0, 2**31)),
        "colours": Field("float32", ("n", 3), "sRGB", "vertex colours", (0, 1)),
    },
)

GROUPS = {g.name: g for g in (VOXELS, VIEWS, CONDITIONS, FEATURES, STRUCTURE, SLAT, GAUSSIANS, RADIANCE_FIELD, MESH)}

ROOT_ATTRIBUTES = {
    "format": "always `trellis-slat`",
    "version": "version of this format",
    "program_version": "of the program that wrote the file",
    "command": "the canonical command, rebuilt from what follows (`inputs.txt`, `prompts.jsonl`: long lists)",
    "seed": "the seed",
    "parameters": "every parameter that can change the result, resolved, as JSON",
    "inputs": "sha256 and base name of each input, as JSON",
    "model": "model id and sha256 of its weights, as JSON; {} where no model took part",
    "axes": "the axis convention",
    "history": "of an edit: what made its inputs and theirs, a file an entry, the oldest first, as JSON",
}
