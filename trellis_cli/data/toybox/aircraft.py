"""Aeroplanes, helicopters, rockets, hot air balloons. The nose points to -y."""

from math import pi

import numpy as np

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Part,
    Real,
    across,
    ball,
    box,
    cylinder,
    disc,
    lathe,
    prism,
    radial,
    ring,
    rod,
    wheel,
)
from trellis_cli.data.toybox.road_vehicles import PAINTS
from trellis_cli.data.toybox.toy import Toy


def airplane(o: Toy) -> None:
    colour, kind = o.pick(*PAINTS), o.pick("jet", "jet", "propeller", "biplane")
    length, r = o.between(1.5, 2.0), o.between(0.13, 0.18)
    if kind != "jet":
        length *= 0.75
    z = 0.42
    n = [(0, 0.02), (0.45, 0.05), (0.8, 0.14), (1, 0.26), (1, 0.6), (0.75, 0.8), (0.35, 0.97), (0.2, 1.0), (0, 1.0)]
    o.add(lathe([(a * r, (s - 0.5) * length) for a, s in n], 18).turned("x", -QUARTER).at(z=z), colour)
    trim = o.pick(*(c for c in ("white", "red", "blue", "yellow", "grey", "black") if c != colour))
    wing_colour = o.pick(colour, colour, trim)
    span, sweep, chord = o.between(1.5, 2.0), o.between(0.1, 0.45) if kind == "jet" else 0.04, o.between(0.3, 0.4)

    def wing(width: Real, c: Real, back: Real, thick: Real = 0.055) -> Part:
        return prism([(0, 0), (0, c), (width / 2, back + 0.55 * c), (width / 2, back)], thick)

    y0 = -0.14 * length
    levels = (z - 0.12, z + 0.3) if kind == "biplane" else (o.pick(z - 0.1, z - 0.06, z + r - 0.06),)
    for level in levels:
        half = wing(span * (0.85 if kind == "biplane" else 1), chord, sweep)
        o.add([half.at(0, y0, level), half.mirrored().at(0, y0, level)], wing_colour)
    if kind == "biplane":
        o.add(
            [
                box(0.045, 0.045, 0.42).at(s * 0.3 * span, y0 + k * 0.6 * chord + 0.06, z - 0.1)
                for s in (-1, 1)
                for k in (0, 1)
            ],
            "wood",
        )
    tail = wing(0.4 * span, 0.24, 0.35 * sweep + 0.04)
    o.add(
        [tail.at(0, 0.5 * length - 0.26, z + 0.02), tail.mirrored().at(0, 0.5 * length - 0.26, z + 0.02)], wing_colour
    )
    fin = o.between(0.3, 0.42)
    o.add(
        across(
            [
                (0.5 * length - 0.32, z),
                (0.5 * length, z),
                (0.5 * length + 0.06, z + fin),
                (0.5 * length - 0.1, z + fin),
            ],
            0.055,
        ),
        trim,
    )
    details = []
    if kind == "jet":
        count = o.pick(1, 1, 2)
        spots = [0.32, 0.58][:count] if count == 2 else [0.36]
        for s in (-1, 1):
            for share in spots:
                x = s * share * span / 2
                yy = y0 + sweep * share - 0.02
                o.add(
                    lathe([(0, 0), (0.07, 0), (0.085, 0.06), (0.06, 0.3), (0, 0.3)], 14)
                    .turned("x", -QUARTER)
                    .at(x, yy - 0.02, levels[0] - 0.07),
                    "metal",
                )
        o.add(
            [box(2 * r + 0.01, 0.05, 0.06).at(0, (k - 3.5) * 0.055 * length, z + 0.04) for k in range(8)], "dark glass"
        )
        o.add(ball(0.7 * r, 0.16, 0.6 * r, 12, 8).at(0, -0.36 * length, z + 0.4 * r), "dark glass")
        details.append(f"{ {1: 'two', 2: 'four'}[count] } engines")
    else:
        nose = -0.5 * length
        o.add(lathe([(0, 0), (0.06, 0), (0, 0.12)], 12).turned("x", QUARTER).at(0, nose + 0.02, z), trim)
        o.add(box(0.62, 0.05, 0.09).turned("y", o.between(0, pi)).at(0, nose - 0.03, z), "dark wood")
        o.add(ball(0.7 * r, 0.2, 0.85 * r, 12, 8).at(0, 0.06 * length, z + 0.7 * r), "dark glass")
        details.append("a propeller")
    gear = [(0, -0.33 * length), (-0.2, 0.04), (0.2, 0.04)]
    for x, y in gear:
        o.add(rod((x, y, z - 0.06), (x, y, 0.07), 0.026, 6), "dark metal")
        o.add(wheel(0.075, 0.06, 12).at(x, y, 0.075), "rubber")
    if wing_colour != colour:
        details.insert(0, f"{wing_colour} wings")
    else:
        details.append(f"a {trim} tail")
    o.describe(
        colour=colour,
        style={"jet": "passenger", "propeller": "propeller", "biplane": ""}[kind],
        details=details,
        kind=kind,
        synonyms=("plane", "aeroplane", "aircraft") if kind != "biplane" else ("biplane", "plane"),
    )


