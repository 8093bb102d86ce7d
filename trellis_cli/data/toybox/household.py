"""Umbrellas, candles, clocks, hats. Fronts face -y."""

from math import cos, pi, sin

import numpy as np

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Part,
    Real,
    ball,
    box,
    cone,
    cylinder,
    disc,
    dome,
    facing,
    frustum,
    lathe,
    loft,
    prism,
    radial,
    ring,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def umbrella(o: Toy) -> None:
    colour = o.colour("brown")
    second = o.colour(colour)
    r, rise, h, n = o.between(0.55, 0.75), o.between(0.2, 0.42), o.between(0.95, 1.3), o.pick(6, 8, 8, 10)
    form = o.pick("rain", "rain", "beach")
    arc = [(cos(a), sin(a)) for a in (QUARTER * k / 5 for k in range(6))]
    outer = [(r * a, rise * z) for a, z in arc]
    inner = [(max(0.0, q - 0.06), z - 0.06) for q, z in outer[::-1]]
    o.add(lathe([*outer, *inner, outer[0]], n).at(z=h), colour)
    two = o.chance(0.45)
    if two:
        for k in range(0, n, 2):
            a0, a1 = 2 * pi * (k + 0.5) / n, 2 * pi * (k + 1.5) / n
            rings = []
            for q, z in [(q, z) for q, z in outer if q > 0.02] + [(0.03, rise)]:
                p, s = (q * cos(a0), q * sin(a0)), (q * cos(a1), q * sin(a1))
                rings.append([(*p, z - 0.03), (*s, z - 0.03), (*s, z + 0.025), (*p, z + 0.025)])
            o.add(loft(np.array(rings)).at(z=h), second)
    o.add(cylinder(0.03, h + rise + 0.1, 10), "wood" if form == "beach" else "dark metal")
    o.add(ball(0.045, sides=10, levels=6).at(z=h + rise + 0.1), "wood" if form == "beach" else "dark metal")
    ribs = [rod((0, 0, h - 0.1), (0, -0.72 * r, h + 0.55 * rise), 0.022, 6)]
    o.add(radial(ribs[0], n // 2), "dark metal")
    details = [f"{second} stripes" if two else ""]
    if form == "rain":
        grip = o.pick("brown", "black", "red")
        hook = [
            (0, 0, 0.24),
            (0, 0, 0.02),
            *[(0.12 - 0.12 * cos(a), 0, 0.02 - 0.13 * sin(a)) for a in (pi * k / 6 for k in range(1, 7))],
            (0.24, 0, 0.08),
        ]
        o.add(tube(hook, 0.04), grip)
        details.append(f"a {grip} handle")
    else:
        o.add(lathe([(0, 0), (0.26, 0), (0.24, 0.07), (0.08, 0.12), (0, 0.12)], 18), "grey")
        o.add(ring(0.05, 0.03, 12).at(z=0.4), "metal")
        details.append("a stand")
    o.describe(
        colour=colour,
        style="beach" if form == "beach" else "",
        details=details,
        form=form,
        synonyms=("parasol",) if form == "beach" else ("open umbrella",),
    )


def candle(o: Toy) -> None:
    wax = o.pick("white", "white", "red", "yellow", "green", "blue", "pink", "purple", "orange")
    count, holder = o.pick(1, 1, 1, 3, 5), o.pick("gold", "metal", "dark metal", "wood", "terracotta")
    r, h = o.between(0.08, 0.13), o.between(0.35, 0.75)

    def one(x: Real, z: Real, r: Real, h: Real) -> None:
        o.add(cylinder(r, h, 14).at(x, 0, z), wax)
        o.add(lathe([(0, 0), (r * 1.12, 0.02), (r * 1.05, 0.08), (0, 0.08)], 14).at(x, 0, z + h - 0.06), wax)
        o.add(cylinder(0.026, 0.08, 6).at(x, 0, z + h), "black")
        o.add(
            lathe([(0, 0), (0.055, 0.06), (0.045, 0.11), (0, 0.22)], 10).at(x, 0, z + h + 0.05),
            "orange" if wax != "orange" else "yellow",
        )

    if count == 1:
        wide = o.between(0.24, 0.36)
        o.add(lathe([(0, 0), (0.7 * wide, 0), (wide, 0.05), (wide, 0.09), (0.5 * wide, 0.06), (0, 0.06)], 20), holder)
        o.add(cylinder(1.35 * r, 0.14, 16).at(z=0.04), holder)
        if o.chance(0.6):
            o.add(ring(0.09, 0.03, 14).turned("x", QUARTER).at(wide + 0.06, 0, 0.1), holder)
        lift = o.pick(0.0, 0.3)
        if lift:
            o.add(
                lathe(
                    [(0, 0), (0.06, 0), (0.1, 0.5 * lift), (0.06, lift), (1.3 * r, lift + 0.1), (0, lift + 0.1)], 14
                ).at(z=0.05),
                holder,
            )
        one(0, 0.1 + lift, r, h)
    else:
        stem, spread = o.between(0.4, 0.6), 0.2 if count == 5 else 0.26
        o.add(lathe([(0, 0), (0.26, 0), (0.22, 0.05), (0.05, 0.12), (0.045, stem), (0, stem)], 18), holder)
        for k in range(count):
            x = (k - count // 2) * spread
            z = stem + 0.06 * (1 if k == count // 2 else 0)
            if x:
                o.add(
                    tube([(0, 0, 0.6 * stem), (0.6 * x, 0, 0.55 * stem), (x, 0, 0.75 * stem), (x, 0, stem)], 0.035),
                    holder,
                )
            o.add(cone(0.06, 0.1, 0.1, 12).at(x, 0, z - 0.05), holder)
            one(x, z, 0.06, 0.6 * h)
    word = {"dark metal": "black", "wood": "wooden", "gold": "golden", "terracotta": "clay"}.get(holder, holder)
    o.describe(
        colour=wax,
        size="tall" if h > 0.62 else "",
        details=["a flame" if count == 1 else "flames", f"a {word} holder"],
        count=str(count),
        synonyms=("candlestick",) if count == 1 else ("candelabra", "candlestick"),
    )


def clock(o: Toy) -> None:
    kind = o.pick("alarm", "alarm", "wall", "tall", "mantel")
    colour, substance, made = "", "wooden", (o.pick("wood", "dark wood"), None)
    if kind in ("alarm", "wall") or o.chance(0.4):
        colour = o.pick("red", "blue", "green", "yellow", "black", "pink", "purple", "orange")
        substance, made = "", (colour, None)
    r = o.between(0.3, 0.4) * (0.62 if kind == "tall" else 1.0)
    z, y, details = r + 0.12, -0.1, []
    if kind == "alarm":
        deep, lift = o.between(0.16, 0.4), o.between(0.3, 0.5)
        y = -deep / 2 + 0.02
        o.add(disc(r, deep).at(z=z), *made)
        out = o.between(0.5, 1.0) * r
        o.add([rod((s * 0.5 * r, 0, z - 0.7 * r), (s * out, 0, 0), 0.05, 8, 0.035) for s in (-1, 1)], *made)
        bell, cup = o.pick("gold", "metal"), dome(lift * r, 0.75 * lift * r, 14)
        o.add([cup.turned("y", s * 0.6).at(s * 0.62 * r, 0, z + 0.86 * r) for s in (-1, 1)], bell)
        o.add(
            [cylinder(0.035, 0.34 * r, 8).at(z=z + 0.95 * r), ball(0.06, sides=8, levels=6).at(z=z + 1.3 * r)], "metal"
        )
        details.append("two bells")
    elif kind == "wall":
        deep, square, wide = o.between(0.12, 0.34), o.chance(0.4), o.between(1.1, 1.4)
        y = -deep / 2 + 0.01
        plate = disc(wide * r, deep, o.pick(28, 8, 6)).at(z=z)
        o.add(box(2 * wide * r, deep, 2.3 * r, 0.04).at(z=z - 1.15 * r) if square else plate, *made)
        if o.chance(0.5):
            drop = o.between(0.2, 0.7)
            o.add(
                [box(0.05, 0.05, drop).at(z=z - 1.1 * r - drop), disc(0.13, 0.06, 16).at(z=z - 1.1 * r - drop)], "gold"
            )
            details.append("a pendulum")
    elif kind == "tall":
        h, w = o.between(1.3, 2.0), o.between(2.5, 3.2) * r
        o.add(
            [box(1.25 * w, 0.42, 0.3), box(0.8 * w, 0.3, h - 0.3), box(1.15 * w, 0.38, 2.6 * r).at(z=h - 2.6 * r)],
            *made,
        )
        o.add(
            o.pick(
                frustum(1.25 * w, 0.42, 0.3 * w, 0.42, 0.22),
                box(1.3 * w, 0.44, 0.08),
                facing([(0.6 * w * cos(a), 0.6 * w * 0.5 * sin(a)) for a in (pi * k / 10 for k in range(11))], 0.4),
            ).at(z=h),
            *made,
        )
        o.add(box(0.5 * w, 0.33, 0.42 * h).at(z=0.24 * h), "dark glass")
        o.add([box(0.05, 0.36, 0.25 * h).at(z=0.32 * h), disc(0.09, 0.38, 14).at(z=0.32 * h)], "gold")
        z, y = h - 1.3 * r, -0.17
        details.append("a pendulum")
    else:
        w, h, deep = o.between(2.5, 3.6) * r, 2.4 * r, o.between(0.24, 0.46)
        arc = [(w / 2 * cos(a), h - 0.5 * w + 0.65 * w * sin(a)) for a in (pi * k / 12 for k in range(13))]
        o.add(facing([(-w / 2, 0), (w / 2, 0), *arc], deep), *made)
        o.add(box(o.between(1.05, 1.3) * w, deep + 0.12, 0.1), *made)
        z, y = 0.6 * h, 0.02 - deep / 2
    face = o.pick("white", "white", "cream") if colour != "white" else "yellow"
    o.add(disc(0.9 * r, 0.08, 26).at(0, y, z), face)
    o.add(ring(0.92 * r, 0.035, 26).turned("x", QUARTER).at(0, y - 0.03, z), "gold" if o.chance(0.5) else "dark metal")
    for angle, reach, wide in ((o.between(0, 2 * pi), 0.5, 0.06), (o.between(0, 2 * pi), 0.72, 0.045)):
        o.add(box(wide, 0.05, reach * r).turned("y", angle).at(0, y - 0.055, z), "black")
    o.add(
        [
            box(0.045, 0.05, 0.14 * r).at(z=0.68 * r).turned("y", k * pi / 6).at(0, y - 0.04, z)
            for k in range(0, 12, o.pick(1, 3))
        ],
        "black",
    )
    o.add(disc(0.05, 0.16, 10).at(0, y, z), "black")
    o.describe(
        colour=colour,
        substance=substance,
        style={"alarm": "alarm", "wall": "wall", "tall": "grandfather", "mantel": "mantel"}[kind],
        details=[f"a {face} face", *details],
        kind=kind,
        synonyms={
            "alarm": ("alarm clock",),
            "wall": ("wall clock",),
            "tall": ("grandfather clock",),
            "mantel": ("mantel clock",),
        }[kind],
    )


def hat(o: Toy) -> None:
    colour, kind = o.colour(), o.pick("top", "top", "sun", "cowboy", "wizard")
    band = o.colour(colour)
    r, brim = o.between(0.28, 0.34), o.between(0.5, 0.68)
    h = {
        "top": o.between(0.35, 0.65),
        "sun": o.between(0.2, 0.3),
        "cowboy": o.between(0.28, 0.4),
        "wizard": o.between(0.7, 1.1),
    }[kind]
    if kind == "cowboy":
        curl = [(brim * cos(a), 0.85 * brim * sin(a)) for a in (2 * pi * k / 24 for k in range(24))]
        base = prism(curl, 0.06)
        v = base.vertices.copy()
        v[:, 2] += 0.9 * v[:, 0] ** 2
        o.add([Part(v, base.faces), cylinder(r, 0.1, 20).at(z=-0.02)], colour)
    else:
        o.add(lathe([(0, 0), (brim, 0), (brim, 0.06), (0, 0.06)], 28), colour)
    if kind == "top":
        flare = o.between(0.88, 1.15)
        o.add(cone(r, h, flare * r, 24).at(z=0.03), colour)
        o.add(cylinder(flare * r * 1.03, 0.05, 24).at(z=h), colour)
    elif kind == "wizard":
        bend = o.between(-0.25, 0.25)
        o.add(
            tube(
                [(bend * (k / 6) ** 2, 0, 0.03 + h * k / 6) for k in range(7)],
                [r * (1 - k / 6.4) for k in range(7)],
                18,
            ),
            colour,
        )
        o.add(
            [
                ball(0.06, 0.06, 0.06, 8, 6).at(0.75 * r * cos(a) * (1 - z), 0.95 * r * sin(a) * (1 - z), 0.1 + z * h)
                for a, z in ((-1.0, 0.25), (-1.9, 0.4), (-2.6, 0.2), (-1.4, 0.6))
            ],
            band,
        )
    elif kind == "sun":
        o.add(dome(r, h, 24).at(z=0.04), colour)
    else:
        o.add(
            lathe([(0, 0), (r, 0), (0.86 * r, 0.8 * h), (0.7 * r, h), (0.3 * r, 0.86 * h), (0, 0.8 * h)], 22)
            .scaled(1, 1.2, 1)
            .at(z=0.03),
            colour,
        )
    o.add(ring(0.98 * brim if kind != "cowboy" else 0.8 * r, 0.03, 28).at(z=0.03), colour)
    stretch = 1.2 if kind == "cowboy" else 1
    o.add(cylinder(1.04 * r, 0.12, 24).scaled(1, stretch, 1).at(z=0.07), band)
    trim = o.pick("feather", "bow", "buckle", "flower")
    if trim == "feather":
        o.add(ball(0.05, 0.09, 0.24, 10, 8).turned("x", -0.4).at(1.08 * r, 0, 0.32), feather := o.colour(colour))
        o.add(rod((1.06 * r, -0.06, 0.08), (1.08 * r, 0.06, 0.4), 0.026, 6), "white")
        words = f"a {feather} feather"
    elif trim == "bow":
        o.add([ball(0.13, 0.05, 0.08, 10, 6).at(s * 0.12, -1.08 * r * stretch, 0.14) for s in (-1, 1)], band)
        words = f"a {band} bow"
    elif trim == "buckle":
        o.add(box(0.16, 0.07, 0.16).at(0, -1.04 * r * stretch, 0.05), "gold")
        words = "a golden buckle"
    else:
        bloom = o.pick(*(c for c in ("red", "yellow", "pink", "white") if c != band))
        o.add(
            [
                p.turned("x", QUARTER).at(0.1, -1.08 * r * stretch, 0.14)
                for p in radial(ball(0.05, 0.07, 0.035, 8, 6).at(0, -0.07), 5)
            ],
            bloom,
        )
        o.add(
            ball(0.05, sides=8, levels=6).at(0.1, -1.1 * r * stretch, 0.14), "yellow" if bloom != "yellow" else "orange"
        )
        words = f"a {bloom} flower"
    o.describe(
        colour=colour,
        style={"top": "top", "sun": "sun", "cowboy": "cowboy", "wizard": "wizard"}[kind],
        details=[f"a {band} band", words],
        kind=kind,
        synonyms=(f"{kind} hat",),
    )


BUILDERS = {
    "umbrella": umbrella,
    "candle": candle,
    "clock": clock,
    "hat": hat,
}
