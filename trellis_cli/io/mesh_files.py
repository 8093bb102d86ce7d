"""Read and write mesh files: .glb .gltf .obj .ply .stl .off in, .glb .obj .ply .stl out.

Our meshes are z up. glTF is y up by definition and OBJ by habit: both are turned, (x, y, z) to (x, -z, y), and back
when written. PLY, STL and OFF files are taken, and written, as they are: z up.
"""

import io
import re
import struct
from pathlib import Path

import numpy as np

from trellis_cli.errors import FileError, UsageError, first_line
from trellis_cli.geometry.rotations import Y_UP_TO_Z_UP
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.glb import plain_glb, textured_glb
from trellis_cli.io.gltf import read_gltf
from trellis_cli.io.mesh_parts import Part, joined, refuse_too_many
from trellis_cli.io.obj import obj_bytes, read_obj
from trellis_cli.io.stamps import BLANK, stamped
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh

READABLE = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
WRITABLE = (".glb", ".obj", ".ply", ".stl")
_Y_UP = (".glb", ".gltf", ".obj")
_LARGEST = 1e18  # a coordinate beyond has a square that float32 cannot hold
_BLOCK = 1 << 20  # faces checked at a time
_DAMAGED = "the file is cut off or damaged; copy or export it anew"


def read_mesh(path: Path | str, *, up: str = "auto") -> TexturedMesh:
    """A mesh file as one textured mesh, z up, without the vertices that no face names.

    Args:
        path: the file; its extension names its format. Libraries, textures and buffers that it names are read from
            its own folder and those below, never from elsewhere; a missing texture gives a warning and a plain colour.
        up: the axis that points up in the file, "y" or "z"; "auto" means y for glTF and OBJ, z for all others.

    Raises:
        FileError: no such file, empty, cut off, damaged, no triangles, more than 20 million faces, a face naming no
            vertex, a vertex that is not finite, only faces without area, a missing buffer.
        UsageError: an extension that is not read, or another `up`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if up not in ("auto", "y", "z"):
        raise UsageError(f"up must be auto, y or z, got {up!r}")
    if suffix not in READABLE:
        raise UsageError(
            f"{path}: {suffix or 'no'} extension, mesh files have {' '.join(READABLE)}", hint="rename or convert it"
        )
    try:
        if not path.is_file():
            raise FileError(
                f"{path}: no such file" if not path.exists() else f"{path}: not a file", hint="check the path"
            )
        if path.stat().st_size == 0:
            raise FileError(f"{path}: the file is empty", hint="copy or export it anew")
        reader = {".glb": read_gltf, ".gltf": read_gltf, ".obj": read_obj, ".stl": _read_stl}.get(suffix, _read_other)
        mesh = _checked(reader(path), path)
    except OSError as error:
        raise FileError(
            f"{path}: it cannot be read ({error.strerror or error})", hint="check the path and its permissions"
        ) from error
    except MemoryError as error:
        raise FileError(f"{path}: not enough memory to read it", hint="simplify the mesh first") from error
    if up == "y" or (up == "auto" and suffix in _Y_UP):
        np.matmul(mesh.vertices.copy(), Y_UP_TO_Z_UP.T, out=mesh.vertices)
    return mesh


def _checked(mesh: TexturedMesh, path: Path) -> TexturedMesh:
    """The mesh with only the vertices in use. Raises FileError as `read_mesh` says."""
    faces, num = mesh.faces, len(mesh.vertices)
    if not len(faces):
        raise FileError(f"{path}: it holds no triangles", hint="give a file with a surface; points and lines have none")
    refuse_too_many(len(faces), path)
    if faces.min() < 0 or faces.max() >= num:
        bad = int(faces.max()) if faces.max() >= num else int(faces.min())
        raise FileError(f"{path}: a face names vertex {bad}, there are {num}", hint=_DAMAGED)
    in_use = np.zeros(num, bool)
    in_use[faces.reshape(-1)] = True
    vertices, colours = np.asarray(mesh.vertices, np.float64), mesh.vertex_colours
    if not in_use.all():
        place = np.cumsum(in_use, dtype=np.int32) - 1
        vertices, faces = vertices[in_use], place[faces]
        colours = None if colours is None else colours[in_use]
    lost = np.logical_not((np.abs(vertices) < _LARGEST).all(axis=1))
    if lost.any():
        raise FileError(
            f"{path}: {int(lost.sum())} of {len(vertices)} vertices are not finite numbers",
            hint="repair or export the mesh anew",
        )
    if not _has_area(vertices, faces):
        raise FileError(f"{path}: none of its {len(faces)} faces has an area", hint="repair or export the mesh anew")
    if not vertices.flags.writeable or vertices is mesh.vertices:
        vertices = vertices.copy()
    return TexturedMesh(vertices, faces, mesh.face_materials, mesh.materials, mesh.uvs, colours)


def _has_area(vertices: np.ndarray, faces: np.ndarray) -> bool:
    smallest = 1e-14 * float(np.square(vertices.max(0) - vertices.min(0)).sum())
    for start in range(0, len(faces), _BLOCK):
        a, b, c = vertices[faces[start : start + _BLOCK]].transpose(1, 0, 2)
        if (np.linalg.norm(np.cross(b - a, c - a), axis=1) > smallest).any():
            return True
    return False


def _read_stl(path: Path) -> TexturedMesh:
    """Binary STL: its triangles as they are, three vertices each. Text STL goes to the general reader."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(84)
    count = struct.unpack("<I", head[80:])[0] if len(head) == 84 else -1
    if head[:5].lower() == b"solid" and size != 84 + 50 * count:
        return _read_other(path)
    if count < 0 or size < 84 + 50 * count:
        wanted = "at least 84" if count < 0 else f"{84 + 50 * count} for its {count} triangles"
        raise FileError(f"{path}: it has {size} bytes, binary STL needs {wanted}", hint=_DAMAGED)
    refuse_too_many(count, path)
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = np.fromfile(path, record, count=count, offset=84)["corners"].reshape(-1, 3).astype(np.float64)
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    return TexturedMesh(corners, faces, np.zeros(count, np.int32), (Material(),))


