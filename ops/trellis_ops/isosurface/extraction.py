"""The extraction in torch, for any device.

Signs, cases and look-ups live in dense arrays over the box round the given cubes, of one to four bytes a grid vertex:
sorted keys would take more (eight bytes for each of the 8 n corners). All that has channels is kept for the cubes
that the surface crosses and their vertices alone. Axes: n = given cubes, s = surface cubes, m = listed vertices,
p = pairs of surface cube and crossed edge, d = dual vertices, q = quads.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trellis_ops.isosurface import Isosurface
from trellis_ops.isosurface.cases import EDGES, edge_towards, tables


@dataclass(frozen=True, slots=True)
class _Box:
    """The part of the grid that the surface can reach: the given cubes and one more on each side."""

    origin: Tensor  # [3], the low cube
    cubes: tuple[int, int, int]

    @staticmethod
    def around(coords: Tensor, resolution: int) -> "_Box":
        low = (coords.amin(0) - 1).clamp_min(0)
        high = (coords.amax(0) + 2).clamp_max(resolution)
        x, y, z = (high - low).tolist()
        return _Box(low, (x, y, z))

    @property
    def vertices(self) -> tuple[int, int, int]:
        x, y, z = self.cubes
        return (x + 1, y + 1, z + 1)

    def vertex_index(self, xyz: Tensor) -> Tensor:
        """Flat index, z fastest, of grid vertices given relative to the origin."""
        return (xyz[:, 0] * self.vertices[1] + xyz[:, 1]) * self.vertices[2] + xyz[:, 2]

    def cube_index(self, xyz: Tensor) -> Tensor:
        return (xyz[:, 0] * self.cubes[1] + xyz[:, 1]) * self.cubes[2] + xyz[:, 2]

    def vertex_coords(self, index: Tensor) -> Tensor:
        return torch.stack(torch.unravel_index(index, self.vertices), -1) + self.origin

    def corner_step(self, corner: int) -> int:
        """From the flat index of a cube's low vertex to that of a corner."""
        return ((corner & 1) * self.vertices[1] + (corner >> 1 & 1)) * self.vertices[2] + (corner >> 2 & 1)


class _CornerMean(torch.autograd.Function):
    """Mean over cubes of what they say of each vertex. Corner by corner, as no two cubes share a vertex as the same
    corner: plain gathers both ways, no colliding sums, the same bits every time."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, vertex: Tensor, count: Tensor) -> Tensor:
        """values [n, 8, c]; vertex [8, n], -1 where not wanted; count [m], cubes that touch each vertex."""
        ctx.save_for_backward(vertex, count)
        total = values.new_zeros(len(count), values.shape[2])
        for j in range(8):
            wanted = torch.nonzero(vertex[j] >= 0).squeeze(1)
            at = vertex[j][wanted]
            total[at] = total[at] + values[wanted, j]
        return total / count.clamp_min(1).unsqueeze(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        vertex, count = ctx.saved_tensors
        share = torch.cat([grad / count.clamp_min(1).unsqueeze(1), grad.new_zeros(1, grad.shape[1])])
        return torch.stack([share[vertex[j]] for j in range(8)], 1), None, None  # index -1 reads the appended zero


@dataclass(frozen=True, slots=True)
class _Surface:
    """The surface's connectivity."""

    cubes: Tensor  # [s, 3], relative to the box
    low: Tensor  # [s], flat index of the low vertex
    dual: Tensor  # [s, 12], the dual vertex of each edge, where crossed
    crossed: Tensor  # [s, 12]
    num_dual: int
    slot: Tensor  # flat over the box's cubes, int32: which surface cube it is, or -1


def run(
    coords: Tensor, sdf: Tensor, deform: Tensor, weights: Tensor, attributes: Tensor, *, resolution: int, training: bool
) -> Isosurface:
    dtype = torch.promote_types(sdf.dtype, torch.float32)
    sdf, deform, weights, attributes = (t.to(dtype) for t in (sdf, deform, weights, attributes))
    if not len(coords):
        return _empty(sdf, attributes, training)
    box = _Box.around(coords.long(), resolution)
    own = coords.long() - box.origin
    sdf = sdf - 1 / resolution
    with torch.no_grad():
        total, count = _corner_sums(box, box.vertex_index(own), sdf)
        inside = (total < 0).view(box.vertices)
        del total
        surface = _connect(box, inside)
        listed, slot = _list_vertices(box, surface, count if training else None)
    num_touching = count[listed].to(dtype)
    values, vertex = _wanted(box, own, slot, torch.cat([sdf.unsqueeze(2), deform, attributes], 2))
    mean = _CornerMean.apply(values, vertex, num_touching)
    grid_sdf = torch.where(num_touching > 0, mean[:, 0], 1.0)
    shift = (1 - 1e-8) / (2 * resolution) * mean[:, 1:4].tanh()
    position = box.vertex_coords(listed).to(dtype) / resolution - 0.5 + shift
    field = torch.cat([position, mean[:, 4:].sigmoid()], 1)

    beta, alpha, gamma = _activate(_surface_weights(box, own, surface, weights))
    points, deviation = _dual_vertices(box, surface, slot, grid_sdf, field, alpha, beta, training)
    quad, cube, low_inside, is_y = _quads(box, inside, surface)
    faces, centres = _triangles(points, quad, _rows(gamma, cube), low_inside, is_y, training)
    points = torch.cat([points, centres])
    if not training:
        return Isosurface(points[:, :3], faces, points[:, 3:])
    touched = num_touching > 0
    consistency = (values - _rows(mean, vertex.T)).square().mean()
    return Isosurface(points[:, :3], faces, points[:, 3:], deviation, consistency, position[touched], grid_sdf[touched])


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """values[index]; unlike that, with a gradient summed in a fixed order, so that a rerun gives the same bits."""
    return values.index_select(0, index.flatten()).view(*index.shape, *values.shape[1:])