def helicopter(o: Toy) -> None:
    colour = o.pick(*PAINTS)
    trim = o.pick(*(c for c in ("white", "red", "yellow", "black", "blue") if c != colour))
    r, length, z = o.between(0.24, 0.32), o.between(0.65, 0.9), 0.5
    o.add(ball(r, length / 2, r, 18, 12).at(z=z), colour)
    o.add(ball(0.86 * r, 0.3 * length, 0.8 * r, 16, 10).at(0, -0.24 * length, z + 0.05), "dark glass")
    tail, thick = o.between(0.75, 1.0), 0.06
    o.add(rod((0, 0.3 * length, z + 0.05), (0, 0.3 * length + tail, z + 0.14), 0.1, 12, thick), colour)
    end = 0.3 * length + tail
    o.add(
        across([(end - 0.16, z + 0.1), (end + 0.02, z + 0.1), (end + 0.12, z + 0.42), (end - 0.02, z + 0.42)], 0.05),
        trim,
    )
    o.add(box(0.4, 0.12, 0.045).at(0, end - 0.2, z + 0.1), trim)
    o.add([box(0.05, 0.36, 0.06).turned("x", a).at(0.07, end, z + 0.16) for a in (0.6, 0.6 + QUARTER)], "dark metal")
    mast = z + r + 0.14
    o.add(
        [
            cylinder(0.045, 0.24, 10).at(z=mast - 0.2),
            box(0.26, 0.4, 0.12, 0.03).at(0, 0.06, z + r - 0.05),
            cylinder(0.09, 0.07, 12).at(z=mast),
        ],
        trim,
    )
    blades, reach, start = o.pick(2, 3, 4, 4), o.between(0.75, 0.95), o.between(0, pi)
    o.add(radial(box(0.1, reach, 0.045).at(0, -reach / 2, mast + 0.02), blades, start), "dark metal")
    for s in (-1, 1):
        x = s * (r + 0.06)
        o.add(rod((x, -0.42, 0.04), (x, 0.36, 0.04), 0.035, 8), "metal")
        o.add([rod((x, y, 0.04), (s * 0.6 * r, y, z - 0.6 * r), 0.028, 6) for y in (-0.18, 0.18)], "metal")
        o.add(box(0.03, 0.24, 0.2).at(s * 0.98 * r, 0.03 * length, z - 0.08), trim)
    o.describe(
        colour=colour,
        details=[f"{ {2: 'two', 3: 'three', 4: 'four'}[blades] } rotor blades", f"a {trim} tail"],
        blades=str(blades),
        synonyms=("chopper",),
    )