def _read_other(path: Path) -> TexturedMesh:
    """PLY, OFF and text STL, through trimesh."""
    import trimesh

    declared = _declared(path)
    try:
        loaded = trimesh.load(
            str(path), file_type=path.suffix.lower()[1:], force="scene", process=False, skip_materials=True
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:  # trimesh raises almost anything on damaged files
        reason = first_line(error)
        raise FileError(f"{path}: it cannot be read: {reason}", hint=_DAMAGED) from error
    parts = [_from_trimesh(g) for g in loaded.geometry.values() if isinstance(g, trimesh.Trimesh) and len(g.faces)]
    found = {"vertex": sum(len(p.vertices) for p in parts), "face": sum(len(p.faces) for p in parts)}
    for name, count in declared.items():
        if parts and found[name] < count and not (name == "face" and path.suffix.lower() == ".off"):
            raise FileError(f"{path}: it should have {count} of {name}, it has {found[name]}", hint=_DAMAGED)
    if not parts:
        raise FileError(f"{path}: it holds no triangles", hint="give a file with a surface; points and lines have none")
    return joined(
        parts, [Material() if all(p.vertex_colours is None for p in parts) else Material(colour=(1.0, 1.0, 1.0, 1.0))]
    )


def _declared(path: Path) -> dict[str, int]:
    """How many vertices and faces the head of a PLY or OFF file announces; refuses too many before they are read."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if path.suffix.lower() == ".ply":
        head = head.partition(b"end_header")[0]
        counts = {m[1].decode(): int(m[2]) for m in re.finditer(rb"element\s+(vertex|face)\s+(\d{1,18})", head)}
    elif match := re.match(rb"\s*(?:#[^\n]*\n\s*)*[A-Z4n]*OFF\s+(?:#[^\n]*\n\s*)*(\d{1,18})\s+(\d{1,18})", head):
        counts = {"vertex": int(match[1]), "face": int(match[2])}
    else:
        counts = {}
    refuse_too_many(counts.get("face", 0), path)
    refuse_too_many(counts.get("vertex", 0) // 3, path)
    return counts


def _from_trimesh(mesh) -> Part:
    """One geometry; colours a face each are moved to corners of its own."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    kind, colours = mesh.visual.kind, None
    if kind == "vertex" and len(mesh.visual.vertex_colors) == len(vertices):
        colours = np.asarray(mesh.visual.vertex_colors, np.float32) / 255
    elif kind == "face":
        colours = np.repeat(np.asarray(mesh.visual.face_colors, np.float32) / 255, 3, axis=0)
        vertices, faces = vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)
    return Part(vertices, faces, np.zeros(len(faces), np.int32), None, colours)


def write_textured_glb(path: Path | str, mesh: TexturedMesh) -> None:
    """Write a textured mesh (z up) as a GLB (y up), whole or not at all; the same mesh gives the same bytes."""
    write_bytes(Path(path), textured_glb(mesh))


def write_mesh(path: Path | str, mesh: Mesh) -> None:
    """Write a mesh (z up) in the format that the extension names, whole or not at all; the same mesh, the same bytes.

    .glb and .obj are written y up; .ply and .stl z up. All but .stl keep the colours.

    Raises:
        UsageError: another extension.
        DiskError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    write_bytes(path, mesh_bytes(mesh, path.suffix.lower()))


def mesh_bytes(mesh: Mesh, suffix: str, *, work: str = "") -> bytes:
    """What `write_mesh` writes, with a stamp of `work` (io/stamps.py) where that is given; raises as it does."""
    writers = {".glb": plain_glb, ".obj": obj_bytes, ".ply": _ply_bytes, ".stl": _stl_bytes}
    if suffix not in writers:
        raise UsageError(
            f"meshes are written as {' '.join(WRITABLE)}, not as {suffix!r}", hint="choose one of these extensions"
        )
    return stamped(writers[suffix](mesh, BLANK if work else ""), work)


def _ply_bytes(mesh: Mesh, remark: str) -> bytes:
    vertices, faces = mesh.vertices.detach().cpu().numpy(), mesh.faces.cpu().numpy()
    fields = [(axis, "<f4") for axis in "xyz"] + [
        (c, "u1") for c in ("red", "green", "blue") if mesh.colours is not None
    ]
    rows = np.empty(len(vertices), fields)
    for i, axis in enumerate("xyz"):
        rows[axis] = vertices[:, i]
    if mesh.colours is not None:
        bytes_ = np.round(mesh.colours.detach().cpu().double().numpy().clip(0, 1) * 255).astype(np.uint8)
        for i, name in enumerate(("red", "green", "blue")):
            rows[name] = bytes_[:, i]
    triangles = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, faces
    names = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", *([f"comment {remark}"] if remark else [])]
    header += [f"element vertex {len(vertices)}"]
    header += [f"property {names[kind]} {name}" for name, kind in fields]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return b"".join(("\n".join(header).encode(), rows.tobytes(), triangles.tobytes()))


def _stl_bytes(mesh: Mesh, remark: str) -> bytes:
    corners = mesh.vertices.detach().cpu().float().numpy()[mesh.faces.cpu().numpy()]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    rows = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"], rows["corners"] = normals, corners
    out = io.BytesIO()
    out.write((remark or "trellis").encode().ljust(80, b"\0") + struct.pack("<I", len(rows)))
    out.write(rows.tobytes())
    return out.getvalue()
