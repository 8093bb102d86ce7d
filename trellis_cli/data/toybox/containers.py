"""Baskets, buckets, barrels, crates."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    beam,
    box,
    cylinder,
    dome,
    frustum,
    lathe,
    ring,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def basket(o: Toy) -> None:
    r, h, oval = o.between(0.38, 0.5), o.between(0.3, 0.46), o.between(0.65, 1.0)
    made = o.pick(("straw", "weave"), ("wood", "weave"), ("brown", "weave"))
    sides = o.pick(24, 4)
    grow = 1.25 if sides == 4 else 1.0
    out = o.between(0.72, 0.95)
    body = lathe(
        [(0, 0), (out * r * grow, 0), (r * grow, h), (r * grow - 0.06, h), (out * r * grow - 0.05, 0.08), (0, 0.08)],
        sides,
    )
    o.add(body.scaled(1, oval, 1), *made)
    o.add(ring(r * grow - 0.03, 0.045, sides).scaled(1, oval, 1).at(z=h), *made)
    o.add(ring(0.5 * (1 + out) * r * grow - 0.01, 0.035, sides).scaled(1, oval, 1).at(z=0.5 * h), "dark wood")
    rise = o.between(0.35, 0.55)
    x = (r - 0.03) * (grow if sides != 4 else 0.88)
    if o.chance(0.75):
        arc = [(x * cos(a), 0, h + rise * sin(a)) for a in (pi * k / 12 for k in range(13))]
        o.add(tube(arc, 0.04), *made)
        handle = "a tall handle"
    else:
        for s in (-1, 1):
            o.add(ring(0.12, 0.035, 14).turned("x", QUARTER).turned("z", QUARTER).at(s * x, 0, h + 0.06), *made)
        handle = "two handles"
    full = o.pick("apples", "eggs", "flowers", "bread", "oranges")
    colour = {
        "apples": "red",
        "eggs": "white",
        "oranges": "orange",
        "bread": "pale wood",
        "flowers": o.pick("pink", "yellow", "purple"),
    }[full]
    n, s = o.whole(5, 7), {"eggs": 0.1, "bread": 0.1}.get(full, 0.13)
    for k in range(n):
        a = 2 * pi * k / n
        piece = ball(s, 1.9 * s, 0.9 * s, 12, 8).turned("z", a) if full == "bread" else ball(s, s, s, 12, 8)
        o.add(piece.at(0.55 * r * cos(a), 0.55 * r * oval * sin(a), h - 0.02), colour)
    o.add(ball(1.2 * s, sides=12, levels=8).at(0, 0, h + 0.06), colour)
    o.add(cylinder(0.9 * r, 0.04, 20).scaled(1, oval, 1).at(z=h - 0.12), *made)
    word = f"{colour} flowers" if full == "flowers" else full
    o.describe(
        colour="brown" if made[0] == "brown" else "",
        substance="wicker",
        style="square" if sides == 4 else "round" if oval > 0.9 else "oval",
        details=[word, handle],
        full=full,
        synonyms=("wicker basket", "picnic basket"),
    )


def bucket(o: Toy) -> None:
    word = o.pick("metal", "wooden", "red", "blue", "green", "yellow", "orange", "pink", "white")
    made = {"metal": ("metal", None), "wooden": ("wood", "boards")}.get(word, (word, None))
    r, h, foot = o.between(0.32, 0.42), o.between(0.5, 0.75), o.between(0.66, 0.86)
    o.add(lathe([(0, 0), (foot * r, 0), (r, h), (r - 0.06, h), (foot * r - 0.05, 0.08), (0, 0.08)], 24), *made)
    band = "dark metal" if word in ("wooden", "metal") else word
    for z in o.pick((0.96,), (0.96, 0.3), (0.96, 0.5), (0.96, 0.2, 0.6)):
        o.add(ring((foot + (1 - foot) * z) * r, 0.035, 24).at(z=z * h), band)
    drop = o.chance(0.4)
    arc = [(1.03 * r * cos(a), -0.0, 0.45 * sin(a)) for a in (pi * k / 12 for k in range(13))]
    grip = "dark wood" if o.chance(0.5) else "black"
    angle = o.between(1.25, 1.5) if drop else o.between(-0.2, 0.2)
    o.add(tube(arc, 0.035).turned("x", angle).at(z=h - 0.03), "dark metal")
    o.add(rod((-0.12, 0, 0.45), (0.12, 0, 0.45), 0.055, 10).turned("x", angle).at(z=h - 0.03), grip)
    o.add([ball(0.06, sides=8, levels=6).at(s * 1.03 * r, 0, h - 0.03) for s in (-1, 1)], "dark metal")
    full, z = o.pick("water", "sand", "none", "none"), 0.8 * h
    if full != "none":
        o.add(
            cylinder((foot + (1 - foot) * 0.8) * r - 0.05, 0.05, 24).at(z=z),
            "water" if full == "water" else "sandstone",
            None if full == "water" else "noise",
        )
    if full == "sand":
        o.add(dome(0.75 * r, 0.2).at(z=z + 0.02), "sandstone", "noise")
    colour, substance = ("", word) if word in ("metal", "wooden") else (word, "")
    o.describe(
        colour=colour,
        substance=substance,
        details=["a handle", full if full != "none" else ""],
        full=full,
        size="tall" if h > 1.75 * r else "",
        synonyms=("pail",),
    )


def barrel(o: Toy) -> None:
    word = o.pick("wooden", "wooden", "wooden", "blue", "red", "green", "brown", "black", "yellow")
    h, r, bulge = o.between(0.8, 1.15), o.between(0.3, 0.42), o.between(1.05, 1.3)
    made = (o.pick("wood", "dark wood", "pale wood"), "boards") if word == "wooden" else (word, None)
    curve = [(1 + (bulge - 1) * sin(pi * k / 8), k / 8) for k in range(9)]
    o.add(
        lathe(
            [
                (0, 0.04),
                (0.9 * r, 0.04),
                (0.9 * r, 0),
                *((a * r, z * h) for a, z in curve),
                (0.9 * r, h),
                (0.9 * r, h - 0.05),
                (0, h - 0.05),
            ],
            20,
        ),
        *made,
    )
    hoop = o.pick("dark metal", "metal", "gold") if word != "black" else "metal"
    for z in o.pick((0.12, 0.88), (0.08, 0.3, 0.7, 0.92), (0.15, 0.5, 0.85), (0.06, 0.22, 0.78, 0.94)):
        wide = (1 + (bulge - 1) * sin(pi * z)) * r * 1.035
        o.add(
            lathe(
                [
                    (0.8 * wide, z * h - 0.035),
                    (wide, z * h - 0.035),
                    (wide, z * h + 0.035),
                    (0.8 * wide, z * h + 0.035),
                    (0.8 * wide, z * h - 0.035),
                ],
                20,
            ),
            hoop,
        )
    o.add([ring(0.93 * r, 0.03, 20).at(z=z) for z in (0.02, h - 0.01)], *made)
    lying = o.chance(0.3)
    details = ["metal hoops" if hoop != "gold" else "golden hoops"]
    if lying:
        parts = o.pieces()
        o.clear()
        for part, own in parts:
            o.add(part.turned("x", QUARTER).at(0, h / 2, r * bulge + 0.1), *own)
        o.add([box(1.8 * r, 0.1, 0.16).at(0, s * 0.3 * h) for s in (-1, 1)], "dark wood")
        o.add(
            [frustum(0.24, 0.1, 0.05, 0.1, 0.24).at(t * 0.75 * r, s * 0.3 * h, 0.12) for s in (-1, 1) for t in (-1, 1)],
            "dark wood",
        )
        o.add(
            [
                rod((0, -h / 2 + 0.02, 0.4 * r + 0.1), (0, -h / 2 - 0.16, 0.4 * r + 0.1), 0.045, 8),
                box(0.05, 0.05, 0.16).at(0, -h / 2 - 0.1, 0.4 * r + 0.1),
            ],
            "gold",
        )
        details.append("a tap")
    elif o.chance(0.4):
        o.add(
            [cylinder(0.88 * r, 0.05, 20).at(z=h - 0.03), rod((-0.12, 0, h + 0.07), (0.12, 0, h + 0.07), 0.035, 8)],
            "dark wood",
        )
        details.append("a lid")
    else:
        o.add(cylinder(0.09, 0.06, 12).at(0.3 * r, 0, h - 0.05), "black")
    colour, substance = ("", "wooden") if word == "wooden" else (word, "")
    o.describe(
        colour=colour,
        substance=substance,
        style="lying" if lying else "",
        details=details,
        synonyms=("cask", "keg"),
        hoops=hoop,
    )


def crate(o: Toy) -> None:
    w, d, h = o.between(0.6, 1.1), o.between(0.6, 0.9), o.between(0.45, 0.9)
    word = o.pick("wooden", "wooden", "wooden", "red", "blue", "green", "yellow")
    made = (o.pick("wood", "pale wood", "dark wood"), "planks") if word == "wooden" else (word, "planks")
    edge = made if o.chance(0.5) else ("dark wood" if made[0] != "dark wood" else "pale wood", None)
    t, open_top = o.between(0.06, 0.09), o.chance(0.35)
    if open_top:
        wall = [box(w, 0.06, h).at(0, s * (d / 2 - 0.03)) for s in (-1, 1)] + [
            box(0.06, d, h).at(s * (w / 2 - 0.03)) for s in (-1, 1)
        ]
        o.add([*wall, box(w, d, 0.06)], *made)
    else:
        o.add(box(w, d, h), *made)
    x, y = w / 2, d / 2
    o.add([box(t, t, h + 0.04).at(sx * x, sy * y, -0.02) for sx in (-1, 1) for sy in (-1, 1)], *edge)
    for z in (0.0, h):
        o.add(
            [beam((-x, s * y, z), (x, s * y, z), t) for s in (-1, 1)]
            + [beam((s * x, -y, z), (s * x, y, z), t) for s in (-1, 1)],
            *edge,
        )
    style = o.pick("cross", "diagonal", "slats", "plain")
    for s in (-1, 1):
        if style in ("cross", "diagonal"):
            o.add(beam((-x, s * y, 0), (x, s * y, h), 0.9 * t), *edge)
            o.add(beam((s * x, -y, 0), (s * x, y, h), 0.9 * t), *edge)
        if style == "cross":
            o.add(beam((x, s * y, 0), (-x, s * y, h), 0.9 * t), *edge)
            o.add(beam((s * x, y, 0), (s * x, -y, h), 0.9 * t), *edge)
        if style == "slats":
            o.add(
                [box(w, 0.05, 0.09).at(0, s * (y + 0.01), f * h) for f in (0.3, 0.6)]
                + [box(0.05, d, 0.09).at(s * (x + 0.01), 0, f * h) for f in (0.3, 0.6)],
                *edge,
            )
    details = [{"cross": "crossed braces", "diagonal": "diagonal braces", "slats": "slats", "plain": ""}[style]]
    if open_top:
        full, colour = o.pick(("apples", "red"), ("oranges", "orange"), ("bottles", "green"), ("lemons", "yellow"))
        for i in range(4):
            for j in range(3):
                px, py = (i - 1.5) * 0.21 * w, (j - 1) * 0.27 * d
                o.add(
                    cylinder(0.06, h * 0.95, 8).at(px, py, 0.2 * h)
                    if full == "bottles"
                    else ball(0.12 * w, 0.14 * d, 0.1, 10, 6).at(px, py, h - 0.06),
                    colour,
                )
        o.add(box(w - 0.06, d - 0.06, 0.04).at(z=h - 0.16), *made)
        details.insert(0, full)
    elif o.chance(0.3):
        s = 0.6
        o.add(box(w * s, d * s, h * s).turned("z", o.between(-0.5, 0.5)).at(0, 0, h + t / 2 - 0.01), *made)
        details.append("a smaller crate on top")
    colour, substance = ("", "wooden") if word == "wooden" else (word, "wooden")
    o.describe(
        colour=colour,
        substance=substance,
        size="large" if w > 1.0 else "",
        details=details,
        braces=style,
        synonyms=("box", "wooden box", "wooden crate"),
    )


BUILDERS = {
    "basket": basket,
    "bucket": bucket,
    "barrel": barrel,
    "crate": crate,
}
