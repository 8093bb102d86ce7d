"""Read glTF 2.0, .glb and .gltf: triangles, base colours, textures, vertex colours, alpha modes, the node tree.

Ours rather than a library's: nothing outside the file's folder is read, every offset is checked before it is used, and
colours keep their precision (factors and vertex colours are linear light in the file, sRGB-encoded in our meshes).
Left out: skins and morph targets (the rest pose is read), cameras, lights, all of a material but its base colour.
Source: glTF 2.0 specification; KHR_texture_transform, KHR_mesh_quantization, KHR_materials_pbrSpecularGlossiness,
EXT_texture_webp.
"""

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

from trellis_cli.errors import FileError
from trellis_cli.io.gltf_materials import Materials
from trellis_cli.io.mesh_parts import Part, beside, joined, refuse_too_many
from trellis_cli.representations.colour import linear_to_srgb
from trellis_cli.representations.mesh import TexturedMesh

_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_SUPPORTED = {
    "KHR_texture_transform", "KHR_mesh_quantization", "KHR_materials_pbrSpecularGlossiness", "EXT_texture_webp",
    "KHR_materials_unlit", "KHR_materials_transmission", "KHR_materials_ior", "KHR_materials_specular",
    "KHR_materials_clearcoat", "KHR_materials_sheen", "KHR_materials_volume", "KHR_materials_emissive_strength",
    "KHR_lights_punctual", "KHR_materials_variants", "KHR_materials_iridescence", "KHR_materials_anisotropy",
}  # fmt: skip
_MAX_DEPTH = 512


def read_gltf(path: Path) -> TexturedMesh:
    """The default scene's triangles, y up as in the file.

    Raises:
        FileError: not glTF 2, cut off, a buffer missing or outside the file's folder, an offset or index out of range,
            a required extension that is not understood, too many faces.
    """
    try:
        file = GltfFile(path)
        return _read_scene(file)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise FileError(f"{path}: the glTF structure is broken: {what}", hint="export the file anew") from error


