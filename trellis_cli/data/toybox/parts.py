"""Solid primitives that toys are put together from: each is closed, wound outward, z up, in the toy's own unit.

Unless its docstring says otherwise a part stands on z = 0, centred on the z axis; `w` is its size along x, `d` along y,
`h` along z. Angles are in radians.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin

import numpy as np

Real = float | int  # run-time checks of types do not take an int for a float
Pair = tuple[Real, Real]
Point = tuple[Real, Real, Real]
QUARTER = pi / 2


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A closed surface: vertices float64 [v, 3], faces int32 [f, 3], counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray

    def at(self, x: Real = 0.0, y: Real = 0.0, z: Real = 0.0) -> "Part":
        """Moved by (x, y, z)."""
        return Part(self.vertices + (x, y, z), self.faces)

    def scaled(self, x: Real, y: Real, z: Real) -> "Part":
        """Scaled about the origin; a mirroring scale keeps the winding outward."""
        faces = self.faces if x * y * z > 0 else self.faces[:, ::-1]
        return Part(self.vertices * (x, y, z), faces)

    def mirrored(self) -> "Part":
        """The same on the other side of x = 0."""
        return self.scaled(-1, 1, 1)

    def turned(self, axis: str, angle: Real) -> "Part":
        """Rotated about a coordinate axis ("x", "y" or "z"), right-handed."""
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        out = self.vertices.copy()
        out[:, i] = cos(angle) * self.vertices[:, i] - sin(angle) * self.vertices[:, j]
        out[:, j] = sin(angle) * self.vertices[:, i] + cos(angle) * self.vertices[:, j]
        return Part(out, self.faces)


def join(parts: Sequence[Part]) -> Part:
    """Several closed surfaces as one part."""
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    faces = [p.faces + s for p, s in zip(parts, starts, strict=True)]
    return Part(np.concatenate([p.vertices for p in parts]), np.concatenate(faces).astype(np.int32))


def _solid(vertices: np.ndarray, faces: np.ndarray) -> Part:
    """A part of these faces, all turned over if they enclose a negative volume."""
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int32)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->", a - vertices[0], np.cross(b - vertices[0], c - vertices[0])) < 0
    return Part(vertices, faces[:, ::-1].copy() if inward else faces)


@lru_cache(maxsize=256)
def _ring_faces(rings: int, sides: int, caps: bool) -> np.ndarray:
    """Faces over `rings` loops of `sides` vertices; with caps, two centre vertices follow the loops."""
    ring, side = np.meshgrid(np.arange(rings - 1 if caps else rings), np.arange(sides), indexing="ij")
    up, right = (ring + 1) % rings * sides, (side + 1) % sides
    a, b, c, d = (x.ravel() for x in (ring * sides + side, ring * sides + right, up + right, up + side))
    faces = [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    if caps:
        j, k = np.arange(sides), (np.arange(sides) + 1) % sides
        last = (rings - 1) * sides
        faces += [np.stack([np.full(sides, rings * sides), k, j], 1)]
        faces += [np.stack([np.full(sides, rings * sides + 1), last + j, last + k], 1)]
    return np.concatenate(faces).astype(np.int32)


def loft(rings: np.ndarray) -> Part:
    """The skin over loops [k, n, 3], closed by a fan at each end. Each loop is star-shaped about its mean."""
    rings = np.asarray(rings, dtype=np.float64)
    k, n, _ = rings.shape
    centres = rings[[0, -1]].mean(axis=1)
    return _solid(np.concatenate([rings.reshape(-1, 3), centres]), _ring_faces(k, n, True))


@lru_cache(maxsize=64)
def circle(sides: int) -> np.ndarray:
    """Unit circle [sides, 2], counter-clockwise; for four sides a unit square's corners turned to the axes."""
    angle = (np.arange(sides) + 0.5) * 2 * pi / sides
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def box(w: Real, d: Real, h: Real, bevel: Real = 0.0) -> Part:
    """A box; `bevel` cuts every edge by that much."""
    if bevel <= 0:
        return frustum(w, d, w, d, h)
    x, y, b = w / 2, d / 2, min(bevel, 0.45 * w, 0.45 * d, 0.45 * h)
    right = [(x - b, -y), (x, b - y), (x, y - b), (x - b, y)]
    loop = np.array(right + [(-px, -py) for px, py in right])
    inset = loop * (1 - b / x, 1 - b / y)
    levels = ((inset, 0.0), (loop, b), (loop, h - b), (inset, h))
    return loft(np.array([np.column_stack([xy, np.full(8, z)]) for xy, z in levels]))


