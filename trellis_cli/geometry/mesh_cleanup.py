"""Make a decoded mesh fit to hand on: no specks, no walls inside, no small holes, and not too many faces.

All functions take a Mesh and give a new one on the CPU; vertex colours and normals follow. Lengths in cube edges.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from trellis_cli.geometry.cameras import hammersley_cameras
from trellis_cli.geometry.mesh_holes import fill_holes
from trellis_cli.representations.mesh import Mesh
from trellis_ops.rasterize import rasterize


def clean_mesh(
    mesh: Mesh,
    *,
    max_faces: int | None = 60_000,
    min_area_share: float = 0.005,
    min_size_share: float = 0.1,
    hidden_views: int = 0,
    max_hole: float = 0.2,
    wall: float | None = None,
) -> Mesh:
    """Weld, drop cavities and specks (and hidden faces, if asked), close small holes, simplify.

    Args:
        max_faces: an upper bound on the faces left; None keeps all.
        min_area_share, min_size_share: as `drop_specks`.
        hidden_views: as `drop_hidden`'s num_views; 0 leaves that step out.
        max_hole, wall: as `fill_holes`'s max_perimeter and wall.
    """
    mesh = replace(mesh, vertices=mesh.vertices.cpu(), faces=mesh.faces.cpu())
    mesh = drop_specks(drop_cavities(weld(mesh)), min_area_share=min_area_share, min_size_share=min_size_share)
    if hidden_views:
        mesh = drop_hidden(mesh, num_views=hidden_views)
    mesh = fill_holes(mesh, max_perimeter=max_hole, wall=wall)
    return mesh if max_faces is None else simplify(mesh, max_faces)


def keep_faces(mesh: Mesh, keep: Bool[np.ndarray, " f"]) -> Mesh:
    """The mesh of some of the faces, without the vertices that none of them has."""
    faces = mesh.faces.numpy()[keep]
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[faces] = True
    place = np.cumsum(used) - 1
    rows = torch.from_numpy(used)
    return Mesh(
        mesh.vertices[rows],
        torch.from_numpy(place[faces].reshape(-1, 3).astype(np.int64)),
        None if mesh.colours is None else mesh.colours.cpu()[rows],
        None if mesh.normals is None else mesh.normals.cpu()[rows],
    )


def weld(mesh: Mesh, *, tolerance: float = 1e-6) -> Mesh:
    """Make one vertex of those nearer than `tolerance`, and drop faces without area or given twice."""
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    pairs = cKDTree(vertices).query_pairs(tolerance, output_type="ndarray") if len(vertices) else np.empty((0, 2), int)
    if len(pairs):
        _, group = connected_components(_graph(pairs, len(vertices)), directed=False)
        _, first = np.unique(group, return_index=True)
        faces = first[group[faces]]
    area = np.linalg.norm(_face_normals(vertices, faces), axis=1)
    start = np.argmin(faces, axis=1)[:, None]
    turned = np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)
    _, once = np.unique(turned, axis=0, return_index=True)
    keep = np.zeros(len(faces), dtype=bool)
    keep[once] = True
    return keep_faces(replace(mesh, faces=torch.from_numpy(faces)), keep & (area > 0))


def components(mesh: Mesh) -> Int[np.ndarray, " f"]:
    """The connected piece each face belongs to, numbered from 0; faces that share a vertex are connected."""
    faces = mesh.faces.numpy()
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    _, piece = connected_components(_graph(edges, len(mesh.vertices)), directed=False)
    return np.unique(piece[faces[:, 0]], return_inverse=True)[1]


def drop_cavities(mesh: Mesh) -> Mesh:
    """Without the closed pieces that are wound inside out: walls of hollows, which no view from outside shows.

    A decoder that knows only the cubes at the surface makes such a wall inside every solid.
    """
    if not len(mesh.faces):
        return mesh
    piece, faces = components(mesh), mesh.faces.numpy()
    corners = mesh.vertices.double().numpy()[faces]
    volume = np.bincount(piece, np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
    is_open = np.bincount(piece, _has_open_edge(faces)) > 0
    keep = (is_open | (volume >= 0))[piece]
    return keep_faces(mesh, keep) if keep.any() else mesh  # all inside out: wound the other way, not hollow


def drop_specks(mesh: Mesh, *, min_area_share: float = 0.005, min_size_share: float = 0.1) -> Mesh:
    """Without the pieces that are small twice over: under `min_area_share` of the whole area, and with a box whose
    diagonal is under `min_size_share` of the whole's. The largest piece always stays."""
    if not len(mesh.faces):
        return mesh
    piece, faces, vertices = components(mesh), mesh.faces.numpy(), mesh.vertices.double().numpy()
    area = np.bincount(piece, np.linalg.norm(_face_normals(vertices, faces), axis=1))
    low, high = np.full((len(area), 3), np.inf), np.full((len(area), 3), -np.inf)
    np.minimum.at(low, piece, vertices[faces].min(1))
    np.maximum.at(high, piece, vertices[faces].max(1))
    diagonal = np.linalg.norm(high - low, axis=1)
    keep = (area >= min_area_share * area.sum()) | (
        diagonal >= min_size_share * np.linalg.norm(high.max(0) - low.min(0))
    )
    keep[np.argmax(area)] = True
    return keep_faces(mesh, keep[piece])


