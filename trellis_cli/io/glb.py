"""Write glTF 2.0 binary files whose bytes depend on the mesh alone.

Ours rather than a library's, because a rerun must give the same bytes and because colours are converted exactly: glTF
keeps factors and vertex colours in linear light and only textures sRGB-encoded, while our meshes hold all of them
sRGB-encoded.
Source: glTF 2.0 specification, sections 3.6 (accessors), 3.7.2 (meshes), 3.9 (materials), 4.4 (GLB).
"""

import io
import json
import struct
from typing import Any

import numpy as np

from trellis_cli.geometry.rotations import Z_UP_TO_Y_UP
from trellis_cli.representations.colour import srgb_to_linear
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh

_FLOAT, _UINT32 = 5126, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_WHITE = Material(name="vertex colours", colour=(1.0, 1.0, 1.0, 1.0))


class _Document:
    """The growing JSON and binary chunk of one file."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "trellis"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": []}],
        }
        self.binary = io.BytesIO()

    def append(self, key: str, entry: dict[str, Any]) -> int:
        entries = self.json.setdefault(key, [])
        entries.append(entry)
        return len(entries) - 1

    def view(self, data: bytes, **extra: Any) -> int:
        self.binary.write(b"\0" * (-self.binary.tell() % 4))
        view = self.append(
            "bufferViews", {"buffer": 0, "byteOffset": self.binary.tell(), "byteLength": len(data)} | extra
        )
        self.binary.write(data)
        return view

    def accessor(self, array: np.ndarray, *, target: int = _VERTEX_BUFFER, bounds: bool = False) -> int:
        """A float32 [n, 2 to 4] or uint32 [n] array; positions carry their bounds, as the format asks."""
        array = np.ascontiguousarray(array)
        entry: dict[str, Any] = {
            "bufferView": self.view(array.tobytes(), target=target),
            "componentType": _UINT32 if array.dtype == np.uint32 else _FLOAT,
            "count": len(array),
            "type": "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}",
        }
        if bounds:
            entry |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        return self.append("accessors", entry)

    def to_bytes(self) -> bytes:
        binary = self.binary.getvalue()
        binary += b"\0" * (-len(binary) % 4)
        self.json["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(self.json, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(binary)
        header = struct.pack("<4sII", b"glTF", 2, length) + struct.pack("<I4s", len(text), b"JSON")
        return b"".join((header, text, struct.pack("<I4s", len(binary), b"BIN\0"), binary))


def textured_glb(mesh: TexturedMesh) -> bytes:
    """The mesh as a GLB: y up, one primitive a material in use, textures as PNG, colours in linear light."""
    document = _Document()
    textures: dict[bytes, int] = {}
    for index in np.unique(mesh.face_materials):
        of_material = np.flatnonzero(mesh.face_materials == index)
        faces = mesh.faces[of_material].astype(np.int64)
        uvs = None if mesh.uvs is None else mesh.uvs[of_material]
        corners, vertex, uv = _split_at_seams(faces, uvs)
        colours = None if mesh.vertex_colours is None else mesh.vertex_colours[vertex]
        attributes = _attributes(document, mesh.vertices[vertex], uv=uv, colours=colours)
        _primitive(document, attributes, corners, _material(document, mesh.materials[int(index)], textures))
    return document.to_bytes()


def plain_glb(mesh: Mesh, remark: str = "") -> bytes:
    """The mesh as a GLB: y up, with its vertex colours and normals where it has them; a remark in `asset.extras`."""
    vertices, faces = (t.detach().cpu().numpy() for t in (mesh.vertices, mesh.faces))
    colours, normals = (None if t is None else t.detach().cpu().numpy() for t in (mesh.colours, mesh.normals))
    document = _Document()
    if remark:
        document.json["asset"]["extras"] = {"remark": remark}
    attributes = _attributes(document, vertices, colours=colours, normals=normals)
    _primitive(
        document, attributes, faces.reshape(-1), _material(document, Material() if colours is None else _WHITE, {})
    )
    return document.to_bytes()


def _split_at_seams(faces: np.ndarray, uvs: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(index of each corner, vertex behind each index, uv of each index): a vertex with two uvs becomes two."""
    if uvs is None:
        vertex, corners = np.unique(faces, return_inverse=True)
        return corners.reshape(-1), vertex, None
    flat = np.ascontiguousarray(uvs.reshape(-1, 2), np.float32) + np.float32(0)  # -0 and 0 are one uv
    keys = np.empty(len(flat), [("vertex", np.int64), ("uv", np.uint64)])
    keys["vertex"], keys["uv"] = faces.reshape(-1), flat.view(np.uint64)[:, 0]
    _, first, corners = np.unique(keys, return_index=True, return_inverse=True)
    return corners.reshape(-1), keys["vertex"][first], flat[first]


