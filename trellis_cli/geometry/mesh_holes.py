"""Find a mesh's open boundaries and close those that are small, or that the cube's wall cut."""

import numpy as np
import torch
from jaxtyping import Float, Int

from trellis_cli.representations.mesh import Mesh


def boundary_loops(faces: Int[np.ndarray, "f 3"]) -> list[Int[np.ndarray, " e"]]:
    """The closed chains of edges that only one face has, as vertex indices in the direction of those faces' edges.

    Where boundaries touch in a vertex, a chain is cut at its first return to a vertex it has passed. Chains that do
    not close (faces of opposite winding side by side) are left out.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    size = int(faces.max()) + 1 if len(faces) else 0
    forth, back = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    following: dict[int, list[int]] = {}
    for a, b in edges[~np.isin(forth, back)].tolist():
        following.setdefault(a, []).append(b)
    loops = []
    for start in sorted(following):
        while following[start]:
            path, place = [start], {start: 0}
            while following.get(path[-1]):
                vertex = following[path[-1]].pop()
                if vertex in place:
                    first = place[vertex]
                    loops.append(np.array(path[first:]))
                    for passed in path[first + 1 :]:
                        del place[passed]
                    path = path[: first + 1]
                else:
                    place[vertex] = len(path)
                    path.append(vertex)
    return [loop for loop in loops if len(loop) >= 3]


def fill_holes(mesh: Mesh, *, max_perimeter: float = 0.2, wall: float | None = None) -> Mesh:
    """Close boundary loops of at most `max_perimeter` (in cube edges), without new vertices.

    wall: the width of a layer at the cube's faces, in cube edges. A loop that lies in it was cut off by the end of the
    grid, and is closed whatever its length. None: no such layer.
    """
    vertices, faces = mesh.vertices.numpy(), mesh.faces.numpy()
    lids = []
    for loop in boundary_loops(faces):
        points = vertices[loop]
        perimeter = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum()
        if perimeter <= max_perimeter or (wall is not None and _at_wall(points, wall)):
            lids.append(loop[::-1][triangulate(points[::-1])])
    if not lids:
        return mesh
    faces = np.concatenate([faces, *lids]).astype(faces.dtype)
    return Mesh(mesh.vertices, torch.from_numpy(faces), mesh.colours, mesh.normals)


def _at_wall(points: Float[np.ndarray, "e 3"], wall: float) -> bool:
    return bool(((points > 0.5 - wall).all(0) | (points < wall - 0.5).all(0)).any())


def triangulate(points: Float[np.ndarray, "e 3"]) -> Int[np.ndarray, "t 3"]:
    """e - 2 triangles over a closed polygon in space, wound as it is: ears cut off its shadow along its normal.

    Where the shadow crosses itself no ear may be left; then the rest becomes a fan.
    """
    flat = _shadow(points)
    left = list(range(len(points)))
    triangles = []
    while len(left) > 3:
        corner = next((i for i in range(len(left)) if _is_ear(flat, left, i)), None)
        if corner is None:
            break
        triangles.append((left[corner - 1], left[corner], left[(corner + 1) % len(left)]))
        del left[corner]
    triangles.extend((left[0], left[i], left[i + 1]) for i in range(1, len(left) - 1))
    return np.array(triangles)


def _shadow(points: Float[np.ndarray, "e 3"]) -> Float[np.ndarray, "e 2"]:
    """The polygon seen against its area normal, counter-clockwise."""
    around = (points - points.mean(0)).astype(np.float64)
    normal = np.cross(around, np.roll(around, -1, axis=0)).sum(0)
    axis = np.eye(3)[np.argmin(np.abs(normal))]
    right = np.cross(axis, normal)
    right /= max(float(np.linalg.norm(right)), 1e-30)
    up = np.cross(normal, right)
    up /= max(float(np.linalg.norm(up)), 1e-30)
    return np.stack([around @ right, around @ up], 1)


def _is_ear(flat: Float[np.ndarray, "e 2"], left: list[int], i: int) -> bool:
    """Whether the corner is convex and its triangle holds no other point."""
    a, b, c = (flat[left[j % len(left)]] for j in (i - 1, i, i + 1))
    if _turn(a, b, c[None])[0] <= 0:
        return False
    rest = flat[[v for j, v in enumerate(left) if j not in ((i - 1) % len(left), i, (i + 1) % len(left))]]
    within = (_turn(a, b, rest) >= 0) & (_turn(b, c, rest) >= 0) & (_turn(c, a, rest) >= 0)
    return not bool(within.any())


def _turn(a: Float[np.ndarray, "2"], b: Float[np.ndarray, "2"], c: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Twice the signed area of a, b and each c: positive where c lies to the left."""
    return (b[0] - a[0]) * (c[:, 1] - a[1]) - (b[1] - a[1]) * (c[:, 0] - a[0])
