"""What the readers of mesh formats share: pieces put together, pictures decoded, names kept inside their folder."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trellis_cli.errors import FileError
from trellis_cli.representations.mesh import Material, TexturedMesh

MAX_FACES = 20_000_000
_MAX_TEXELS = 1 << 26  # 8192 x 8192
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Faces with one set of attributes; fields as in TexturedMesh."""

    vertices: np.ndarray
    faces: np.ndarray
    face_materials: np.ndarray
    uvs: np.ndarray | None = None
    vertex_colours: np.ndarray | None = None


def joined(parts: list[Part], materials: list[Material]) -> TexturedMesh:
    """All parts as one mesh. Missing colours become white; texture coordinates without any texture are dropped."""
    starts = np.cumsum([0, *(len(p.vertices) for p in parts)])
    any_texture = any(m.texture is not None for m in materials)
    uvs = colours = None
    if any_texture and any(p.uvs is not None for p in parts):
        uvs = np.concatenate([np.zeros((len(p.faces), 3, 2), np.float32) if p.uvs is None else p.uvs for p in parts])
    if any(p.vertex_colours is not None for p in parts):
        white = [
            np.ones((len(p.vertices), 4), np.float32) if p.vertex_colours is None else p.vertex_colours for p in parts
        ]
        colours = np.concatenate(white)
    return TexturedMesh(
        vertices=np.concatenate([p.vertices for p in parts]),
        faces=np.concatenate([(p.faces + start).astype(np.int32) for p, start in zip(parts, starts[:-1], strict=True)]),
        face_materials=np.concatenate([p.face_materials for p in parts]),
        materials=tuple(materials),
        uvs=uvs,
        vertex_colours=colours,
    )


def refuse_too_many(count: int, path: Path) -> None:
    """Raise FileError when a file says that it holds more faces than this program takes."""
    if count > MAX_FACES:
        raise FileError(
            f"{path}: it has {count:,} faces, at most {MAX_FACES:,} are read",
            hint="simplify the mesh first, for example with MeshLab or Blender",
        )


def beside(folder: Path, name: str) -> Path | None:
    """The file that a mesh file in `folder` names, or None where the name leads out of the folder, links followed."""
    root = folder.resolve()
    try:
        target = (root / name.strip().replace("\\", "/")).resolve()
    except (OSError, ValueError, RuntimeError):  # names too long, null bytes, circles of links
        return None
    if not target.is_relative_to(root):
        return None
    if not target.exists() and target.parent.is_dir():  # names written on systems that do not mind the case
        for entry in target.parent.iterdir():
            if entry.name.lower() == target.name.lower() and entry.resolve().is_relative_to(root):
                return entry.resolve()
    return target


def read_texture(folder: Path, name: str, *, mesh: Path) -> np.ndarray | None:
    """The picture that `mesh` names, uint8 [h, w, 4]; None, with a warning, where it cannot or must not be read."""
    target = beside(folder, name)
    if target is None:
        _log.warning(
            "%s: the texture %r lies outside the mesh's folder and is not read; plain colour instead", mesh, name
        )
        return None
    try:
        data = target.read_bytes()
    except OSError as error:
        _log.warning("%s: the texture %r cannot be read (%s); plain colour instead", mesh, name, error.strerror)
        return None
    return decoded(data, what=f"the texture {name!r}", mesh=mesh)


def decoded(data: bytes, *, what: str, mesh: Path) -> np.ndarray | None:
    """A picture file's bytes as uint8 [h, w, 4], row 0 at the top; None, with a warning, where they are not one."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > _MAX_TEXELS:
                raise ValueError(f"it has {picture.width} x {picture.height} texels, more than {_MAX_TEXELS:,}")
            return np.array(picture.convert("RGBA"))
    except Exception as error:  # PIL's decoders raise almost anything on damaged files
        _log.warning("%s: %s cannot be read (%s); plain colour instead", mesh, what, error)
        return None


def cut_out(texture: np.ndarray | None) -> bool:
    """Whether a picture has texels that one can look through."""
    return texture is not None and bool((texture[..., 3] < 128).any())
