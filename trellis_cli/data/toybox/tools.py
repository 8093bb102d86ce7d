"""Hammers, swords, axes, standing on their handles."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    box,
    cone,
    cylinder,
    disc,
    facing,
    lathe,
    ring,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def hammer(o: Toy) -> None:
    kind, wood = (
        o.pick("claw", "claw", "mallet", "sledge"),
        o.pick("wood", "pale wood", "red", "yellow", "blue", "black"),
    )
    h, r, big = o.between(0.65, 1.3), o.between(0.035, 0.055), o.between(0.85, 1.35)
    o.add(
        lathe([(0, 0), (1.25 * r, 0), (1.35 * r, 0.25 * h), (r, 0.4 * h), (r, h), (0, h)], 14).scaled(1.25, 1, 1), wood
    )
    o.add(cylinder(1.6 * r, 0.05, 14).scaled(1.2, 1, 1), "dark wood" if wood != "black" else "red")
    grip = o.chance(0.5)
    if grip:
        o.add(
            lathe([(0, 0.06), (1.6 * r, 0.06), (1.5 * r, 0.3 * h), (0, 0.3 * h)], 14).scaled(1.25, 1, 1),
            o.pick("black", "red", "blue") if wood not in ("black", "red", "blue") else "rubber",
        )
    z, w = h - 0.02, o.between(0.34, 0.5)
    head = (
        "wood"
        if kind == "mallet" and wood != "wood"
        else "dark wood"
        if kind == "mallet"
        else o.pick("metal", "metal", "dark metal")
    )
    before = len(o.pieces())
    if kind == "claw":
        o.add(box(0.16, 0.14, 0.18, 0.02).at(0, 0, z - 0.1), head)
        o.add(
            [
                cylinder(0.055, 0.12, 14).turned("y", QUARTER).at(0.06, 0, z),
                cylinder(0.085, 0.1, 16).turned("y", QUARTER).at(0.16, 0, z),
            ],
            head,
        )
        for s in (-1, 1):
            o.add(
                tube(
                    [
                        (-0.04, s * 0.03, z + 0.01),
                        (-0.16, s * 0.045, z + 0.02),
                        (-0.26, s * 0.06, z - 0.03),
                        (-0.33, s * 0.07, z - 0.12),
                    ],
                    [0.06, 0.05, 0.04, 0.028],
                    8,
                ),
                head,
            )
    elif kind == "mallet":
        o.add(
            o.pick(
                box(w, 0.22, 0.26, 0.03).at(z=z - 0.14), cylinder(0.14, w, 20).turned("y", QUARTER).at(-w / 2, 0, z)
            ),
            head,
        )
        o.add(
            [cylinder(0.15, 0.05, 20).turned("y", QUARTER).at(s * 0.36 * w - 0.025, 0, z) for s in (-1, 1)],
            "dark metal",
        )
    else:
        o.add(box(0.72 * w, 0.2, 0.2, 0.04).at(z=z - 0.1), head)
        o.add([cylinder(0.1, 0.08, 8).turned("y", QUARTER).at(s * 0.4 * w - 0.04, 0, z) for s in (-1, 1)], head)
    parts = o.pieces()
    o.clear()
    for k, (part, own) in enumerate(parts):
        o.add(part if k < before else part.at(z=-z).scaled(big, big, big).at(z=z), *own)
    o.add(box(0.1, 0.08, 0.1).at(0, 0, z + 0.03), wood)
    word = {"wood": "wooden", "pale wood": "wooden"}.get(wood, wood)
    o.describe(
        style="sledge" if kind == "sledge" else "",
        substance="wooden" if kind == "mallet" else "",
        details=[f"a {word} handle", "a metal head" if kind != "mallet" else "a wooden head"],
        size="long" if h > 1.1 else "",
        kind=kind,
        grip=str(grip),
        synonyms=("mallet", "wooden mallet")
        if kind == "mallet"
        else ("claw hammer",)
        if kind == "claw"
        else ("sledgehammer",),
    )


def sword(o: Toy) -> None:
    blade, length, w = o.pick("metal", "metal", "dark metal", "gold"), o.between(0.8, 1.2), o.between(0.1, 0.16)
    grip, gem = o.pick("brown", "black", "red", "blue", "green"), o.pick("red", "blue", "green", "purple")
    hilt = o.pick("gold", "gold", "metal", "copper") if blade != "gold" else "metal"
    kind, g = o.pick("straight", "straight", "broad", "curved"), o.between(0.22, 0.3)
    w *= 1.4 if kind == "broad" else 1
    z = g + 0.14
    if kind == "curved":
        spine = [(0.16 * (k / 8) ** 2, z + length * k / 8) for k in range(9)]
        outline = [(x - w / 2, y) for x, y in spine] + [
            (x + w / 2 * (1 if y < z + 0.9 * length else 0.2), y) for x, y in spine[::-1]
        ]
        o.add(facing(outline, 0.07), blade)
        ridge = [(x - 0.02, y) for x, y in spine[:7]] + [(x + 0.03, y) for x, y in spine[6::-1]]
        o.add(facing(ridge, 0.09), blade)
    else:
        tip = o.between(0.12, 0.24)
        o.add(
            facing(
                [(-w / 2, z), (w / 2, z), (0.42 * w, z + length - tip), (0, z + length), (-0.42 * w, z + length - tip)],
                0.06,
            ),
            blade,
        )
        o.add(
            facing([(-0.15 * w, z), (0.15 * w, z), (0, z + 0.75 * length)], 0.09),
            "dark metal" if blade != "dark metal" else "metal",
        )
    o.add(cylinder(0.045, g + 0.04, 12).at(z=0.08), grip)
    o.add([ring(0.045, 0.022, 12).at(z=0.1 + g * f) for f in (0.25, 0.5, 0.75)], hilt)
    o.add(o.pick(ball(0.075), disc(0.085, 0.08, 16), box(0.12, 0.12, 0.12, 0.03).at(z=-0.06)).at(z=0.07), hilt)
    guard, reach = o.pick("bar", "bar", "curved", "round"), o.between(0.17, 0.28)
    if guard == "bar":
        o.add(box(2 * reach, 0.09, 0.08, 0.02).at(z=g + 0.1), hilt)
        o.add([ball(0.055, sides=10, levels=8).at(s * reach, 0, g + 0.14) for s in (-1, 1)], hilt)
    elif guard == "curved":
        bend = o.pick(-1, 1) * 0.12
        o.add(tube([(s * reach, 0, g + 0.13 + bend * s * s) for s in (-1, -0.7, -0.35, 0, 0.35, 0.7, 1)], 0.045), hilt)
    else:
        o.add(lathe([(0, 0), (0.7 * reach, 0.02), (0.72 * reach, 0.06), (0, 0.08)], 18).at(z=g + 0.09), hilt)
    o.add(ball(0.05, 0.07, 0.05, 10, 6).at(0, -0.02, g + 0.14), gem)
    word = {"metal": "metal", "dark metal": "metal", "gold": "golden"}[blade]
    o.describe(
        substance=word,
        style="curved" if kind == "curved" else "broad" if kind == "broad" else "",
        size="long" if length > 1.05 else "short" if length < 0.9 else "",
        details=[f"a {grip} grip", f"a {'golden' if hilt == 'gold' else hilt} guard", f"a {gem} gem"],
        kind=kind,
        guard=guard,
        synonyms=("blade", "knight's sword"),
    )


def axe(o: Toy) -> None:
    wood, h, r = o.pick("wood", "dark wood", "pale wood", "red", "blue"), o.between(0.9, 1.25), o.between(0.04, 0.052)
    bend = o.between(0.0, 0.1)
    o.add(tube([(bend * sin(pi * k / 6), 0, h * k / 6) for k in range(7)], [1.3 * r, *[r] * 6], 12), wood)
    o.add(ball(1.5 * r, sides=10, levels=8).at(0, 0, r), wood)
    blade, double = o.pick("metal", "metal", "dark metal"), o.chance(0.3)
    reach, tall, z = o.between(0.26, 0.4), o.between(0.3, 0.5), h - 0.14
    for s in (-1, 1) if double else (-1,):
        arc = [(s * (reach + 0.07 * cos(a)), 0.5 * tall * sin(a)) for a in (pi * (k / 8 - 0.5) for k in range(9))]
        o.add(facing([(0, -0.08), *arc, (0, 0.08)], 0.08).at(0, 0, z), blade)
        o.add(
            facing([(0.9 * x, y) for x, y in arc] + [(1.03 * x, 1.02 * y) for x, y in arc[::-1]], 0.05).at(0, 0, z),
            "metal" if blade == "dark metal" else "white",
        )
    o.add(box(0.15, 0.13, 0.2, 0.02).at(0, 0, z - 0.1), blade)
    if not double:
        o.add(box(0.14, 0.11, 0.14).at(0.1, 0, z - 0.07), blade)
    o.add([ring(1.3 * r, 0.025, 12).at(bend * 0.5, 0, 0.2 + 0.07 * k) for k in range(o.whole(1, 3))], "dark metal")
    o.add(cone(0.05, 0.1, 0.01, 8).at(0, 0, h - 0.03), blade)
    word = wood if wood in ("red", "blue") else "wooden"
    o.describe(
        style="double" if double else "",
        size="long" if h > 1.12 else "",
        details=[f"a {word} handle", "a metal blade"],
        double=str(double),
        handle=word,
        synonyms=("hatchet", "battle axe") if double else ("hatchet",),
    )


BUILDERS = {
    "hammer": hammer,
    "sword": sword,
    "axe": axe,
}