class GltfFile:
    """An open file: its JSON, and its buffers, read when first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        if path.suffix.lower() == ".glb" or data[:4] == b"glTF":
            self.json, self.binary = _chunks(data, path)
        else:
            self.json, self.binary = _parsed(data, path), None
        version = str(self.json.get("asset", {}).get("version", "none"))
        if not version.startswith("2."):
            raise FileError(
                f"{path}: glTF version {version}, this program reads 2.x", hint="export the file as glTF 2.0"
            )
        if unknown := sorted(set(self.json.get("extensionsRequired", [])) - _SUPPORTED):
            raise FileError(
                f"{path}: it requires the extension {unknown[0]}, which this program does not read",
                hint="export it without compression, for example with `gltf-transform copy`",
            )
        self._buffers: dict[int, memoryview] = {}

    def view(self, index: int) -> memoryview:
        """The bytes of a buffer view."""
        view = self.json["bufferViews"][_index(index)]
        buffer = self._buffer(_index(view["buffer"]))
        start, length = _index(view.get("byteOffset", 0)), _index(view["byteLength"])
        if start + length > len(buffer):
            raise FileError(
                f"{self.path}: buffer view {index} ends at byte {start + length}, its buffer has {len(buffer)}",
                hint="the file is cut off or damaged; copy or export it anew",
            )
        return buffer[start : start + length]

    def _buffer(self, index: int) -> memoryview:
        if index not in self._buffers:
            buffer = self.json["buffers"][index]
            length = _index(buffer["byteLength"])
            data = (
                self.binary
                if "uri" not in buffer and index == 0
                else self.resource(buffer.get("uri"), f"buffer {index}")
            )
            if data is None or len(data) < length:
                found = "there is none" if data is None else f"it has {len(data)}"
                raise FileError(
                    f"{self.path}: buffer {index} should have {length} bytes, {found}",
                    hint="the file is cut off or damaged; copy or export it anew",
                )
            self._buffers[index] = memoryview(data)[:length]
        return self._buffers[index]

    def resource(self, uri: str | None, what: str) -> bytes | None:
        """The bytes behind a URI: inline data, or a file in the mesh's folder. Raises FileError for any other."""
        if uri is None:
            return None
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return base64.b64decode(body, validate=False) if head.endswith(";base64") else unquote_to_bytes(body)
            except binascii.Error as error:
                raise FileError(f"{self.path}: {what} is damaged: {error}", hint="export the file anew") from error
        target = beside(self.path.parent, unquote(uri)) if "://" not in uri else None
        if target is None:
            raise FileError(
                f"{self.path}: {what} is {uri!r}, outside the file's folder, and is not read",
                hint="put everything into one folder, or export a .glb that holds it",
            )
        try:
            return target.read_bytes()
        except OSError as error:
            raise FileError(
                f"{self.path}: {what} is {uri!r}, which cannot be read ({error.strerror})",
                hint="put it beside the file, or export a .glb that holds it",
            ) from error

    def accessor(self, index: int) -> np.ndarray:
        """An accessor as [count, components] in its own type, or float32 where it is normalised."""
        entry = self.json["accessors"][_index(index)]
        count, width, dtype = _index(entry["count"]), _TYPES[entry["type"]], np.dtype(_DTYPES[entry["componentType"]])
        if "bufferView" in entry:
            stride = self.json["bufferViews"][_index(entry["bufferView"])].get("byteStride")
            data = self._array(entry["bufferView"], entry.get("byteOffset", 0), count, width, dtype, stride)
        else:
            refuse_too_many(count // 3, self.path)  # zeros take no room in the file
            data = np.zeros((count, width), dtype)
        if sparse := entry.get("sparse"):
            num, where, values = _index(sparse["count"]), sparse["indices"], sparse["values"]
            at = self._array(
                where["bufferView"], where.get("byteOffset", 0), num, 1, np.dtype(_DTYPES[where["componentType"]])
            )
            data = data.copy()
            data[at[:, 0]] = self._array(values["bufferView"], values.get("byteOffset", 0), num, width, dtype)
        if entry.get("normalized") and dtype.kind in "iu":
            data = np.maximum(data.astype(np.float32) / np.float32(np.iinfo(dtype).max), -1)
        return data

    def _array(
        self, view: int, offset: int, count: int, width: int, dtype: np.dtype, stride: int | None = None
    ) -> np.ndarray:
        data, row = self.view(view), width * dtype.itemsize
        offset, stride = _index(offset), _index(stride) if stride else row
        needed = offset + (stride * (count - 1) + row if count else 0)
        if needed > len(data) or stride < row:
            raise FileError(
                f"{self.path}: an accessor needs {needed} bytes of buffer view {view}, which has {len(data)}",
                hint="the file is cut off or damaged; copy or export it anew",
            )
        return np.ndarray((count, width), dtype, buffer=data, offset=offset, strides=(stride, dtype.itemsize))


def _chunks(data: bytes, path: Path) -> tuple[dict[str, Any], memoryview | None]:
    """The JSON and binary chunks of a GLB."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise FileError(f"{path}: it does not begin like a GLB", hint="check that it is a mesh file and complete")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise FileError(f"{path}: GLB version {version}, this program reads 2", hint="export the file as glTF 2.0")
    if length > len(data):
        raise FileError(
            f"{path}: it should have {length} bytes, it has {len(data)}", hint="the file is cut off; copy it anew"
        )
    chunks: dict[bytes, memoryview] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, at)
        if at + 8 + size > length:
            raise FileError(f"{path}: its {kind!r} chunk is cut off", hint="the file is cut off; copy it anew")
        chunks.setdefault(kind, memoryview(data)[at + 8 : at + 8 + size])
        at += 8 + size + (-size % 4)
    if b"JSON" not in chunks:
        raise FileError(f"{path}: it has no JSON chunk", hint="export the file anew")
    return _parsed(bytes(chunks[b"JSON"]), path), chunks.get(b"BIN\0")


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"{path}: its JSON cannot be read: {error}", hint="the file is cut off or damaged; copy it anew"
        ) from error
    if not isinstance(found, dict):
        raise FileError(f"{path}: its JSON is no object", hint="check that it is a glTF file")
    return found


def _index(value: Any) -> int:
    """A whole number >= 0; anything else is a broken file."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} stands where a count or an index should")
    return value


def _read_scene(file: GltfFile) -> TexturedMesh:
    placed = _placed_meshes(file.json)
    meshes = file.json.get("meshes", [])
    refuse_too_many(sum(_num_faces(file, p) for mesh, _ in placed for p in meshes[mesh]["primitives"]), file.path)
    materials = Materials(file)
    parts = []
    for mesh, matrix in placed:
        for primitive in meshes[mesh]["primitives"]:
            if (
                primitive.get("mode", _TRIANGLES) in (_TRIANGLES, _STRIP, _FAN)
                and "POSITION" in primitive["attributes"]
            ):
                parts.append(_part(file, primitive, matrix, materials))
    if not parts:
        raise FileError(f"{file.path}: it holds no triangles", hint="give a file with a surface")
    return joined(parts, materials.used)


