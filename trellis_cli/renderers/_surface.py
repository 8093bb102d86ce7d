"""A textured mesh made ready for shading: linear colours, shading normals, textures with their mip levels."""

from dataclasses import dataclass

import numpy as np

from trellis_cli.renderers import _shading
from trellis_cli.representations.colour import srgb_to_linear
from trellis_cli.representations.mesh import TexturedMesh

# Faces that meet at less than this are shaded as one smooth surface: an eight-sided column is round, a box is not.
CREASE = np.radians(50.0)
LARGEST_TEXTURE = 2048  # finer levels are not kept: no view shows them
SMOOTH_LIMIT = 2_000_000  # meshes with more faces are shaded flat: their faces are smaller than pixels
_BLEND_CUTOFF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What the shading kernels read. n = texels of all textures with all their levels."""

    vertices: np.ndarray  # float32 [v, 3]
    faces: np.ndarray  # int32 [f, 3]
    normals: np.ndarray  # float32 [f, 3, 3], for shading, a corner each
    colours: np.ndarray  # float32 [v, 4], linear, or [0, 4]
    uvs: np.ndarray  # float32 [f, 3, 2], or [0, 3, 2]
    density: np.ndarray  # float32 [f]: texels along one unit of length
    face_materials: np.ndarray  # int32 [f]
    factors: np.ndarray  # float32 [m, 4], linear
    cutoffs: np.ndarray  # float32 [m]: nothing is seen where alpha is below; -1 where alpha means nothing
    textures: np.ndarray  # int32 [m]: first level, -1 without one
    num_levels: np.ndarray  # int32 [m]
    levels: np.ndarray  # int64 [l, 3]: first texel, height, width
    texels: np.ndarray  # uint8 [n, 4], sRGB-encoded
    facing: np.ndarray  # float32 [f, 3], the faces' own unit normals

    @property
    def has_cutouts(self) -> bool:
        """Whether a face may have holes."""
        return bool((self.cutoffs[np.unique(self.face_materials)] >= 0).any()) if len(self.faces) else False


def surface_of(mesh: TexturedMesh) -> Surface:
    """Prepare a mesh once for any number of views."""
    vertices = np.ascontiguousarray(mesh.vertices, np.float32)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    textures, num_levels, levels, texels = _pyramids(mesh)
    uvs = np.zeros((0, 3, 2), np.float32)
    if mesh.uvs is not None and len(levels):
        uvs = np.nan_to_num(np.ascontiguousarray(mesh.uvs, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    materials = np.ascontiguousarray(mesh.face_materials, np.int32)
    factors = np.array([m.colour for m in mesh.materials], np.float64).clip(0, 1)
    colours = (
        np.zeros((0, 4)) if mesh.vertex_colours is None else np.asarray(mesh.vertex_colours, np.float64).clip(0, 1)
    )
    cutoffs = {"opaque": lambda m: -1.0, "mask": lambda m: m.alpha_cutoff, "blend": lambda m: _BLEND_CUTOFF}
    return Surface(
        vertices=vertices,
        faces=faces,
        normals=_corner_normals(vertices, faces),
        colours=_linear(colours),
        uvs=uvs,
        density=_density(vertices, faces, uvs, materials, textures, levels),
        face_materials=materials,
        factors=_linear(factors),
        cutoffs=np.array([cutoffs[m.alpha_mode](m) for m in mesh.materials], np.float32),
        textures=textures,
        num_levels=num_levels,
        levels=levels,
        texels=texels,
        facing=_shading.flat_normals(vertices, faces)[:, 0].copy(),
    )


def _linear(rgba: np.ndarray) -> np.ndarray:
    return np.concatenate([srgb_to_linear(rgba[:, :3]), rgba[:, 3:]], 1).astype(np.float32)


def _pyramids(mesh: TexturedMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(first level and number of levels of each material, all levels, all texels); shared pictures are kept once."""
    first, count = np.full(len(mesh.materials), -1, np.int32), np.zeros(len(mesh.materials), np.int32)
    levels: list[tuple[int, int, int]] = []
    texels: list[np.ndarray] = []
    known: dict[int, int] = {}
    used = set(np.unique(mesh.face_materials).tolist()) if mesh.uvs is not None else set()
    total = 0
    for index, material in enumerate(mesh.materials):
        picture = material.texture
        if picture is None or index not in used or 0 in picture.shape:
            continue
        if id(picture) in known:
            first[index], count[index] = first[known[id(picture)]], count[known[id(picture)]]
            continue
        known[id(picture)] = index
        first[index] = len(levels)
        for level in _levels(np.ascontiguousarray(picture)):
            levels.append((total, *level.shape[:2]))
            texels.append(level.reshape(-1, 4))
            total += len(texels[-1])
        count[index] = len(levels) - first[index]
    flat = np.concatenate(texels) if texels else np.zeros((0, 4), np.uint8)
    return first, count, np.array(levels, np.int64).reshape(-1, 3), flat


def _levels(picture: np.ndarray) -> list[np.ndarray]:
    """The picture and its halves down to one texel, without those larger than LARGEST_TEXTURE."""
    levels = [picture]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_shading.half(levels[-1]))
        if max(levels[-2].shape[:2]) > LARGEST_TEXTURE:
            del levels[-2]
    return levels


def _density(
    vertices: np.ndarray,
    faces: np.ndarray,
    uvs: np.ndarray,
    materials: np.ndarray,
    textures: np.ndarray,
    levels: np.ndarray,
) -> np.ndarray:
    """How many texels of the finest level lie along one unit of length on each face."""
    if not len(uvs):
        return np.zeros(len(faces), np.float32)
    u, v = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    uv_area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    a, b = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    area = np.linalg.norm(np.cross(a, b), axis=1)
    size = np.where(textures >= 0, (levels[:, 1] * levels[:, 2])[textures], 1)[materials]
    return np.sqrt(uv_area * size / np.maximum(area, 1e-12)).clip(0, 1e9).astype(np.float32)


def _corner_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [f, 3, 3] of the corners, smoothed over faces that share a place and meet at less than CREASE."""
    if len(faces) > SMOOTH_LIMIT or not len(faces):
        return _shading.flat_normals(vertices, faces)
    order = np.lexsort(vertices.T)
    new = np.ones(len(order), bool)
    new[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(1)
    place = np.empty(len(order), np.int32)
    place[order] = np.cumsum(new) - 1  # vertices at one place, split by seams of the texture, count as one
    corner_places = place[faces].reshape(-1)
    by_place = np.argsort(corner_places, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(corner_places, minlength=int(new.sum())))])
    return _shading.smooth_normals(vertices, faces, by_place, starts, float(np.cos(CREASE)))
