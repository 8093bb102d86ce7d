"""The base colours of a glTF file's materials, each texture decoded once."""

from typing import TYPE_CHECKING, Any

import numpy as np

from trellis_cli.errors import FileError
from trellis_cli.io.mesh_parts import decoded, read_texture
from trellis_cli.representations.colour import linear_to_srgb
from trellis_cli.representations.mesh import Material

if TYPE_CHECKING:
    from trellis_cli.io.gltf import GltfFile

_WHITE = Material(colour=(1.0, 1.0, 1.0, 1.0))


class Materials:
    """The materials in use, in the order of their first use."""

    def __init__(self, file: "GltfFile") -> None:
        self.file = file
        self.used: list[Material] = []
        self._places: dict[tuple[int | None, bool], int] = {}
        self._texture_info: list[dict[str, Any]] = []
        self._pictures: dict[int, np.ndarray | None] = {}

    def use(self, number: int | None, *, coloured: bool) -> tuple[int, int]:
        """(index in `used`, which TEXCOORD its texture wants). No material: grey, or white under vertex colours."""
        key = (number, coloured if number is None else False)
        if key not in self._places:
            entry = {} if number is None else self.file.json["materials"][number]
            material, info = (_WHITE if coloured else Material(), {}) if number is None else self._material(entry)
            self._places[key] = len(self.used)
            self.used.append(material)
            self._texture_info.append(info)
        index = self._places[key]
        info = self._texture_info[index]
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        return index, int(transform.get("texCoord", info.get("texCoord", 0)))

    def placed(self, index: int, uv: np.ndarray) -> np.ndarray:
        """The file's texture coordinates (v down) after its KHR_texture_transform, with v up as our meshes have it."""
        transform = self._texture_info[index].get("extensions", {}).get("KHR_texture_transform", {})
        angle = float(transform.get("rotation", 0.0))
        u, v = (uv * np.array(transform.get("scale", (1.0, 1.0)), np.float64)).T
        turned = np.stack([np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u], 1)
        u, v = (turned + np.array(transform.get("offset", (0.0, 0.0)), np.float64)).T
        return np.stack([u, 1 - v], 1)

    def _material(self, entry: dict[str, Any]) -> tuple[Material, dict[str, Any]]:
        glossy = entry.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        surface = entry.get("pbrMetallicRoughness", {}) if glossy is None else glossy
        factor = surface.get("baseColorFactor" if glossy is None else "diffuseFactor", (1, 1, 1, 1))
        linear = np.array(factor, np.float64)
        if linear.shape != (4,) or not np.isfinite(linear).all():
            raise ValueError(f"{factor!r} stands where a colour of four numbers should")
        rgb = linear_to_srgb(linear[:3].clip(0, 1)).tolist()
        info = surface.get("baseColorTexture" if glossy is None else "diffuseTexture", {})
        mode = str(entry.get("alphaMode", "OPAQUE")).lower()
        return Material(
            name=str(entry.get("name", "")),
            colour=(rgb[0], rgb[1], rgb[2], float(linear[3].clip(0, 1))),
            texture=self._picture(info["index"]) if "index" in info else None,
            alpha_mode=mode if mode in ("mask", "blend") else "opaque",
            alpha_cutoff=float(entry.get("alphaCutoff", 0.5)),
            double_sided=bool(entry.get("doubleSided", False)),
        ), info

    def _picture(self, number: int) -> np.ndarray | None:
        """The texture's picture; None, with a warning, where it cannot be read."""
        texture = self.file.json["textures"][number]
        source = texture.get("extensions", {}).get("EXT_texture_webp", texture).get("source", texture.get("source"))
        if source is None:
            return None
        if source not in self._pictures:
            image = self.file.json["images"][source]
            uri = image.get("uri", "")
            if "bufferView" not in image and not uri.startswith("data:"):
                name = uri if "://" in uri else _unquoted(uri)
                self._pictures[source] = read_texture(self.file.path.parent, name, mesh=self.file.path)
            else:
                self._pictures[source] = decoded(self._bytes(image), what=f"image {source}", mesh=self.file.path)
        return self._pictures[source]

    def _bytes(self, image: dict[str, Any]) -> bytes:
        if "bufferView" in image:
            return bytes(self.file.view(image["bufferView"]))
        data = self.file.resource(image["uri"], "an image")
        if data is None:
            raise FileError(f"{self.file.path}: an image has no data", hint="export the file anew")
        return data


def _unquoted(uri: str) -> str:
    from urllib.parse import unquote

    return unquote(uri)
