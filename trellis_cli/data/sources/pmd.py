"""PMD, the mesh format of the Pyrogenesis engine (0 A.D.): skinned meshes with named points for props.

Little-endian. "PSMD", version, bytes that follow; vertices (position, normal, uv sets, 4 bone numbers, 4 weights),
faces (3 uint16), bones (position, quaternion x y z w), prop points (name, position, quaternion, bone; 255 is none).
Positions are of the rest pose, y up, LEFT-handed. Only version 4, the one in use since 2012.
Source: 0 A.D.'s source/graphics/ModelDef.cpp and source/collada/PMDConvert.cpp describe it.
"""

import struct
from dataclasses import dataclass

import numpy as np

from trellis_cli.errors import FileError


@dataclass(frozen=True, slots=True, eq=False)
class Pmd:
    """vertices, normals float64 [v, 3]; uvs float32 [v, 2], the first set, v = 0 at the picture's bottom row;
    faces int32 [f, 3]; props: name -> 4x4 rest-pose transform of the point."""

    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    faces: np.ndarray
    props: dict[str, np.ndarray]


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def take(self, form: str) -> tuple:
        self.need(struct.calcsize("<" + form))
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, dtype: np.dtype, count: int) -> np.ndarray:
        self.need(dtype.itemsize * count)
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += dtype.itemsize * count
        return values

    def need(self, size: int) -> None:
        if self.at + size > len(self.data):
            raise FileError(f"{self.name}: ends early: {size} bytes wanted at {self.at} of {len(self.data)}")


def read_pmd(data: bytes, name: str) -> Pmd:
    """Raises FileError for another format or version, a file that ends early, and faces without vertices."""
    reader = _Reader(data, name)
    magic, version, _ = reader.take("4sII")
    if magic != b"PSMD" or version != 4:
        raise FileError(f"{name}: not a PMD of version 4 but {magic!r}, version {version}")
    count, uv_sets = reader.take("II")
    parts = [("position", "<f4", 3), ("normal", "<f4", 3), ("uv", "<f4", (uv_sets, 2)), ("bones", "u1", 4)]
    table = reader.array(np.dtype([*parts, ("weights", "<f4", 4)]), count)
    (num_faces,) = reader.take("I")
    faces = reader.array(np.dtype(("<u2", 3)), num_faces).astype(np.int32)
    if len(faces) and faces.max() >= count:
        raise FileError(f"{name}: a face names vertex {faces.max()} of {count}")
    (num_bones,) = reader.take("I")
    bones = [transform(*reader.take("7f")) for _ in range(num_bones)]
    props = {"root": np.eye(4)}
    (num_props,) = reader.take("I")
    for _ in range(num_props):
        (length,) = reader.take("I")
        label = bytes(reader.array(np.dtype("u1"), length)).decode("utf-8", "replace")
        local = transform(*reader.take("7f"))
        (bone,) = reader.take("B")
        props[label] = bones[bone] @ local if bone < len(bones) else local
    uvs = table["uv"][:, 0] if uv_sets else np.zeros((count, 2), np.float32)
    return Pmd(table["position"].astype(np.float64), table["normal"].astype(np.float64), uvs, faces, props)


def transform(*translation_and_quaternion: float) -> np.ndarray:
    """4x4 of (tx, ty, tz, qx, qy, qz, qw)."""
    tx, ty, tz, x, y, z, w = translation_and_quaternion
    length = (x * x + y * y + z * z + w * w) ** 0.5 or 1.0
    x, y, z, w = x / length, y / length, z / length, w / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), tx],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x), ty],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y), tz],
            [0, 0, 0, 1],
        ]
    )
