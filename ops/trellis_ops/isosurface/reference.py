"""The definition, one cube, edge and grid vertex at a time. Slow, in float64, and never optimised."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import product

import torch
from torch import Tensor

from trellis_ops.isosurface import Isosurface
from trellis_ops.isosurface.cases import EDGES, edge_groups, problem_face

Index = tuple[int, int, int]


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(
    coords: Tensor, sdf: Tensor, deform: Tensor, weights: Tensor, attributes: Tensor, *, resolution: int, training: bool
) -> Isosurface:
    dtype = torch.promote_types(sdf.dtype, torch.float32)
    grid = _Grid(coords, sdf.double(), deform.double(), weights.double(), attributes.double(), resolution)
    vertices, colours = [], []
    deviation: dict[tuple[Index, int], Tensor] = {}
    dual: dict[tuple[Index, int], int] = {}  # which dual vertex each crossed edge of a cube belongs to
    for cube in sorted(grid.surface_cubes()):
        for edges in edge_groups(grid.resolved_case(cube)):
            point, colour, deviations = grid.dual_vertex(cube, edges)
            dual.update({(cube, e): len(vertices) for e in edges})
            vertices.append(point)
            colours.append(colour)
            deviation.update({(cube, e): d for e, d in zip(edges, deviations, strict=True)})
    faces = []
    for axis, low in sorted(grid.crossed_inner_edges()):
        low_inside = grid.inside(low)
        cubes, edges = grid.round_edge(low, axis)
        quad = [dual[cube, edge] for cube, edge in zip(cubes, edges, strict=True)]
        gamma = [grid.gamma(cube) for cube in cubes]
        along, other = gamma[0] * gamma[2], gamma[1] * gamma[3]
        if training:
            vertices.append(_centre([vertices[i] for i in quad], along, other))
            colours.append(_centre([colours[i] for i in quad], along, other))
            triangles = [(quad[i], quad[(i + 1) % 4], len(vertices) - 1) for i in range(4)]
        elif along > other or (along == other and low_inside != (axis == 1)):
            triangles = [(quad[0], quad[1], quad[2]), (quad[0], quad[2], quad[3])]
        else:
            triangles = [(quad[0], quad[1], quad[3]), (quad[1], quad[2], quad[3])]
        faces.extend(t if low_inside else t[::-1] for t in triangles)

    def stacked(rows: list[Tensor], *shape: int) -> Tensor:
        return torch.stack(rows).to(dtype) if rows else sdf.new_zeros(0, *shape, dtype=dtype)

    mesh = (
        stacked(vertices, 3),
        torch.tensor(faces, dtype=torch.int64, device=sdf.device).reshape(-1, 3),
        stacked(colours, attributes.shape[2]),
    )
    if not training:
        return Isosurface(*mesh)
    touched = sorted(grid.touching)
    return Isosurface(
        *mesh,
        stacked([deviation[key] for key in sorted(deviation)]),
        grid.consistency().to(dtype),
        stacked([grid.position(v) for v in touched], 3),
        stacked([grid.sdf(v) for v in touched]),
    )


def _centre(corners: list[Tensor], along: Tensor, other: Tensor) -> Tensor:
    """The gamma-weighted mean of the two diagonals' midpoints."""
    middle = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    return (along * middle[0] + other * middle[1]) / (along + other)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one tensor or more: a tensor, where `sum` alone may give the number 0."""
    first, *rest = terms
    return sum(rest, first)


def _step(base: Index, axis: int, by: int = 1) -> Index:
    moved = list(base)
    moved[axis] += by
    return (moved[0], moved[1], moved[2])


def _corner(cube: Index, j: int) -> Index:
    return (cube[0] + (j & 1), cube[1] + (j >> 1 & 1), cube[2] + (j >> 2 & 1))


class _Grid:
    """The given values, read as a dense grid with defaults: every method answers for any vertex or cube of it."""

    def __init__(
        self, coords: Tensor, sdf: Tensor, deform: Tensor, weights: Tensor, attributes: Tensor, resolution: int
    ) -> None:
        self.resolution, self.weights = resolution, weights
        self.cubes: dict[Index, int] = {(x, y, z): n for n, (x, y, z) in enumerate(coords.tolist())}
        self.values = torch.cat([(sdf - 1 / resolution).unsqueeze(2), deform, attributes], 2)
        self.outside = self.values.new_zeros(self.values.shape[2])
        self.outside[0] = 1.0
        self.touching: dict[Index, list[tuple[int, int]]] = defaultdict(list)
        for cube, n in self.cubes.items():
            for j in range(8):
                self.touching[_corner(cube, j)].append((n, j))
        self.means = {v: _sum(self.values[n, j] for n, j in said) / len(said) for v, said in self.touching.items()}

    def consistency(self) -> Tensor:
        """Mean over cubes, corners and channels of the squared distance from what a cube says to the vertex's mean."""
        terms = [
            (self.values[n, j] - self.means[v]).square().sum() for v, said in self.touching.items() for n, j in said
        ]
        return torch.stack(terms).sum() / self.values.numel() if terms else self.values.new_zeros(())

    def sdf(self, vertex: Index) -> Tensor:
        return self.means.get(vertex, self.outside)[0]

    def inside(self, vertex: Index) -> bool:
        return bool(self.sdf(vertex) < 0)

    def position(self, vertex: Index) -> Tensor:
        at = self.values.new_tensor(vertex) / self.resolution - 0.5
        return at + (1 - 1e-8) / (2 * self.resolution) * self.means.get(vertex, self.outside)[1:4].tanh()

    def colour(self, vertex: Index) -> Tensor:
        return self.means.get(vertex, self.outside)[4:].sigmoid()

    def _weights(self, cube: Index) -> Tensor:
        return self.weights[self.cubes[cube]] if cube in self.cubes else self.weights.new_zeros(21)

    def beta(self, cube: Index, edge: int) -> Tensor:
        return 0.99 * self._weights(cube)[edge].tanh() + 1

    def alpha(self, cube: Index, corner: int) -> Tensor:
        return 0.99 * self._weights(cube)[12 + corner].tanh() + 1

    def gamma(self, cube: Index) -> Tensor:
        return 0.99 * self._weights(cube)[20].sigmoid() + 0.005

    def case(self, cube: Index) -> int:
        return sum(1 << j for j in range(8) if self.inside(_corner(cube, j)))

    def has(self, cube: Index) -> bool:
        return all(0 <= i < self.resolution for i in cube)

    def surface_cubes(self) -> set[Index]:
        """Cubes, given or not, with a corner inside and one outside."""
        near = {
            (v[0] - dx, v[1] - dy, v[2] - dz)
            for v in self.touching
            if self.inside(v)
            for dx, dy, dz in product((0, 1), repeat=3)
        }
        return {cube for cube in near if self.has(cube) and self.case(cube) != 255}

    def resolved_case(self, cube: Index) -> int:
        """The case, or its complement where two problem cases meet at their ambiguous face."""
        case = self.case(cube)
        if (face := problem_face(case)) is not None:
            across = _step(cube, face[0], 1 if face[1] else -1)
            if self.has(across) and problem_face(self.case(across)) is not None:
                return 255 - case
        return case

    def dual_vertex(self, cube: Index, edges: list[int]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Position, attributes, and each edge's deviation."""
        points, colours, plain, betas = [], [], [], [self.beta(cube, e) for e in edges]
        for e in edges:
            a, b = EDGES[e]
            va, vb = _corner(cube, a), _corner(cube, b)
            wa, wb = self.sdf(va) * self.alpha(cube, a), self.sdf(vb) * self.alpha(cube, b)
            points.append((self.position(va) * wb - self.position(vb) * wa) / (wb - wa))
            colours.append((self.colour(va) * wb - self.colour(vb) * wa) / (wb - wa))
            sa, sb = self.sdf(va), self.sdf(vb)
            plain.append((self.position(va) * sb - self.position(vb) * sa) / (sb - sa))
        point = _sum(b * u for b, u in zip(betas, points, strict=True)) / _sum(betas)
        colour = _sum(b * c for b, c in zip(betas, colours, strict=True)) / _sum(betas)
        distances = [torch.linalg.vector_norm(point - u) for u in plain]
        mean = _sum(distances) / len(distances)
        return point, colour, [(d - mean).abs() for d in distances]

    def crossed_inner_edges(self) -> set[tuple[int, Index]]:
        """Edges as (axis, low vertex) with one end inside and four cubes round them."""
        near = {
            (axis, _step(v, axis, -back))
            for v in self.touching
            if self.inside(v)
            for axis in range(3)
            for back in (0, 1)
        }
        return {
            (axis, low)
            for axis, low in near
            if 0 <= low[axis] < self.resolution
            and all(0 < low[(axis + i) % 3] < self.resolution for i in (1, 2))
            and self.inside(low) != self.inside(_step(low, axis))
        }

    def round_edge(self, low: Index, axis: int) -> tuple[list[Index], list[int]]:
        """The four cubes round an edge, counter-clockwise seen from its high end, lowest first; and which of their
        edges it is."""
        b, c = (axis + 1) % 3, (axis + 2) % 3
        cubes = [_step(_step(low, b, at_b - 1), c, at_c - 1) for at_b, at_c in ((0, 0), (1, 0), (1, 1), (0, 1))]
        ends = {low, _step(low, axis)}
        edges = [
            next(e for e, (i, j) in enumerate(EDGES) if {_corner(cube, i), _corner(cube, j)} == ends) for cube in cubes
        ]
        return cubes, edges