def _empty(sdf: Tensor, attributes: Tensor, training: bool) -> Isosurface:
    none, faces = sdf.new_zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64, device=sdf.device)
    extra = (sdf.new_zeros(0), sdf.new_zeros(()), none, sdf.new_zeros(0)) if training else ()
    return Isosurface(none, faces, sdf.new_zeros(0, attributes.shape[2]), *extra)


def _corner_sums(box: _Box, low: Tensor, sdf: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and number of the values given at each vertex of the box, added in the order of `_CornerMean`."""
    size = box.vertices[0] * box.vertices[1] * box.vertices[2]
    total, count = sdf.new_zeros(size), torch.zeros(size, dtype=torch.uint8, device=sdf.device)
    for j in range(8):
        at = low + box.corner_step(j)
        total[at] = total[at] + sdf[:, j]
        count[at] += 1
    return total, count


def _connect(box: _Box, inside: Tensor) -> _Surface:
    """Find the surface's cubes and number their dual vertices."""
    x, y, z = box.cubes
    case = torch.zeros(box.cubes, dtype=torch.uint8, device=inside.device)
    for j in range(8):
        a, b, c = j & 1, j >> 1 & 1, j >> 2 & 1
        case |= inside[a : a + x, b : b + y, c : c + z].to(torch.uint8) << j
    cubes = torch.nonzero((case > 0) & (case < 255))
    own = case[tuple(cubes.T)].long()
    group, number, across = (t.to(inside.device) for t in tables())

    problem = torch.nonzero(across[own].any(1)).squeeze(1)
    other = cubes[problem] + across[own[problem]]
    within = ((other >= 0) & (other < torch.tensor(box.cubes, device=inside.device))).all(1)
    problem, other = problem[within], other[within]
    both = across[case[tuple(other.T)].long()].any(1)
    own[problem[both]] = 255 - own[problem[both]]

    first = number[own].cumsum(0) - number[own]
    slot = torch.full((x * y * z,), -1, dtype=torch.int32, device=inside.device)
    slot[box.cube_index(cubes)] = torch.arange(len(cubes), dtype=torch.int32, device=inside.device)
    edge_group = group[own]
    return _Surface(
        cubes=cubes,
        low=box.vertex_index(cubes),
        dual=first.unsqueeze(1) + edge_group,
        crossed=edge_group >= 0,
        num_dual=int(number[own].sum()),
        slot=slot,
    )


def _list_vertices(box: _Box, surface: _Surface, count: Tensor | None) -> tuple[Tensor, Tensor]:
    """The vertices of the surface's cubes (and all that `count` says are touched) in flat order, and their places."""
    size = box.vertices[0] * box.vertices[1] * box.vertices[2]
    device = surface.low.device
    mark = torch.zeros(size, dtype=torch.bool, device=device) if count is None else count > 0
    for j in range(8):
        mark[surface.low + box.corner_step(j)] = True
    listed = torch.nonzero(mark).squeeze(1)
    slot = torch.full((size,), -1, dtype=torch.int32, device=device)
    slot[listed] = torch.arange(len(listed), dtype=torch.int32, device=device)
    return listed, slot


def _wanted(box: _Box, own: Tensor, slot: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The values of those cubes that touch a listed vertex, and which ones their corners are [8, n']."""
    low = box.vertex_index(own)
    vertex = torch.stack([slot[low + box.corner_step(j)] for j in range(8)])
    touching = torch.nonzero((vertex >= 0).any(0)).squeeze(1)
    if len(touching) == len(own):
        return values, vertex
    return _rows(values, touching), vertex[:, touching]


def _surface_weights(box: _Box, own: Tensor, surface: _Surface, weights: Tensor) -> Tensor:
    """The weights of the surface's cubes, 0 for those not given."""
    place = surface.slot[box.cube_index(own)]
    given = torch.nonzero(place >= 0).squeeze(1)
    out = weights.new_zeros(len(surface.cubes), 21)
    return out.index_copy(0, place[given].long(), _rows(weights, given))


def _activate(weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """beta [s, 12], alpha [s, 8], gamma [s]."""
    positive = weights[:, :20].tanh() * 0.99 + 1
    return positive[:, :12], positive[:, 12:], weights[:, 20].sigmoid() * 0.99 + 0.005


def _dual_vertices(
    box: _Box,
    surface: _Surface,
    slot: Tensor,
    sdf: Tensor,
    field: Tensor,
    alpha: Tensor,
    beta: Tensor,
    training: bool,
) -> tuple[Tensor, Tensor | None]:
    """Positions and attributes [d, 3 + a]: the beta-weighted means of the crossings; and the deviations [p]."""
    cube, edge = torch.nonzero(surface.crossed).unbind(1)
    dual = surface.dual[cube, edge]
    ends = torch.tensor(EDGES, device=cube.device)[edge]
    steps = torch.tensor([box.corner_step(j) for j in range(8)], device=cube.device)
    start, end = (slot[surface.low[cube] + steps[ends[:, i]]] for i in range(2))

    def crossing(values: Tensor, at_start: Tensor, at_end: Tensor) -> Tensor:
        part = (at_start / (at_start - at_end)).unsqueeze(1)
        return _rows(values, start) * (1 - part) + _rows(values, end) * part

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(surface.num_dual, *values.shape[1:]).index_add(0, dual, values)

    weight = _rows(beta.flatten(), cube * 12 + edge)
    sdf_start, sdf_end = _rows(sdf, start), _rows(sdf, end)
    alpha_start, alpha_end = (_rows(alpha.flatten(), cube * 8 + ends[:, i]) for i in range(2))
    point = crossing(field, sdf_start * alpha_start, sdf_end * alpha_end)
    points = sums(point * weight.unsqueeze(1)) / sums(weight).unsqueeze(1)
    if not training:
        return points, None
    from_crossing = _rows(points[:, :3], dual) - crossing(field[:, :3], sdf_start, sdf_end)
    distance = torch.linalg.vector_norm(from_crossing, dim=1)
    mean = sums(distance) / sums(torch.ones_like(distance))
    return points, (distance - _rows(mean, dual)).abs()


def _quads(box: _Box, inside: Tensor, surface: _Surface) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One quad round each crossed edge inside the grid: dual vertices [q, 4] and surface cubes [q, 4].

    Counter-clockwise seen from the edge's high end; corners 0 and 2 are of the lowest and the highest cube. Also
    whether the edge's low end is inside [q], and whether it runs along y [q].
    """
    parts = []
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        inner = [slice(1, -1)] * 3
        inner[axis] = slice(None)
        lines = inside[tuple(inner)]
        n = box.cubes[axis]
        edges = torch.nonzero(lines.narrow(axis, 0, n) != lines.narrow(axis, 1, n))
        low_inside = lines[tuple(edges.T)]
        duals, cubes = [], []
        for at_b, at_c in ((0, 0), (1, 0), (1, 1), (0, 1)):
            cube = edges.clone()  # the inner lines start at 1, so this is the low cube in b and c
            cube[:, b] += at_b
            cube[:, c] += at_c
            cubes.append(surface.slot[box.cube_index(cube)].long())
            duals.append(surface.dual[cubes[-1], edge_towards(axis, (1 - at_b, 1 - at_c))])
        parts.append((torch.stack(duals, 1), torch.stack(cubes, 1), low_inside, torch.full_like(low_inside, axis == 1)))
    quad, cube, low_inside, is_y = (torch.cat(column) for column in zip(*parts, strict=True))
    return quad, cube, low_inside, is_y


def _triangles(
    points: Tensor, quad: Tensor, gamma: Tensor, low_inside: Tensor, is_y: Tensor, training: bool
) -> tuple[Tensor, Tensor]:
    """Triangles [f, 3] of the quads, outward, and their centre points [q or 0, 3 + a]."""
    along, other = gamma[:, 0] * gamma[:, 2], gamma[:, 1] * gamma[:, 3]
    if training:
        middle = [(_rows(points, quad[:, i]) + _rows(points, quad[:, i + 2])) / 2 for i in range(2)]
        total = (along + other).unsqueeze(1)
        centres = (middle[0] * along.unsqueeze(1) + middle[1] * other.unsqueeze(1)) / total
        centre = len(points) + torch.arange(len(quad), device=quad.device)
        faces = torch.stack([torch.stack([quad[:, i], quad[:, (i + 1) % 4], centre], 1) for i in range(4)], 1)
    else:
        centres = points[:0]
        # A tie goes as in the published order of the cubes round an edge: common, as cubes not given have gamma 0.5.
        split = (along > other) | ((along == other) & (low_inside != is_y))
        first = quad[:, [0, 1, 2, 0, 2, 3]]
        faces = torch.where(split.unsqueeze(1), first, quad[:, [0, 1, 3, 1, 2, 3]]).view(-1, 2, 3)
    return torch.where(low_inside[:, None, None], faces, faces.flip(2)).flatten(0, 1), centres