def _placed_meshes(document: dict[str, Any]) -> list[tuple[int, np.ndarray]]:
    """(mesh, 4x4 to the world) of each node of the default scene that has one, in the order of the tree."""
    nodes = document.get("nodes", [])
    if scenes := document.get("scenes"):
        roots = scenes[_index(document.get("scene", 0))].get("nodes", [])
    else:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in range(len(nodes)) if i not in children]
    if not nodes:
        return [(i, np.eye(4)) for i in range(len(document.get("meshes", [])))]
    placed: list[tuple[int, np.ndarray]] = []
    stack = [(_index(root), np.eye(4), 0) for root in reversed(roots)]
    visits = 0
    while stack:
        index, parent, depth = stack.pop()
        node, visits = nodes[index], visits + 1
        if depth > _MAX_DEPTH or visits > 4 * len(nodes):
            raise ValueError("its nodes contain themselves")
        matrix = parent @ _local(node)
        if "mesh" in node:
            placed.append((_index(node["mesh"]), matrix))
        stack += [(_index(child), matrix, depth + 1) for child in reversed(node.get("children", []))]
    return placed


def _local(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # stored by columns
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    out = np.eye(4)
    out[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    out[:3, 3] = node.get("translation", (0, 0, 0))
    return out


def _num_faces(file: GltfFile, primitive: dict[str, Any]) -> int:
    accessor = primitive.get("indices", primitive["attributes"].get("POSITION"))
    count = _index(file.json["accessors"][_index(accessor)]["count"]) if accessor is not None else 0
    return count // 3 if primitive.get("mode", _TRIANGLES) == _TRIANGLES else max(count - 2, 0)


def _part(file: GltfFile, primitive: dict[str, Any], matrix: np.ndarray, materials: Materials) -> Part:
    attributes = primitive["attributes"]
    local = file.accessor(attributes["POSITION"]).astype(np.float64)
    if local.shape[1] != 3:
        raise ValueError("positions are not three numbers each")
    faces = _faces(file, primitive, len(local))
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]  # mirrored: outside stays outside
    colours = None
    if "COLOR_0" in attributes:
        colours = _colours(file.accessor(attributes["COLOR_0"]), len(local))
    index, texcoord = materials.use(primitive.get("material"), coloured=colours is not None)
    uvs, name = None, f"TEXCOORD_{texcoord}"
    if materials.used[index].texture is not None and name in attributes:
        uv = file.accessor(attributes[name]).astype(np.float64)
        if uv.shape != (len(local), 2):
            raise ValueError(f"{name} has shape {uv.shape} for {len(local)} vertices")
        uvs = materials.placed(index, uv).astype(np.float32)[faces]
    vertices = local @ matrix[:3, :3].T + matrix[:3, 3]
    return Part(vertices, faces, np.full(len(faces), index, np.int32), uvs, colours)


def _faces(file: GltfFile, primitive: dict[str, Any], num_vertices: int) -> np.ndarray:
    """int64 [f, 3] of a list, strip or fan, every index checked."""
    if "indices" in primitive:
        corners = file.accessor(primitive["indices"])[:, 0].astype(np.int64)
    else:
        corners = np.arange(num_vertices)
    if len(corners) and not 0 <= corners.min() <= corners.max() < num_vertices:
        raise FileError(
            f"{file.path}: a face names vertex {corners.max()}, there are {num_vertices}",
            hint="the file is damaged; export it anew",
        )
    mode = primitive.get("mode", _TRIANGLES)
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        middle = np.full(max(len(corners) - 2, 0), corners[0] if len(corners) else 0)
        return np.stack([middle, corners[1:-1], corners[2:]], 1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], 1)
    strip[1::2] = strip[1::2, [1, 0, 2]]  # every second triangle of a strip runs the other way
    return strip


def _colours(found: np.ndarray, num_vertices: int) -> np.ndarray:
    """Linear rgb or rgba to sRGB-encoded rgba, float32 [v, 4]."""
    if len(found) != num_vertices or found.shape[1] not in (3, 4):
        raise ValueError(f"COLOR_0 has shape {found.shape} for {num_vertices} vertices")
    if found.dtype.kind in "iu":  # files that forget to say "normalized"
        found = found.astype(np.float32) / np.iinfo(found.dtype).max
    out = np.ones((num_vertices, 4), np.float32)
    out[:, : found.shape[1]] = np.nan_to_num(found, nan=1.0).clip(0, 1)
    out[:, :3] = linear_to_srgb(out[:, :3])
    return out
