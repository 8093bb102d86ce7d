"""Wavefront OBJ with its MTL material libraries, read and written.

Ours rather than a library's: materials must not lead out of the file's folder, faces that name no vertex are to be
refused rather than drawn somewhere else, and memory is to stay within a few times the result's.
"""

import io
import logging
from pathlib import Path

import numpy as np

from trellis_cli.errors import FileError
from trellis_cli.io.mesh_parts import Part, beside, cut_out, joined, read_texture, refuse_too_many
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh

_log = logging.getLogger(__name__)
_OPTIONS = {
    "-s": 3,
    "-o": 3,
    "-t": 3,
    "-mm": 2,
}  # how many numbers follow at most; other options are followed by one word


def read_obj(path: Path) -> TexturedMesh:
    """As the file has it, axes included; polygons become fans of triangles.

    A material library or a texture that is missing or outside the file's folder gives grey and a warning.

    Raises:
        FileError: a vertex of fewer than three numbers, a face naming no vertex, too many faces.
    """
    from trellis_cli.io import _obj_kernels as kernels

    text = np.fromfile(path, np.uint8)
    num_vertices, num_uvs, num_faces, num_names, has_colours = (int(n) for n in kernels.count(text))
    refuse_too_many(num_faces, path)
    vertices, uvs = np.empty((num_vertices, 3)), np.empty((num_uvs, 2), np.float32)
    colours = np.empty((num_vertices, 3 if has_colours else 0), np.float32)
    faces, face_uvs = np.empty((num_faces, 3), np.int32), np.empty((num_faces, 3), np.int32)
    names = np.empty((num_names, 4), np.int64)
    wrong, line = kernels.fill(text, vertices, colours, uvs, faces, face_uvs, names)
    if wrong == kernels.SHORT_VERTEX:
        raise FileError(
            f"{path}: line {line}: a vertex has fewer than three numbers",
            hint="the file is cut off or damaged; export it anew",
        )
    if wrong == kernels.BAD_INDEX:
        raise FileError(
            f"{path}: line {line}: a face names a vertex that does not exist; there are {num_vertices}",
            hint="the file is cut off or damaged; export it anew",
        )
    materials, of_faces = _assigned(text, names, num_faces, path)
    corner_uvs = None
    if num_uvs and any(m.texture is not None for m in materials):
        corner_uvs = uvs[np.maximum(face_uvs, 0)]
        corner_uvs[face_uvs < 0] = 0
    rgba = np.concatenate([colours, np.ones((num_vertices, 1), np.float32)], 1).clip(0, 1) if has_colours else None
    if has_colours and len(materials) == 1 and materials[0].texture is None and not materials[0].name:
        materials = [Material(colour=(1.0, 1.0, 1.0, 1.0))]
    return joined([Part(vertices, faces, of_faces, corner_uvs, rgba)], materials)


def _assigned(text: np.ndarray, names: np.ndarray, num_faces: int, path: Path) -> tuple[list[Material], np.ndarray]:
    """The materials in use, in the order of their use, and each face's index among them."""
    from trellis_cli.io._obj_kernels import MTLLIB, USEMTL

    words = [bytes(text[start:end]).decode("utf-8", "replace").strip() for _, start, end, _ in names]
    library: dict[str, Material] = {}
    for (kind, *_), word in zip(names, words, strict=True):
        if kind == MTLLIB:
            library = _read_library(path, word) | library
    order = {"": 0}  # the material of faces before the first usemtl
    switches = [(0, 0)] + [
        (int(before), order.setdefault(word, len(order)))
        for (kind, _, _, before), word in zip(names, words, strict=True)
        if kind == USEMTL
    ]
    starts = np.array([start for start, _ in switches] + [num_faces])
    of_faces = np.repeat(np.array([index for _, index in switches], np.int32), np.diff(starts))
    used, of_faces = np.unique(of_faces, return_inverse=True)
    chosen = [name for name, index in order.items() if index in set(used.tolist())]
    lost = [name for name in chosen if name and name not in library]
    if lost and library:
        _log.warning("%s: no library defines the material %r; grey instead", path, lost[0])
    materials = [library.get(name, Material(name)) for name in chosen] or [Material()]
    if materials and all(m.colour[3] < 0.5 for m in materials):  # exporters that mean the opposite by "Tr" or "d"
        materials = [_opaque(m) for m in materials]
    return materials, of_faces.reshape(-1).astype(np.int32)


