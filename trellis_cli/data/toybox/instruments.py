"""Pianos and guitars, their players' side towards -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.joinery import legs
from trellis_cli.data.toybox.parts import (
    box,
    disc,
    facing,
    lathe,
    prism,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def piano(o: Toy) -> None:
    colour, made = o.pick(
        ("black", ("black", None)),
        ("black", ("black", None)),
        ("brown", ("dark wood", None)),
        ("white", ("white", None)),
        ("red", ("red", None)),
        ("", ("wood", None)),
    )
    grand, w = o.chance(0.45), o.between(1.2, 1.5)
    keys = 10
    if grand:
        length, z, t = o.between(1.2, 1.8), 0.56, 0.24
        x = w / 2
        side = [
            (-x, 0.0),
            (x, 0.0),
            (x, 0.45 * length),
            (0.72 * x, 0.62 * length),
            (0.3 * x, 0.72 * length),
            (0.05 * x, 0.9 * length),
            (-0.3 * x, length),
            (-0.75 * x, length),
            (-x, 0.9 * length),
        ]
        o.add(prism(side, t).at(z=z), *made)
        angle = o.between(0.5, 0.9) if o.chance(0.7) else 0.0
        lid = prism([(px + x, py) for px, py in side], 0.05).turned("y", -angle).at(-x, 0, z + t)
        o.add(lid, *made)
        if angle:
            o.add(
                rod(
                    (0.5 * x, 0.3 * length, z + t - 0.02),
                    (-x + 1.45 * x * cos(angle), 0.3 * length, z + t + 1.45 * x * sin(angle)),
                    0.03,
                    6,
                ),
                "gold",
            )
        o.add(
            [
                lathe([(0, 0), (0.05, 0), (0.06, 0.3), (0.09, z), (0, z)], 12).at(px, py)
                for px, py in ((-0.85 * x, 0.1), (0.85 * x, 0.1), (-0.5 * x, 0.85 * length))
            ],
            *made,
        )
        front, level = 0.0, z + 0.08
        o.add([box(0.08, 0.28, t + 0.02).at(s * (x - 0.04), -0.13, z) for s in (-1, 1)], *made)
    else:
        h, d = o.between(0.95, 1.3), o.between(0.36, 0.46)
        z = 0.56
        o.add([box(w, d, h).at(0, d / 2), box(w + 0.06, d + 0.06, 0.06).at(0, d / 2, h)], *made)
        o.add([box(0.08, 0.34, z + 0.2).at(s * (w / 2 - 0.04), -0.14) for s in (-1, 1)], *made)
        o.add(box(0.5 * w, 0.05, 0.26).turned("x", -0.25).at(0, -0.02, h - 0.38), *made)
        front, level = 0.0, z + 0.06
    o.add(box(w, 0.32, 0.09).at(0, front - 0.14, z), *made)
    o.add(box(w - 0.18, 0.25, 0.05).at(0, front - 0.15, level), "white" if colour != "white" else "cream")
    pitch = (w - 0.2) / keys
    o.add(
        [
            box(0.5 * pitch, 0.15, 0.05).at((k + 0.5 - keys / 2) * pitch, front - 0.09, level + 0.04)
            for k in range(keys)
            if k % 7 not in (2, 6)
        ],
        "black" if colour != "black" else "dark metal",
    )
    o.add(
        [box(0.05, 0.12, 0.04).at(k * 0.1, front - 0.1 if not grand else 0.18, 0.06) for k in (-1, 0, 1)]
        + ([box(0.3, 0.08, z).at(0, 0.24)] if grand else []),
        "gold",
    )
    details = ["black and white keys"]
    if o.chance(0.5):
        y = front - 0.62
        o.add([p.at(0, y) for p in legs(o, 0.56, 0.3, 0.38, o.pick("square", "tapered", "round"), 0.06)], *made)
        o.add(box(0.6, 0.34, 0.09, 0.02).at(0, y, 0.36), seat := o.pick("red", "black", "brown"))
        details.append(f"a {seat} stool")
    o.describe(
        colour=colour,
        substance="wooden" if not colour else "",
        style="grand" if grand else "upright",
        details=details,
        kind="grand" if grand else "upright",
        synonyms=("grand piano",) if grand else ("upright piano",),
    )


def guitar(o: Toy) -> None:
    electric = o.chance(0.4)
    colour = (
        o.pick("red", "blue", "black", "white", "yellow", "green", "orange", "purple")
        if electric or o.chance(0.35)
        else ""
    )
    name = colour or o.pick("wood", "pale wood", "dark wood")
    r, waist, h, d = (
        o.between(0.26, 0.4),
        o.between(0.62, 0.85),
        o.between(0.65, 1.0),
        (o.between(0.08, 0.13) if electric else o.between(0.14, 0.28)),
    )
    upper = o.between(0.72, 0.85)
    pts = []
    for k in range(28):
        a = 2 * pi * k / 28
        z = -cos(a)  # -1 at the foot, 1 at the neck
        wide = r * (1.0 if z < 0 else upper) * abs(sin(a)) ** 0.7
        pinch = 1 - (1 - waist) * max(0.0, 1 - abs(z - 0.12) / 0.4)
        x = (1 if a < pi else -1) * wide * pinch
        horn = 0.16 * h if electric and 0.55 < z < 0.85 else 0.0
        pts.append((x, h / 2 + z * h / 2 + horn))
    if electric:
        o.add(facing(pts, d), name)
        o.add(
            facing([(x * 0.6 + 0.05, 0.2 * h + 0.55 * (z - 0.15 * h)) for x, z in pts], d + 0.05),
            "white" if colour != "white" else "black",
        )
        o.add(
            [box(0.24, d + 0.1, 0.06).at(0, 0, f * h) for f in (0.36, 0.5, 0.64)],
            "black" if colour != "white" else "dark metal",
        )
        o.add([disc(0.04, d + 0.1, 10).at(0.2, 0, f * h) for f in (0.2, 0.32)], "gold")
    else:
        o.add(facing(pts, d), name)
        o.add(
            facing([(0.93 * x, h / 2 + 0.95 * (z - h / 2)) for x, z in pts], d + 0.03),
            name if colour else "pale wood" if name != "pale wood" else "wood",
        )
        o.add(disc(0.105, d + 0.07, 18).at(0, 0, 0.62 * h), "black")
        o.add(box(0.26, d + 0.09, 0.06).at(0, 0, 0.24 * h), "dark wood")
    neck, y = o.between(0.55, 1.0), -d / 2 - 0.02
    o.add(box(0.09, 0.08, neck + 0.25 * h).at(0, y, 0.75 * h), "dark wood")
    o.add([box(0.1, 0.03, 0.03).at(0, y - 0.04, h + neck * k / 6) for k in range(1, 6)], "gold")
    head = o.pick("square", "slant")
    z = h + neck - 0.02
    o.add(
        box(0.15, 0.07, 0.26).at(0, y + 0.01, z)
        if head == "square"
        else facing([(-0.07, 0), (0.06, 0), (0.14, 0.24), (-0.02, 0.32), (-0.1, 0.1)], 0.07).at(0, y + 0.01, z),
        name if electric else "dark wood",
    )
    o.add(
        [
            rod((s * 0.06, y + 0.01, z + f), (s * 0.15, y + 0.01, z + f), 0.028, 6)
            for s in (-1, 1)
            for f in (0.06, 0.13, 0.2)
        ],
        "metal",
    )
    o.add(box(0.045, 0.03, neck + 0.55 * h).at(0, y - 0.045, 0.36 * h if electric else 0.24 * h), "cream")
    stand = o.chance(0.3)
    if stand:
        lift = o.between(0.1, 0.25)
        parts = o.pieces()
        o.clear()
        for part, own in parts:
            o.add(part.at(z=lift), *own)
        o.add([rod((s * 0.1, 0.1, 0.6 * h + lift), (s * 0.34, -0.2, 0), 0.035) for s in (-1, 1)], "dark metal")
        o.add(rod((0, 0.1, 0.6 * h + lift), (0, 0.5, 0), 0.035), "dark metal")
        o.add(box(0.46, d + 0.2, 0.05).at(0, -0.02, lift - 0.02), "dark metal")
    o.describe(
        colour=colour,
        substance="" if colour else "wooden",
        style="electric" if electric else "acoustic",
        details=["a stand" if stand else "", "a long neck" if neck > 0.85 else "a short neck"],
        head=head,
        kind="electric" if electric else "acoustic",
        synonyms=("electric guitar",) if electric else ("acoustic guitar", "classical guitar"),
    )


BUILDERS = {
    "piano": piano,
    "guitar": guitar,
}
