"""What buildings share: roofs, doors, windows, chimneys, battlements. Walls are w x d, centred; the front is -y."""

from math import cos, pi, sin

import numpy as np

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Pair,
    Part,
    Real,
    across,
    box,
    cone,
    cylinder,
    disc,
    dome,
    facing,
    frustum,
    gable,
    gable_roof,
    join,
    loft,
    radial,
)
from trellis_cli.data.toybox.toy import Toy

SIDES = ("front", "right", "back", "left")
ROOFS = {  # what roofs are made of: words -> (colour or substance, pattern)
    "red": ("red", "tiles"),
    "brown": ("brown", "tiles"),
    "grey": ("grey", "tiles"),
    "black": ("black", "tiles"),
    "blue": ("blue", "tiles"),
    "green": ("green", "tiles"),
    "orange": ("orange", "tiles"),
    "thatched": ("thatch", None),
}


def on_wall(part: Part, side: str, w: Real, d: Real, along: Real = 0.0, z: Real = 0.0) -> Part:
    """A part made for the front wall at y = 0, put on a side of walls w x d; `along` runs right as one faces it."""
    k = SIDES.index(side)
    reach = d / 2 if k % 2 == 0 else w / 2
    return part.at(along, -reach, z).turned("z", k * QUARTER)


def arch(w: Real, h: Real, d: Real) -> Part:
    """A panel with a round head, standing on z = 0, centred on y = 0."""
    r = w / 2
    head = [(r * cos(a), h - r + r * sin(a)) for a in (k * pi / 8 for k in range(9))]
    return facing([(-r, 0), (r, 0), *head], d)


def window(
    o: Toy,
    side: str,
    w: Real,
    d: Real,
    along: Real,
    z: Real,
    size: Pair,
    frame: str,
    shape: str = "",
) -> None:
    """A pane in a frame; `shape` is "", "arched", "round" or "cross" (with glazing bars)."""
    a, h = size
    if shape == "round":
        outer, pane = disc(a / 2, 0.05).at(z=h / 2), disc(0.36 * a, 0.07).at(z=h / 2)
    elif shape == "arched":
        outer, pane = arch(a, h, 0.05), arch(0.7 * a, 0.8 * h, 0.07).at(z=0.1 * h)
    else:
        outer, pane = box(a, 0.05, h), box(0.72 * a, 0.07, 0.76 * h).at(z=0.12 * h)
    o.add(on_wall(outer, side, w, d, along, z), frame)
    o.add(on_wall(pane, side, w, d, along, z), "dark glass")
    if shape == "cross":
        bars = join([box(a, 0.08, 0.12 * h).at(z=0.44 * h), box(0.12 * a, 0.08, h)])
        o.add(on_wall(bars, side, w, d, along, z), frame)


def door(
    o: Toy,
    side: str,
    w: Real,
    d: Real,
    along: Real,
    z: Real,
    size: Pair,
    leaf: str,
    frame: str = "white",
) -> None:
    """A door leaf in its frame, with a knob."""
    a, h = size
    o.add(on_wall(box(1.3 * a, 0.05, 1.12 * h), side, w, d, along, z), frame)
    o.add(on_wall(box(a, 0.08, h), side, w, d, along, z), leaf, "boards")
    o.add(on_wall(box(0.14 * a, 0.13, 0.08 * h).at(0.32 * a, 0, 0.45 * h), side, w, d, along, z), "gold")


def chimney(o: Toy, x: Real, y: Real, z: Real, top: Real, size: Real, name: str) -> None:
    """A stack from z up to `top` with a cap and a dark flue."""
    o.add(box(size, size, top - z).at(x, y, z), name)
    o.add(box(1.25 * size, 1.25 * size, 0.3 * size).at(x, y, top - 0.3 * size), name)
    o.add(box(0.5 * size, 0.5 * size, 0.25 * size).at(x, y, top - 0.1 * size), "black")


def gambrel_roof(w: Real, d: Real, h: Real, thick: Real) -> Part:
    """A barn's roof, ridge along x: steep below, flatter above."""
    y, k, t = d / 2, 0.62, thick
    outer = [(y + t, 0), (k * y + 0.6 * t, 0.62 * h + 0.8 * t)]
    inner = [(y, 0), (k * y, 0.62 * h)]
    left = [(-py, pz) for py, pz in (*outer[::-1], *inner)]
    return across([*outer, (0, h + 1.2 * t), *left, (0, h), *inner[::-1]], w)


def gambrel_gable(w: Real, d: Real, h: Real) -> Part:
    """The end wall under a gambrel roof."""
    y, k = d / 2, 0.62
    return across([(-y, 0), (y, 0), (k * y, 0.62 * h), (0, h), (-k * y, 0.62 * h)], w)