def drop_hidden(mesh: Mesh, *, num_views: int = 48, size: int = 512, margin: int = 3) -> Mesh:
    """Without the faces that no camera round the cube sees, nor any face within `margin` steps of them.

    num_views: cameras on a Hammersley sphere of radius 2; size: pixels a side. A face smaller than a pixel may be
    missed by all: the margin, counted in faces that share a vertex, stands against that.
    """
    cameras = hammersley_cameras(num_views)
    faces, vertices = mesh.faces, mesh.vertices.float()
    seen = np.zeros(len(faces) + 1, dtype=bool)
    for extrinsics, intrinsics in zip(cameras.extrinsics, cameras.intrinsics, strict=True):
        seen[rasterize(vertices, faces, extrinsics, intrinsics, width=size, height=size).face_id.numpy()] = True
    keep, corners = seen[:-1], faces.numpy()  # the last entry is what -1, "no face", marked
    for _ in range(margin):
        touched = np.zeros(len(vertices), dtype=bool)
        touched[corners[keep]] = True
        keep = np.any(touched[corners], axis=1)
    return keep_faces(mesh, keep) if keep.any() else mesh


def simplify(mesh: Mesh, max_faces: int) -> Mesh:
    """At most `max_faces` faces, by quadric edge collapse; colours and normals are those of the nearest old vertices,
    weighted by inverse distance.

    Raises:
        ValueError: max_faces is under 4.
    """
    import fast_simplification  # here, for its import costs more than small meshes need

    if max_faces < 4:
        raise ValueError(f"a closed surface has at least 4 faces, got max_faces = {max_faces}")
    if len(mesh.faces) <= max_faces:
        return mesh
    old, faces = mesh.vertices.float().numpy(), mesh.faces.numpy().astype(np.int32)
    vertices, target = old, max_faces
    # Its own type allows for a third array, which comes only when it is asked for.
    one_pass = cast(Callable[..., tuple[np.ndarray, np.ndarray]], fast_simplification.simplify)
    while len(faces) > max_faces and target >= 4:
        # One pass may stop short of its target; each further one asks for a little less.
        share = min(max(1 - target / len(faces), 1e-6), 1 - 1e-6)
        vertices, faces = one_pass(vertices, faces, target_reduction=share)
        target = int(target * 0.95)
    simple = Mesh(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces.astype(np.int64)))
    simple = weld(simple, tolerance=0.0)
    near, weight = _nearest(old, simple.vertices.numpy())
    colours = None if mesh.colours is None else _blend(mesh.colours.float().cpu().numpy(), near, weight)
    normals = None if mesh.normals is None else _blend(mesh.normals.float().cpu().numpy(), near, weight)
    if normals is not None:
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    return replace(
        simple,
        colours=None if colours is None else torch.from_numpy(colours),
        normals=None if normals is None else torch.from_numpy(normals),
    )


def _nearest(
    old: Float[np.ndarray, "v 3"], new: Float[np.ndarray, "w 3"], num: int = 4
) -> tuple[Int[np.ndarray, "w k"], Float[np.ndarray, "w k"]]:
    """The old vertices nearest to each new one, and weights that sum to one."""
    distance, near = cKDTree(old).query(new, k=range(1, min(num, len(old)) + 1))
    weight = 1 / np.maximum(distance, 1e-9)
    return near, weight / weight.sum(1, keepdims=True)


def _blend(
    values: Float[np.ndarray, "v c"], near: Int[np.ndarray, "w k"], weight: Float[np.ndarray, "w k"]
) -> Float[np.ndarray, "w c"]:
    return np.einsum("wkc,wk->wc", values[near], weight).astype(np.float32)


def _graph(edges: Int[np.ndarray, "e 2"], size: int) -> coo_array:
    return coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(size, size))


def _face_normals(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "f 3"]:
    """Of twice each face's area in length."""
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _has_open_edge(faces: Int[np.ndarray, "f 3"]) -> Bool[np.ndarray, " f"]:
    """Whether one of a face's edges has no face the other way round."""
    size = int(faces.max()) + 1
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2).astype(np.int64)
    forth, back = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    return np.any(~np.isin(forth, back).reshape(-1, 3), axis=1)
