"""Which crossed edges of a cube share a dual vertex, for each of the 256 patterns of inside corners.

A case is the bit mask of a cube's inside corners; corner j lies at the offset (j & 1, (j >> 1) & 1, (j >> 2) & 1).
Everything here follows from the rules in the docstrings; nothing is a typed table.
"""

from functools import cache

import torch
from torch import Tensor

# Edges by their corners, in the order of the weights beta that networks predict.
EDGES = ((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4))
# Faces as (axis, side): the four corners whose bit `axis` is `side`.
FACES = tuple((axis, side) for axis in range(3) for side in range(2))


def crossed_edges(case: int) -> list[int]:
    """The edges between an inside and an outside corner."""
    return [e for e, (a, b) in enumerate(EDGES) if (case >> a & 1) != (case >> b & 1)]


def face_edges(axis: int, side: int) -> list[int]:
    """The four edges of a face."""
    return [e for e, corners in enumerate(EDGES) if all(c >> axis & 1 == side for c in corners)]


def ambiguous_faces(case: int) -> list[tuple[int, int]]:
    """The faces all of whose four edges are crossed: two inside corners, diagonally opposite."""
    return [face for face in FACES if set(face_edges(*face)) <= set(crossed_edges(case))]


def edge_groups(case: int) -> list[list[int]]:
    """The crossed edges, grouped by dual vertex; groups in the order of their lowest edge, at most four.

    On each face the two crossed edges belong together; on an ambiguous face the two at each inside corner do.
    """
    group = {e: {e} for e in crossed_edges(case)}

    def join(first: int, second: int) -> None:
        merged = group[first] | group[second]
        for e in merged:
            group[e] = merged

    for axis, side in FACES:
        crossed = [e for e in face_edges(axis, side) if e in group]
        if len(crossed) == 2:
            join(*crossed)
        elif len(crossed) == 4:
            for corner in (c for c in range(8) if c >> axis & 1 == side and case >> c & 1):
                join(*(e for e in crossed if corner in EDGES[e]))
    return [sorted(group[e]) for e in group if e == min(group[e])]


def problem_face(case: int) -> tuple[int, int] | None:
    """The one ambiguous face of a case that has exactly one, with its four edges in one group; 36 cases have it.

    Two such cubes that meet at this face would make a non-manifold edge there: both take the groups of the
    complement, 255 - case.
    """
    faces = ambiguous_faces(case)
    if len(faces) == 1 and any(set(face_edges(*faces[0])) <= set(group) for group in edge_groups(case)):
        return faces[0]
    return None


def edge_towards(axis: int, low: tuple[int, int]) -> int:
    """The edge along `axis` whose other two bits, of axes axis + 1 and axis + 2 (mod 3), are `low`."""
    start = low[0] << (axis + 1) % 3 | low[1] << (axis + 2) % 3
    return next(e for e, corners in enumerate(EDGES) if set(corners) == {start, start | 1 << axis})


@cache
def tables() -> tuple[Tensor, Tensor, Tensor]:
    """The rules above for all cases: group of each edge [256, 12] (-1: not crossed), number of groups [256], and the
    step to the cube across the problem face [256, 3] (zero: no problem), all int64."""
    group = torch.full((256, 12), -1)
    number = torch.zeros(256, dtype=torch.int64)
    across = torch.zeros(256, 3, dtype=torch.int64)
    for case in range(256):
        groups = edge_groups(case)
        number[case] = len(groups)
        for g, edges in enumerate(groups):
            group[case, edges] = g
        if (face := problem_face(case)) is not None:
            across[case, face[0]] = 2 * face[1] - 1
    return group, number, across