def _opaque(material: Material) -> Material:
    mode = "mask" if cut_out(material.texture) else "opaque"
    return Material(material.name, (*material.colour[:3], 1.0), material.texture, mode)


def _read_library(path: Path, name: str) -> dict[str, Material]:
    target = beside(path.parent, name)
    if target is None:
        _log.warning(
            "%s: the material library %r lies outside the mesh's folder and is not read; grey instead", path, name
        )
        return {}
    try:
        text = target.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        _log.warning("%s: the material library %r cannot be read (%s); grey instead", path, name, error.strerror)
        return {}
    textures: dict[str, np.ndarray | None] = {}
    return {block["name"]: _material(block, path, textures) for block in _blocks(text)}


def _blocks(text: str) -> list[dict[str, str]]:
    """One dict a `newmtl`, keyword in lower case to the rest of its line."""
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if key.lower() == "newmtl":
            blocks.append({"name": rest.strip()})
        elif blocks and key and not key.startswith("#"):
            blocks[-1].setdefault(key.lower(), rest.strip())
    return blocks


def _material(block: dict[str, str], path: Path, textures: dict[str, np.ndarray | None]) -> Material:
    """Kd or map_Kd, and d. Kd beside a texture is left out: exporters write anything there, black included."""

    def picture(key: str) -> np.ndarray | None:
        name = _file_name(block.get(key, ""))
        if name and name not in textures:
            textures[name] = read_texture(path.parent, name, mesh=path)
        return textures.get(name)

    alpha = _floats(block.get("d", "").replace("-halo", ""), 1)
    if alpha is None and (through := _floats(block.get("tr", ""), 1)) is not None:
        alpha = [1 - through[0]]
    alpha = 1.0 if alpha is None else alpha[0]
    colour = _floats(block.get("kd", ""), 3) or list(Material().colour[:3])
    texture, mask = picture("map_kd"), picture("map_d") if "map_d" in block else None
    if texture is not None:
        colour = [1.0, 1.0, 1.0]
        if mask is not None and mask.shape == texture.shape and (texture[..., 3] == 255).all():
            has_alpha = (mask[..., 3] < 255).any()
            texture = np.concatenate([texture[..., :3], mask[..., 3:] if has_alpha else mask[..., :1]], 2)
    elif "map_kd" in block and max(colour) < 0.05:  # without its texture, black says nothing
        colour = list(Material().colour[:3])
    mode = "mask" if cut_out(texture) else "opaque" if alpha >= 1 else "blend"
    return Material(block["name"], (colour[0], colour[1], colour[2], alpha), texture, mode)


def _floats(text: str, num: int) -> list[float] | None:
    """The first `num` numbers, clipped to [0, 1]; None where there are fewer or one is no number."""
    try:
        values = [float(word) for word in text.split()[:num]]
    except ValueError:
        return None
    return [min(max(v, 0.0), 1.0) for v in values] if len(values) == num and all(v == v for v in values) else None


def _file_name(text: str) -> str:
    """The file that a map statement names: what is left when its options and their arguments are taken off."""
    words = text.split(" ")
    while words and (not words[0] or (words[0].startswith("-") and len(words) > 1)):
        option = words.pop(0)
        if not option:
            continue
        for i in range(_OPTIONS.get(option, 1)):
            if words and (i == 0 or _is_number(words[0])) and len(words) > 1:
                words.pop(0)
    return " ".join(words).strip().strip('"')


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def obj_bytes(mesh: Mesh, remark: str = "") -> bytes:
    """The mesh as OBJ text, y up as such files usually are, with colours after the positions where it has them.

    A remark stands in the first line.
    """
    from trellis_cli.geometry.rotations import Z_UP_TO_Y_UP

    columns = [mesh.vertices.detach().cpu().double().numpy() @ Z_UP_TO_Y_UP.T]
    if mesh.colours is not None:
        columns.append(mesh.colours.detach().cpu().double().clamp(0, 1).numpy())
    vertices = np.concatenate(columns, 1)
    faces = mesh.faces.cpu().numpy() + 1
    out = io.BytesIO(b"")
    out.write(f"# {remark or 'trellis'}\n".encode())
    np.savetxt(out, vertices + 0.0, fmt="v" + " %.7g" * vertices.shape[1])
    np.savetxt(out, faces, fmt="f %d %d %d")
    return out.getvalue()