def soft_roof(w: Real, d: Real, h: Real, thick: Real, hip: Real) -> list[Part]:
    """A thick thatched roof with rounded slopes, ridge along x; `hip` is how far the ridge's ends draw in."""
    corners = np.array([(1, -1), (1, 1), (-1, 1), (-1, -1)]) / 2
    loops, levels = (
        [],
        [(1.0, -thick), (1.04, -0.6 * thick), (1.0, 0.05 * h), (0.72, 0.42 * h), (0.42, 0.76 * h), (0.12, h)],
    )
    for k, z in levels:
        half_w = w * (k if k > 1 else 1 - hip * (1 - k))
        loops.append(np.column_stack([corners * (half_w, d * k), np.full(4, z)]))
    ridge = box(w * (1 - 0.85 * hip) * 0.96, 0.22 * d, 0.09 * h + 0.5 * thick).at(z=0.88 * h)
    return [loft(np.array(loops)), ridge]


def roof(
    o: Toy, kind: str, w: Real, d: Real, z: Real, h: Real, name: str, wall: tuple[str, str | None], *,
    surface: str | None = None, over: Real = 0.08, thick: Real = 0.07, turn: bool = False,
    place: Pair = (0.0, 0.0),
) -> None:  # fmt: skip
    """A roof over walls w x d ending at z, rising by h, with gable walls of the wall's material where it has any.

    kind: "gabled", "hipped", "pyramid", "gambrel", "flat", "shed" or "soft" (thatch); turn: ridge along y, not x;
    place: the centre.
    """
    if turn:
        w, d = d, w
    angle = QUARTER if turn else 0.0
    own, walls = [], []
    if kind == "gabled":
        drop = over * 2 * h / d
        own = [gable_roof(w + 2 * over, d + 2 * over, h + drop, thick).at(z=-drop)]
        walls = [gable(0.98 * w, d, h)]
    elif kind == "gambrel":
        own, walls = [gambrel_roof(w + 2 * over, d, h, thick)], [gambrel_gable(0.98 * w, d, h)]
    elif kind in ("hipped", "pyramid"):
        ridge = max(w - d, 0.15 * w) if kind == "hipped" else 0.04
        own = [
            box(w + 2 * over, d + 2 * over, thick),
            frustum(w + 1.8 * over, d + 1.8 * over, ridge, 0.04, h).at(z=thick),
        ]
    elif kind == "soft":
        own = soft_roof(w + 2.6 * over, d + 2.6 * over, h, 1.7 * thick, o.pick(0.12, 0.35, 0.6))
    elif kind == "shed":
        y = d / 2 + over
        own = [across([(-y, 0), (y, 0.55 * h), (y, 0.55 * h + thick), (-y, thick)], w + 2 * over)]
        walls = [across([(-d / 2, 0), (d / 2, 0), (d / 2, 0.5 * h)], 0.98 * w)]
    elif kind == "flat":
        own = [box(w + over, d + over, thick)]
        rim = [box(w + over, thick, thick).at(0, s * (d + over - thick) / 2, thick) for s in (-1, 1)]
        own += rim + [box(thick, d + over, thick).at(s * (w + over - thick) / 2, 0, thick) for s in (-1, 1)]
    else:
        raise ValueError(f"no roof is called {kind!r}")
    o.add([p.turned("z", angle).at(*place, z) for p in own], name, surface)
    if walls:
        o.add([p.turned("z", angle).at(*place, z) for p in walls], *wall)


def battlements(w: Real, d: Real, size: Real) -> list[Part]:
    """Merlons along the edges of walls w x d, standing on z = 0."""
    parts = []
    for length, depth, quarter in ((w, d, 0), (d, w, 1)):
        count = max(2, round(length / (2 * size)))
        step = (length - size) / count
        for k in range(count + 1 - quarter * 2):
            along = -(length - size) / 2 + (k + quarter) * step
            for side in (-1, 1):
                merlon = box(size, size, size).at(along, side * (depth - size) / 2)
                parts.append(merlon.turned("z", quarter * QUARTER))
    return parts


def round_battlements(r: Real, size: Real, count: int) -> list[Part]:
    """Merlons around a round tower, standing on z = 0."""
    return radial(box(size, size, size).at(r - size / 2), count)


def round_tower(o: Toy, x: Real, y: Real, r: Real, h: Real, name: str, top: str, cap: str, *, z: Real = 0.0) -> None:
    """A round tower with a head ("cone", "battlements", "dome") of material `cap`."""
    surface = None if name == "brick" else "stone"
    o.add(cone(r, h, 0.92 * r).at(x, y, z), name, surface)
    o.add(cylinder(1.15 * r, 0.25 * r).at(x, y, z + h - 0.1 * r), name, surface)
    if top == "battlements":
        merlons = round_battlements(1.15 * r, 0.38 * r, 8)
        o.add([m.at(x, y, z + h + 0.15 * r) for m in merlons], name, surface)
    elif top == "cone":
        o.add(cone(1.3 * r, o.between(1.5, 2.4) * r).at(x, y, z + h + 0.12 * r), cap, "tiles")
    else:
        o.add(dome(1.15 * r, 1.1 * r).at(x, y, z + h + 0.15 * r), cap)


def flag(o: Toy, x: Real, y: Real, z: Real, size: Real, colour: str) -> None:
    """A pole of height `size` with a flag."""
    o.add(cylinder(0.05 * size, size, 8).at(x, y, z), "dark metal")
    o.add(box(0.5 * size, 0.08 * size, 0.32 * size).at(x + 0.25 * size, y, z + 0.64 * size), colour)
