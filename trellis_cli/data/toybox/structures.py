"""Wells, bridges, fountains."""

from math import cos, pi, sin

from trellis_cli.data.toybox.architecture import (
    roof,
)
from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    beam,
    box,
    cone,
    cylinder,
    facing,
    lathe,
    radial,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def well(o: Toy) -> None:
    name = o.pick("stone", "stone", "brick", "dark stone")
    cover = o.pick("red", "brown", "thatch", "grey", "green", "blue")
    r, h = o.between(0.36, 0.46), o.between(0.34, 0.5)
    sides = o.pick(20, 8, 4)
    grow = 1.3 if sides == 4 else 1
    o.add(
        lathe([(0, 0), (r * grow, 0), (r * grow, h), (0.75 * r * grow, h), (0.75 * r * grow, 0.2), (0, 0.2)], sides),
        name,
    )
    o.add(
        lathe(
            [
                (0.72 * r * grow, h - 0.02),
                (1.08 * r * grow, h - 0.02),
                (1.08 * r * grow, h + 0.06),
                (0.72 * r * grow, h + 0.06),
                (0.72 * r * grow, h - 0.02),
            ],
            sides,
        ),
        "dark stone" if name != "dark stone" else "stone",
    )
    o.add(cylinder(0.76 * r * grow, 0.04, sides).at(z=0.6 * h), "water")
    tall, x = o.between(0.95, 1.25), 0.88 * r
    o.add([box(0.07, 0.07, tall).at(s * x) for s in (-1, 1)], "wood")
    o.add(rod((-x - 0.1, 0, 0.68 * tall), (x + 0.12, 0, 0.68 * tall), 0.045), "wood")
    o.add(cylinder(0.075, 0.3, 12).turned("y", QUARTER).at(-0.15, 0, 0.68 * tall), "straw")
    o.add(
        [
            beam((x + 0.12, 0, 0.68 * tall), (x + 0.12, -0.14, 0.62 * tall), 0.045),
            rod((x + 0.1, -0.14, 0.62 * tall), (x + 0.24, -0.14, 0.62 * tall), 0.03),
        ],
        "dark metal",
    )
    kind = o.pick("gabled", "gabled", "pyramid")
    roof(
        o,
        kind,
        2.3 * x,
        o.between(0.55, 0.8),
        tall - 0.02,
        o.between(0.25, 0.4),
        cover,
        ("wood", "planks"),
        surface="tiles" if cover != "thatch" else None,
        over=0.06,
        thick=0.06,
    )
    details = [f"a {cover if cover != 'thatch' else 'thatched'} roof"]
    if o.chance(0.7):
        z = o.between(0.4, 0.5) * tall
        o.add(rod((0, 0, z + 0.1), (0, 0, 0.68 * tall), 0.022, 6), "straw")
        o.add(cone(0.075, 0.15, 0.1, 14).at(z=z - 0.04), "wood", "boards")
        details.append("a bucket")
    o.describe(
        substance={"dark stone": "stone"}.get(name, name),
        style={4: "square", 8: "", 20: "round"}[sides],
        details=details,
        roof=cover,
        synonyms=("water well", "wishing well"),
    )