def frustum(w: Real, d: Real, top_w: Real, top_d: Real, h: Real, shift: Point = (0, 0, 0)) -> Part:
    """A rectangle below, another above (moved by shift's x and y): boxes, tapered posts, hipped roofs, pyramids."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    low = np.column_stack([corners * (w, d), np.zeros(4)])
    high = np.column_stack([corners * (max(top_w, 0.01 * w), max(top_d, 0.01 * d)) + shift[:2], np.full(4, h)])
    faces = [(0, 2, 1), (0, 3, 2), (4, 5, 6), (4, 6, 7)]
    for i in range(4):
        j = (i + 1) % 4
        faces += [(i, j, j + 4), (i, j + 4, i + 4)]
    return _solid(np.concatenate([low, high]), np.array(faces))


def lathe(profile: Sequence[Pair], sides: int = 20) -> Part:
    """A profile of (radius, z) from the foot's centre to the top's, turned about z. Ends are closed flat.

    A profile that ends where it began is a collar instead: a closed loop around the axis.
    """
    points = np.array(profile, dtype=np.float64)
    radii = np.maximum(points[:, 0], 1e-4)
    rings = radii[:, None, None] * np.concatenate([circle(sides), np.zeros((sides, 1))], 1)
    rings[:, :, 2] = points[:, 1, None]
    if profile[0] == profile[-1]:
        return _solid(rings[:-1].reshape(-1, 3), _ring_faces(len(rings) - 1, sides, False))
    return loft(rings)


def cylinder(r: Real, h: Real, sides: int = 20) -> Part:
    return lathe([(r, 0), (r, h)], sides)


def cone(r: Real, h: Real, top: Real = 0.0, sides: int = 20) -> Part:
    """A cone or, with a `top` radius, a truncated one. Few sides make pyramids and spires."""
    return lathe([(r, 0), (top, h)], sides)


def disc(r: Real, thick: Real, sides: int = 24) -> Part:
    """A short cylinder whose axis is y, centred on the origin: clock faces, port-holes, hubs seen from the front."""
    return cylinder(r, thick, sides).at(z=-thick / 2).turned("x", QUARTER)


@lru_cache(maxsize=64)
def _unit_sphere(sides: int, levels: int) -> Part:
    angle = np.linspace(-QUARTER, QUARTER, levels + 1)
    return lathe([(cos(a), sin(a)) for a in angle], sides)


def ball(rx: Real, ry: Real | None = None, rz: Real | None = None, sides: int = 16, levels: int = 10) -> Part:
    """An ellipsoid centred on the origin."""
    return _unit_sphere(sides, levels).scaled(rx, ry or rx, rz or rx)


def dome(r: Real, h: Real, sides: int = 20, levels: int = 6) -> Part:
    """The upper half of an ellipsoid, standing on z = 0."""
    angle = np.linspace(0, QUARTER, levels + 1)
    return lathe([(r * cos(a), h * sin(a)) for a in angle], sides)


def pillow(w: Real, d: Real, h: Real, square: Real = 0.45) -> Part:
    """A soft box: an ellipsoid with its coordinates raised to a power (1 is round, 0 a box)."""
    unit = _unit_sphere(20, 10)
    v = np.sign(unit.vertices) * np.abs(unit.vertices) ** square
    return Part(v * (w / 2, d / 2, h / 2) + (0, 0, h / 2), unit.faces)


def blob(rx: Real, ry: Real, rz: Real, rng: np.random.Generator, rough: Real = 0.12) -> Part:
    """A lumpy ellipsoid centred on the origin: foliage, snow, rocks."""
    unit = _unit_sphere(12, 8)
    waves = rng.normal(size=(5, 3)) * 3.0
    swell = np.sin(unit.vertices @ waves.T + rng.uniform(0, 2 * pi, 5)).mean(axis=1)
    return Part(unit.vertices * (1 + 2 * rough * swell)[:, None] * (rx, ry, rz), unit.faces)


def _triangulate(points: np.ndarray) -> list[tuple[int, int, int]]:
    """Ears of a simple counter-clockwise polygon."""
    left, faces = list(range(len(points))), []

    def turn(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
        return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

    while len(left) > 3:
        best = None
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            if turn(a, b, c) <= 1e-12:
                continue
            others = (p for p in left if p not in (a, b, c))
            if not any(turn(a, b, p) >= 0 and turn(b, c, p) >= 0 and turn(c, a, p) >= 0 for p in others):
                best = k
                break
        k = 0 if best is None else best  # a straight run of points has no ear of its own: any cut is flat
        faces.append((left[k - 1], left[k], left[(k + 1) % len(left)]))
        left.pop(k)
    return [*faces, (left[0], left[1], left[2])]


def prism(points: Sequence[Pair], h: Real) -> Part:
    """A simple polygon in x, y (either winding) raised from z = 0 to h."""
    flat = np.array(points, dtype=np.float64)
    x, y = flat.T
    if np.dot(x, np.roll(y, -1)) < np.dot(y, np.roll(x, -1)):
        flat = flat[::-1].copy()
    n = len(flat)
    caps = np.array(_triangulate(flat))
    j, k = np.arange(n), (np.arange(n) + 1) % n
    walls = np.concatenate([np.stack([j, k, k + n], 1), np.stack([j, k + n, j + n], 1)])
    low = np.column_stack([flat, np.zeros(n)])
    return _solid(np.concatenate([low, low + (0, 0, h)]), np.concatenate([caps[:, ::-1], caps + n, walls]))


def across(points: Sequence[Pair], w: Real) -> Part:
    """A side view: a polygon in (y, z) with thickness `w` along x, centred on x = 0."""
    part = prism(points, w)  # (a, b, c) -> (c, a, b) is a rotation, so the winding stays
    v = part.vertices
    return Part(np.column_stack([v[:, 2] - w / 2, v[:, 0], v[:, 1]]), part.faces)


def facing(points: Sequence[Pair], d: Real) -> Part:
    """A front view: a polygon in (x, z) with thickness `d` along y, centred on y = 0."""
    part = prism(points, d)
    v = part.vertices
    return Part(np.column_stack([v[:, 0], d / 2 - v[:, 2], v[:, 1]]), part.faces)


def tube(points: Sequence[Point], radius: Real | Sequence[Real], sides: int = 8) -> Part:
    """A round bar along a curve [n, 3], of one radius or one a point."""
    path = np.array(points, dtype=np.float64)
    tangents = np.gradient(path, axis=0) if len(path) > 2 else np.repeat(path[1:] - path[:1], 2, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    first = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    radii, rings = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path)), []
    side = first
    for p, t, r in zip(path, tangents, radii, strict=True):
        side = side - t * (side @ t)  # carried along the curve, so that the bar does not twist
        side /= np.linalg.norm(side)
        rings.append(p + r * circle(sides) @ np.stack([side, np.cross(t, side)]))
    return loft(np.array(rings))


def rod(start: Point, end: Point, r: Real, sides: int = 10, top: Real | None = None) -> Part:
    """A round bar between two points, tapering to radius `top`."""
    return tube([start, end], [r, r if top is None else top], sides)


def beam(start: Point, end: Point, w: Real) -> Part:
    """A square bar of side `w` between two points."""
    return tube([start, end], w / 2**0.5, 4)


def ring(r: Real, thick: Real, sides: int = 24) -> Part:
    """A torus about z, centred on the origin; `thick` is the radius of the tube."""
    loops = []
    for a in np.arange(sides) * 2 * pi / sides:
        c = circle(8) * thick
        loops.append(np.column_stack([(r + c[:, 0]) * cos(a), (r + c[:, 0]) * sin(a), c[:, 1]]))
    return _solid(np.concatenate(loops), _ring_faces(sides, 8, False))


def wheel(r: Real, w: Real, sides: int = 20) -> Part:
    """A tyre with a rounded tread, its axle along x, centred on the origin."""
    b = min(0.25 * w, 0.2 * r)
    profile = [(r - b, -w / 2), (r, b - w / 2), (r, w / 2 - b), (r - b, w / 2)]
    return lathe(profile, sides).turned("y", QUARTER)


def gable_roof(w: Real, d: Real, h: Real, thick: Real) -> Part:
    """A roof of two slopes, ridge along x, open below: its underside rises from z = 0 to h at the ridge."""
    lift = thick * (1 + (2 * h / d) ** 2) ** 0.5  # the vertical size of a slope `thick` across
    return across([(-d / 2, 0), (-d / 2, lift), (0, h + lift), (d / 2, lift), (d / 2, 0), (0, h)], w)


def gable(w: Real, d: Real, h: Real) -> Part:
    """The triangular wall under a gable roof, ridge along x."""
    return across([(-d / 2, 0), (d / 2, 0), (0, h)], w)


def radial(part: Part, count: int, start: Real = 0.0) -> list[Part]:
    """Copies turned evenly about z, the first by `start`."""
    return [part.turned("z", start + 2 * pi * k / count) for k in range(count)]
