"""How rich an object looks, by what can be counted: the scorer "simple" of `trellis data score`.

It is ours, and no stand-in for a learnt aesthetic score: it tells bare and broken objects from finished ones, and knows
nothing of taste. Four parts, each from 0 to 1, in equal weight; the score is ten times their mean.
"""

import math
from dataclasses import dataclass

import numpy as np

from trellis_cli.representations.mesh import TexturedMesh

MANY_COLOURS, MANY_PARTS, MUCH_DETAIL = 64, 16, 0.25  # at which a part of the score is 1
RARE = 0.002  # share of the object's pixels below which a colour is noise
SMALL = 0.001  # share of the surface below which a part is a crumb
BEND_DEG = 15.0  # between neighbouring pixels, from which on a surface bends


@dataclass(frozen=True, slots=True)
class Appearance:
    """texture: share of the surface whose material has a picture on it, or vertex colours that differ; colours: how
    many the views show (64 are 1, on a scale of logarithms); parts: pieces that hang together by their vertices' places
    (16 are 1, likewise); detail: share of the views' pixels at which the surface bends (a quarter is 1)."""

    texture: float
    colours: float
    parts: float
    detail: float

    @property
    def score(self) -> float:
        """From 0 to 10."""
        return 2.5 * (self.texture + self.colours + self.parts + self.detail)


def appearance(mesh: TexturedMesh, rgba: np.ndarray, normal: np.ndarray) -> Appearance:
    """Of an object and views of it.

    Args:
        rgba: uint8 [v, h, w, 4], unlit best; normal: uint8 [v, h, w, 3], (n + 1) / 2 * 255.
    """
    areas = _areas(mesh)
    return Appearance(
        texture=_textured(mesh, areas), colours=_logarithmic(_colours(rgba), MANY_COLOURS),
        parts=_logarithmic(_parts(mesh, areas), MANY_PARTS), detail=min(1.0, _bent(rgba, normal) / MUCH_DETAIL),
    )  # fmt: skip


def _logarithmic(count: int, many: int) -> float:
    """1 is 0, `many` and more is 1."""
    return min(1.0, math.log(max(1, count)) / math.log(many))


def _areas(mesh: TexturedMesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def _textured(mesh: TexturedMesh, areas: np.ndarray) -> float:
    pictured = np.array([m.texture is not None and np.ptp(m.texture[..., :3]) > 8 for m in mesh.materials])
    share = areas[pictured[mesh.face_materials]].sum() / max(areas.sum(), 1e-12)
    if mesh.vertex_colours is not None and np.ptp(mesh.vertex_colours[:, :3], axis=0).max() > 0.05:
        share = 1.0
    return float(share)


def _colours(rgba: np.ndarray) -> int:
    """Colours, a sixteenth of each channel apart, that are no noise."""
    seen = rgba[rgba[..., 3] > 127][:, :3] // 16
    if not len(seen):
        return 0
    counts = np.bincount(seen.astype(np.int64) @ np.array([256, 16, 1]))
    return int((counts >= RARE * len(seen)).sum())


def _parts(mesh: TexturedMesh, areas: np.ndarray) -> int:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, place = np.unique(mesh.vertices.round(6), axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    size = int(faces.max()) + 1
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (size, size))
    _, label = connected_components(graph, directed=False)
    surface = np.bincount(label[faces[:, 0]], weights=areas)
    return int((surface > SMALL * areas.sum()).sum())


def _bent(rgba: np.ndarray, normal: np.ndarray) -> float:
    """Share of neighbouring pixels, both on the object, whose surfaces differ in direction."""
    n = normal.astype(np.float32) / 127.5 - 1
    n /= np.linalg.norm(n, axis=-1, keepdims=True).clip(1e-6)
    solid = rgba[..., 3] > 127
    both = solid[:, :, 1:] & solid[:, :, :-1]
    if not both.any():
        return 0.0
    bend = (n[:, :, 1:] * n[:, :, :-1]).sum(-1) < math.cos(math.radians(BEND_DEG))
    return float(bend[both].mean())
