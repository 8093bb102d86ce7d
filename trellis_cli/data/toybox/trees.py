"""Pine trees, oak trees, palm trees."""

from math import cos, pi, sin

import numpy as np

from trellis_cli.data.toybox.parts import (
    Pair,
    Part,
    Real,
    ball,
    blob,
    cone,
    lathe,
    loft,
    radial,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def _ground(o: Toy, r: Real) -> None:
    """Sometimes a patch of grass to stand on."""
    if o.chance(0.3):
        o.add(lathe([(0, 0), (r, 0), (0.85 * r, 0.05), (0, 0.07)], 16), "grass")


def _trunk(o: Toy, r: Real, h: Real, lean: Real = 0.0, name: str = "bark") -> Pair:
    """A trunk with a flared foot and roots; returns where its top is, (x, z)."""
    a = o.between(0, 2 * pi)
    points = [(lean * (k / 4) ** 2 * cos(a), lean * (k / 4) ** 2 * sin(a), h * k / 4) for k in range(5)]
    o.add(tube(points, [1.35 * r, 1.05 * r, 0.95 * r, 0.85 * r, 0.8 * r], 10), name)
    o.add(
        radial(rod((0.7 * r, 0, 0.9 * r), (2.0 * r, 0, 0.15 * r), 0.5 * r, 6, 0.3 * r), o.whole(3, 5), o.between(0, 1)),
        name,
    )
    return points[-1][0], points[-1][1]


def pine_tree(o: Toy) -> None:
    h, r = o.between(1.2, 1.9), o.between(0.34, 0.56)
    snowy = o.chance(0.15)
    green = o.pick("needles", "needles", "green")
    stem, tiers = o.between(0.14, 0.34) * h, o.whole(3, 6)
    _trunk(o, o.between(0.05, 0.08), stem + 0.2 * h)
    _ground(o, 0.7 * r)
    sides, style = o.pick(8, 12, 16), o.pick("skirts", "skirts", "smooth", "ragged")
    body, overlap = h - stem, o.between(0.35, 0.6)
    step = body / (tiers + overlap)
    for k in range(tiers):
        s = 1 - k / tiers
        wide, z = r * (0.3 + 0.7 * s) * (0.97 if k else 1), stem + k * step
        tall = step * (1 + overlap) * 1.05
        if style == "skirts":
            part = lathe(
                [(0, 0.08), (0.9 * wide, -0.02), (wide, 0.02), (0.45 * wide, 0.5 * tall), (0.02, tall), (0, tall)],
                sides,
            )
        elif style == "smooth":
            part = cone(wide, tall, 0.02, sides)
        else:
            part = cone(wide, tall, 0.02, 14)
            v = part.vertices.copy()
            v[:14:2, :2] *= 0.74  # every other corner of the rim drawn in: points like branches
            v[:14:2, 2] += 0.06
            part = Part(v, part.faces)
        o.add(part.turned("z", o.between(0, pi)).at(z=z), green, "leaves")
        if snowy:
            o.add(cone(0.62 * wide, 0.66 * tall, 0.02, sides).at(z=z + 0.38 * tall), "snow")
    details = ["snow" if snowy else "", "a brown trunk"]
    if o.chance(0.12):
        o.add(ball(0.07).at(z=stem + body + 0.03), "yellow")
        spots = [(o.between(0, 2 * pi), o.between(0.1, 0.75)) for _ in range(9)]
        for a, share in spots:
            reach = r * (1 - share) * 0.82
            o.add(
                ball(0.05, sides=8, levels=6).at(reach * cos(a), reach * sin(a), stem + share * body),
                o.pick("red", "yellow", "blue"),
            )
        details.insert(0, "colourful baubles")
    o.describe(
        colour="green",
        size="tall" if h > 1.65 else "small" if h < 1.4 else "",
        details=details,
        style="snowy" if snowy else "",
        form=style,
        tiers=str(tiers),
        synonyms=("fir tree", "conifer", "evergreen tree", "spruce"),
    )


def oak_tree(o: Toy) -> None:
    word = o.pick("green", "green", "green", "orange", "yellow", "red", "pink")
    name = {"green": o.pick("leaves", "green"), "orange": "autumn leaves"}.get(word, word)
    h, lean = o.between(0.4, 0.75), o.between(0.0, 0.14)
    x, y = _trunk(o, o.between(0.07, 0.11), h + 0.15, lean)
    _ground(o, 0.4)
    spread, count, form = o.between(0.36, 0.5), o.whole(4, 8), o.pick("clumps", "clumps", "ball", "tall")
    if form == "ball":
        o.add(
            blob(spread, spread, o.between(0.8, 1.1) * spread, o.rng, 0.16).at(x, y, h + 0.8 * spread), name, "leaves"
        )
        count = o.whole(2, 4)
    elif form == "tall":
        o.add(blob(0.75 * spread, 0.75 * spread, 1.5 * spread, o.rng, 0.12).at(x, y, h + 1.2 * spread), name, "leaves")
        count = o.whole(2, 4)
    else:
        o.add(blob(0.7 * spread, 0.7 * spread, 0.65 * spread, o.rng).at(x, y, h + 1.0 * spread), name, "leaves")
    turn = o.between(0, 2 * pi)
    for k in range(count):
        a, s = turn + 2 * pi * k / count + o.between(-0.2, 0.2), spread * o.between(0.42, 0.62)
        out, z = spread * o.between(0.5, 0.8) * (0.7 if form == "tall" else 1), h + spread * o.between(0.35, 1.1)
        o.add(blob(s, s, 0.85 * s, o.rng).at(x + out * cos(a), y + out * sin(a), z), name, "leaves")
        if k < 3:
            o.add(rod((x, y, 0.7 * h), (x + 0.6 * out * cos(a), y + 0.6 * out * sin(a), z - 0.2 * s), 0.045, 6), "bark")
    details = ["a brown trunk"]
    if word == "green" and o.chance(0.3):
        fruit = o.pick("red", "orange", "yellow")
        for _ in range(14):
            a, t = o.between(0, 2 * pi), o.between(-0.7, 0.9)
            q = (1 - t * t) ** 0.5 * spread
            o.add(ball(0.06, sides=8, levels=6).at(x + q * cos(a), y + q * sin(a), h + spread * (0.8 + 0.8 * t)), fruit)
        details.append(f"{fruit} fruit")
    o.describe(
        colour=word,
        style="autumn" if word in ("orange", "yellow", "red") else "blossoming" if word == "pink" else "leafy",
        size="large" if spread > 0.46 else "",
        details=details,
        form=form,
        synonyms=("tree", "leafy tree", "broadleaf tree"),
    )


def palm_tree(o: Toy) -> None:
    h, bend, r = o.between(0.9, 1.5), o.between(0.0, 0.4), o.between(0.06, 0.08)
    a = o.between(0, 2 * pi)
    top = (bend * cos(a), bend * sin(a), h)
    points = [(top[0] * (k / 7) ** 2, top[1] * (k / 7) ** 2, h * k / 7) for k in range(8)]
    o.add(tube(points, [1.5 * r, *[r * (1.12 if k % 2 else 0.95) for k in range(7)]], 10), "wood", "bark")
    fronds, reach, droop = o.whole(6, 9), o.between(0.45, 0.65), o.between(0.2, 0.5)
    green = o.pick("green", "leaves", "grass")
    for k in range(fronds):
        rings = []
        for s in (0.0, 0.3, 0.6, 0.85, 1.0):
            half = 0.13 * (0.35 + 1.5 * s * (1 - s) * 1.6) * (1 if s < 1 else 0.3)
            z = 0.28 * sin(pi * min(1, s * 1.1)) * 0.8 - droop * s * s
            rings.append(
                [
                    (s * reach, -half, z - 0.07),
                    (s * reach, 0, z),
                    (s * reach, half, z - 0.07),
                    (s * reach, half, z - 0.12),
                    (s * reach, 0, z - 0.055),
                    (s * reach, -half, z - 0.12),
                ]
            )
        frond = loft(np.array(rings)).turned("z", 2 * pi * k / fronds + o.between(-0.15, 0.15))
        o.add(frond.at(*top), green, "leaves")
    o.add(ball(0.1).at(*top), green, "leaves")
    details = []
    if o.chance(0.6):
        fruit = o.pick("brown", "brown", "yellow", "green")
        o.add(
            [p.at(top[0], top[1], top[2] - 0.1) for p in radial(ball(0.07, sides=10, levels=8).at(0.1), o.whole(2, 4))],
            fruit,
        )
        details.append(f"{fruit} coconuts")
    if o.chance(0.35):
        o.add(lathe([(0, 0), (0.5, 0), (0.3, 0.07), (0, 0.1)], 18), "sandstone", "noise")
        details.append("a sandy island")
    o.describe(
        colour="green",
        size="tall" if h > 1.25 else "",
        details=details,
        style="bent" if bend > 0.22 else "",
        fronds=str(fronds),
        synonyms=("coconut tree", "palm"),
    )


BUILDERS = {
    "pine tree": pine_tree,
    "oak tree": oak_tree,
    "palm tree": palm_tree,
}