def rocket(o: Toy) -> None:
    colour = o.pick("white", "white", "red", "blue", "grey", "yellow", "orange", "green")
    trim = o.pick(*(c for c in ("red", "blue", "orange", "black", "yellow", "green") if c != colour))
    r, h, base = o.between(0.18, 0.28), o.between(0.9, 1.4), 0.22
    kind = o.pick("cigar", "cigar", "straight")
    if kind == "cigar":
        body = [(0, 0), (0.62, 0), (0.95, 0.25), (1, 0.5), (0.88, 0.8), (0.72, 1.0), (0, 1.0)]
    else:
        body = [(0, 0), (1, 0), (1, 0.5), (0.98, 1.0), (0, 1.0)]
    o.add(lathe([(a * r, z * h) for a, z in body], 20).at(z=base), colour)
    top = body[-2][0] * r
    nose = o.between(0.3, 0.5)
    o.add(
        lathe([(0, 0), (top, 0), (0.75 * top, 0.4 * nose), (0.4 * top, 0.75 * nose), (0.03, nose), (0, nose)], 20).at(
            z=base + h
        ),
        trim,
    )
    o.add(
        [ring(a * r, 0.03, 20).at(z=base + z * h) for a, z in ((0.98, 0.3), (0.9 if kind == "cigar" else 1.0, 0.76))],
        trim,
    )
    o.add(lathe([(0, 0), (0.66 * r, 0), (0.45 * r, 0.16), (0, 0.16)], 16).at(z=base - 0.14), "dark metal")
    fins, reach = o.pick(3, 4, 4), o.between(0.2, 0.34)
    fin = across(
        [
            (-0.6 * r, base + 0.42),
            (-0.6 * r, base + 0.02),
            (-r - 0.8 * reach, 0.0),
            (-r - reach, 0.0),
            (-r - 0.9 * reach, 0.14),
        ],
        0.06,
    )
    o.add(radial(fin, fins, o.pick(0.0, pi / 4)), trim)
    count = o.whole(1, 3)
    for k in range(count):
        z = base + h * (0.82 - 0.2 * k)
        o.add(disc(0.36 * r, 0.1, 16).at(0, -0.88 * r, z), "metal")
        o.add(disc(0.25 * r, 0.15, 16).at(0, -0.88 * r, z), "water")
    details = [f"{trim} fins", f"{ {1: 'a round window', 2: 'two round windows', 3: 'three round windows'}[count] }"]
    if o.chance(0.35):
        o.add(
            [
                lathe([(0, 0), (0.3 * r, 0), (0.34 * r, 0.5 * h), (0.02, 0.72 * h), (0, 0.72 * h)], 14).at(
                    s * 1.25 * r, 0, base
                )
                for s in (-1, 1)
            ],
            trim if o.chance(0.5) else "white",
        )
        details.append("boosters")
    if o.chance(0.4):
        o.add(lathe([(0, 0), (0.3 * r, 0.1), (0.5 * r, 0.24), (0, 0.24)], 12).at(z=base - 0.32), "orange")
        details.append("a flame")
    o.describe(
        colour=colour, details=details, fins=str(fins), body=kind, synonyms=("space rocket", "rocket ship", "spaceship")
    )


def hot_air_balloon(o: Toy) -> None:
    first = o.colour("black", "brown", "grey")
    second = o.colour(first, "black", "brown", "grey")
    r, z, n = o.between(0.5, 0.6), 0.75, o.pick(6, 8, 12)
    profile = [
        (0.0, -1.18),
        (0.22, -1.16),
        (0.5, -0.85),
        (0.86, -0.4),
        (1.0, 0.1),
        (0.9, 0.5),
        (0.6, 0.83),
        (0.25, 0.98),
        (0.0, 1.0),
    ]
    squash = o.between(0.9, 1.15)
    o.add(lathe([(a * r, b * r * squash) for a, b in profile], 24).at(z=z + 0.55), first)
    style = o.pick("gores", "band", "both")
    if style != "band":
        for k in range(n):
            if k % 2 == 0:
                stripe = [(a * r + (0.02 if a > 0.1 else 0), b * r * squash) for a, b in profile]
                wide = 0.42 * 2 * pi * r / n
                panel = across(
                    [(-y, b) for y, b in stripe] + [(-max(y - 0.09, 0), b) for y, b in stripe[-2:0:-1]], wide
                )
                v = panel.vertices.copy()
                v[:, 0] *= np.clip(-v[:, 1] / r, 0.05, 1.0)
                o.add(Part(v, panel.faces).turned("z", 2 * pi * k / n).at(z=z + 0.55), second)
    if style != "gores":
        o.add(
            lathe([(0, -0.1), (1.0 * r, -0.1), (1.035 * r, 0.05), (1.0 * r, 0.2), (0, 0.2)], 24).at(z=z + 0.55), second
        )
    low = z + 0.55 - 1.16 * r * squash
    o.add(cylinder(0.2 * r + 0.03, 0.06, 16).at(z=low - 0.02), second)
    w, h = o.between(0.22, 0.3), o.between(0.16, 0.22)
    o.add(box(w, w, h, 0.02), "straw", "weave")
    o.add([box(w + 0.05, w + 0.05, 0.05).at(z=h - 0.03)], "brown")
    o.add(
        [
            rod((sx * 0.45 * w, sy * 0.45 * w, h), (sx * 0.17 * r, sy * 0.17 * r, low + 0.05), 0.022, 6)
            for sx in (-1, 1)
            for sy in (-1, 1)
        ],
        "dark wood",
    )
    o.describe(
        colour=first,
        details=[f"{second} stripes" if style != "band" else f"a {second} band", "a basket"],
        pattern=style,
        synonyms=("balloon", "air balloon"),
    )


BUILDERS = {
    "airplane": airplane,
    "helicopter": helicopter,
    "rocket": rocket,
    "hot air balloon": hot_air_balloon,
}