def _attributes(
    document: _Document,
    vertices: np.ndarray,
    *,
    uv: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    normals: np.ndarray | None = None,
) -> dict[str, int]:
    out = {"POSITION": document.accessor(_y_up(vertices), bounds=True)}
    if normals is not None:
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        unit = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
        out["NORMAL"] = document.accessor(_y_up(unit))
    if uv is not None:
        out["TEXCOORD_0"] = document.accessor(np.stack([uv[:, 0], 1 - uv[:, 1]], 1))  # glTF's v runs down
    if colours is not None:
        linear = srgb_to_linear(np.clip(colours[:, :3], 0, 1))
        if colours.shape[1] == 4 and (colours[:, 3] < 1).any():
            linear = np.concatenate([linear, np.clip(colours[:, 3:], 0, 1)], 1)
        # float32: as bytes, linear light would lose the dark colours, and some readers take 16 bits for 8
        out["COLOR_0"] = document.accessor(linear.astype(np.float32))
    return out


def _primitive(document: _Document, attributes: dict[str, int], corners: np.ndarray, material: int) -> None:
    indices = document.accessor(corners.astype(np.uint32), target=_INDEX_BUFFER)
    document.json["meshes"][0]["primitives"].append(
        {"attributes": attributes, "indices": indices, "material": material}
    )


def _material(document: _Document, material: Material, textures: dict[bytes, int]) -> int:
    factor = [float(c) for c in srgb_to_linear(np.array(material.colour[:3]))] + [float(material.colour[3])]
    surface: dict[str, Any] = {"baseColorFactor": factor, "metallicFactor": 0, "roughnessFactor": 1}
    if material.texture is not None:
        surface["baseColorTexture"] = {"index": _texture(document, material.texture, textures)}
    entry = {
        "pbrMetallicRoughness": surface,
        "alphaMode": material.alpha_mode.upper(),
        "doubleSided": material.double_sided,
    }
    if material.name:
        entry["name"] = material.name
    if material.alpha_mode == "mask":
        entry["alphaCutoff"] = float(material.alpha_cutoff)
    return document.append("materials", entry)


def _texture(document: _Document, texture: np.ndarray, textures: dict[bytes, int]) -> int:
    """The texture's index; a picture that several materials share is stored once."""
    png = png_bytes(texture)
    if png not in textures:
        if not textures:
            document.append("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497})
        image = document.append("images", {"bufferView": document.view(png), "mimeType": "image/png"})
        textures[png] = document.append("textures", {"sampler": 0, "source": image})
    return textures[png]


def png_bytes(pixels: np.ndarray) -> bytes:
    """uint8 [h, w, 4] as a PNG, without its alpha where that is opaque everywhere."""
    from PIL import Image

    opaque = bool((pixels[..., 3] == 255).all())
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., :3] if opaque else pixels)).save(out, "PNG", compress_level=6)
    return out.getvalue()


def _y_up(xyz: np.ndarray) -> np.ndarray:
    """z up to glTF's y up, as float32 without negative zeros."""
    return (xyz @ Z_UP_TO_Y_UP.T + 0.0).astype(np.float32)