def bridge(o: Toy) -> None:
    kind = o.pick("arch", "arch", "plank", "suspension", "covered")
    length, w = o.between(1.6, 2.2), o.between(0.42, 0.6)
    if kind == "arch":
        name, n, rise = o.pick("stone", "brick", "sandstone", "dark stone"), o.whole(1, 3), o.between(0.1, 0.3)
        low, span = o.between(0.34, 0.5), length / n - 0.12
        curve = [(-length / 2 + length * k / 16, low + rise * sin(pi * k / 16) + 0.12) for k in range(17)]
        under = []
        for k in range(n):
            mid = (k - (n - 1) / 2) * length / n
            high = min(low - 0.02 + rise * sin(pi * (mid / length + 0.5)) * 0.85, low + rise)
            under += [(mid - 0.44 * span * cos(a), high * sin(a)) for a in (pi * j / 12 for j in range(13))]
        o.add(facing([(-length / 2, 0), *under, (length / 2, 0), *curve[::-1]], w), name)
        wall = [*curve, *[(x, z + 0.14) for x, z in curve[::-1]]]
        o.add([facing(wall, 0.07).at(0, s * (w / 2 - 0.02)) for s in (-1, 1)], name)
        o.add([box(0.12, 0.12, low + 0.4).at(sx * length / 2, sy * w / 2) for sx in (-1, 1) for sy in (-1, 1)], name)
        details, substance, colour = (
            [f"{ {1: 'one arch', 2: 'two arches', 3: 'three arches'}[n] }"],
            {"dark stone": "stone"}.get(name, name),
            "",
        )
    elif kind == "suspension":
        colour, substance, h = o.pick("red", "grey", "green", "white", "orange"), "", o.between(0.8, 1.1)
        deck, at = 0.3, 0.3 * length
        o.add(box(length, w, 0.07).at(z=deck), "concrete")
        for x in (-at, at):
            o.add([box(0.09, 0.09, h).at(x, s * w / 2) for s in (-1, 1)], colour)
            o.add([box(0.08, w, 0.08).at(x, 0, z) for z in (h - 0.1, 0.6 * h, deck - 0.06)], colour)
        for s in (-1, 1):
            y = s * w / 2
            sag = [(x, deck + 0.12 + (h - deck - 0.15) * (x / at) ** 2) for x in (at * (k / 5 - 1) for k in range(11))]
            o.add(
                [rod((x0, y, z0), (x1, y, z1), 0.028, 6) for (x0, z0), (x1, z1) in zip(sag, sag[1:], strict=False)],
                colour,
            )
            o.add([rod((t * at, y, h - 0.03), (t * length / 2, y, deck + 0.05), 0.028, 6) for t in (-1, 1)], colour)
            o.add([box(0.035, 0.035, z - deck).at(x, y, deck) for x, z in sag[1:-1:2]], colour)
            o.add(box(length, 0.05, 0.06).at(0, y, deck + 0.06), colour)
        details = ["two towers and cables"]
    else:
        colour, substance = ("", "wooden") if o.chance(0.6) else (o.pick("red", "white", "brown", "green"), "wooden")
        made = (colour, "planks") if colour else ("wood", "planks")
        rise, n = o.between(0.1, 0.4) if kind == "plank" else 0.0, 12
        z0 = 0.2
        curve = [(-length / 2 + length * k / n, z0 + rise * sin(pi * k / n)) for k in range(n + 1)]
        o.add(facing([*curve, *[(x, z + 0.07) for x, z in curve[::-1]]], w), *made)
        if kind == "plank":
            for s in (-1, 1):
                y = s * (w / 2 - 0.03)
                o.add([box(0.06, 0.06, 0.3).at(x, y, z) for x, z in curve[::2]], *made)
                o.add(
                    facing([(x, z + 0.28) for x, z in curve] + [(x, z + 0.34) for x, z in curve[::-1]], 0.06).at(0, y),
                    *made,
                )
            details = ["railings"]
        else:
            o.add([box(0.8 * length, 0.05, 0.28).at(0, s * w / 2, z0) for s in (-1, 1)], *made)
            o.add(
                [
                    box(0.07, 0.07, 0.6).at(x * 0.39 * length, s * w / 2, z0)
                    for s in (-1, 1)
                    for x in (-1, -0.33, 0.33, 1)
                ],
                *made,
            )
            cover = o.pick("red", "grey", "green") if colour not in ("red", "green") else "grey"
            roof(o, "gabled", 0.8 * length, w, z0 + 0.58, 0.28, cover, made, surface="tiles")
            details = [f"a {cover} roof"]
        o.add([box(0.1, w, z0 + 0.02).at(s * 0.46 * length) for s in (-1, 1)], "stone")
        o.add(
            [box(0.1, 0.8 * w, z0 + 0.02).at(s * 0.18 * length) for s in (-1, 1)]
            if kind == "covered"
            else [box(0.2, 1.1 * w, 0.2).at(s * 0.48 * length) for s in (-1, 1)],
            "stone",
        )
    o.describe(
        colour=colour,
        substance=substance,
        style={"suspension": "suspension", "covered": "covered"}.get(kind, ""),
        size="long" if length > 2 else "",
        details=details,
        kind=kind,
        synonyms=("footbridge",) if kind == "plank" else (),
    )


def fountain(o: Toy) -> None:
    name, r = o.pick("stone", "white", "sandstone", "dark stone"), o.between(0.5, 0.65)
    sides, tiers = o.pick(24, 24, 8, 6), o.whole(1, 3)
    bowl = [(0, 0), (1, 0), (1, 0.2), (0.88, 0.2), (0.86, 0.1), (0, 0.1)]
    o.add(lathe([(a * r, z) for a, z in bowl], sides), name)
    o.add(cylinder(0.88 * r, 0.06, sides).at(z=0.1), "water")
    z, s = 0.08, r
    for _ in range(tiers):
        s *= o.between(0.5, 0.66)
        h = o.between(0.26, 0.4)
        o.add(lathe([(0, 0), (0.3 * s, 0), (0.2 * s + 0.02, 0.5 * h), (0.25 * s, h), (0, h)], 14).at(z=z), name)
        o.add(lathe([(0, 0), (0.3 * s, 0), (s, 0.11), (s, 0.15), (0.85 * s, 0.15), (0, 0.06)], 20).at(z=z + h), name)
        o.add(cylinder(0.86 * s, 0.03, 20).at(z=z + h + 0.1), "water")
        z += h + 0.1
    top = o.pick("ball", "jet", "statue")
    if top == "ball":
        o.add([cylinder(0.05, 0.16, 10).at(z=z - 0.02), ball(0.1).at(z=z + 0.18)], name)
    elif top == "jet":
        o.add(lathe([(0, 0), (0.05, 0), (0.04, 0.24), (0.1, 0.3), (0, 0.33)], 12).at(z=z - 0.02), "glass")
        o.add(radial(ball(0.05, sides=8, levels=6).at(0.14, 0, z + 0.2), 5), "glass")
    else:
        o.add(
            [
                cone(0.1, 0.28, 0.05).at(z=z - 0.02),
                ball(0.08).at(z=z + 0.32),
                rod((-0.05, 0, z + 0.2), (-0.2, 0, z + 0.3), 0.035),
                rod((0.05, 0, z + 0.2), (0.2, 0, z + 0.3), 0.035),
            ],
            name,
        )
    word = {"dark stone": "stone"}.get(name, name)
    o.describe(
        colour="white" if word == "white" else "",
        substance=word if word != "white" else "",
        details=["blue water", f"{ {1: 'one basin', 2: 'two basins', 3: 'three basins'}[tiers] }"],
        top=top,
        synonyms=("water fountain",),
    )


BUILDERS = {
    "well": well,
    "bridge": bridge,
    "fountain": fountain,
}
