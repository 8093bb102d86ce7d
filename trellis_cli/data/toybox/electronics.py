"""Televisions, computers, cameras, robots. Fronts face -y."""

from math import cos, sin

from trellis_cli.data.toybox.joinery import legs
from trellis_cli.data.toybox.parts import (
    QUARTER,
    across,
    ball,
    beam,
    box,
    cone,
    cylinder,
    disc,
    dome,
    frustum,
    lathe,
    radial,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def television(o: Toy) -> None:
    flat = o.chance(0.5)
    picture = o.pick("water", "dark glass", "green", "lit glass")
    details = []
    if flat:
        colour, substance = o.pick("black", "black", "grey", "white", "red"), ""
        w, stand = o.between(1.1, 1.6), o.pick("foot", "legs", "cabinet")
        h, deep = w * o.between(0.46, 0.72), o.between(0.08, 0.16)
        z = {"foot": o.between(0.1, 0.3), "legs": o.between(0.08, 0.3), "cabinet": o.between(0.3, 0.55)}[stand]
        o.add(box(w, deep, h, 0.02).at(0, deep / 2 - 0.045, z), colour)
        o.add(box(w - 0.12, 0.11, h - 0.12).at(0, -0.005, z + 0.06), picture)
        o.add(box(0.6 * w, 0.1, 0.5 * h, 0.03).at(0, 0.05, z + 0.2 * h), colour)
        if stand == "foot":
            o.add([box(0.14, 0.08, z + 0.05).at(0, 0.03), box(0.4 * w, 0.28, 0.05)], colour)
        elif stand == "legs":
            o.add(
                [
                    beam((s * 0.36 * w, 0, z + 0.03), (s * 0.4 * w, y, 0.02), 0.05)
                    for s in (-1, 1)
                    for y in (-0.16, 0.16)
                ],
                colour,
            )
        else:
            wide, tall = o.between(0.8, 1.4) * w, z - 0.14
            o.add([box(wide, 0.4, tall).at(z=0.08), *legs(o, 0.95 * wide, 0.36, 0.09, "square", 0.07)], "wood")
            o.add([box(0.45 * wide, 0.03, 0.7 * tall).at(s * 0.24 * wide, -0.2, 0.1) for s in (-1, 1)], "dark wood")
            o.add(box(0.3, 0.1, 0.1).at(0, 0, z - 0.08), colour)
            details.append("a wooden cabinet")
        o.add(ball(0.03, sides=8, levels=6).at(0.44 * w, -0.05, z + 0.03), "red" if colour != "red" else "green")
    else:
        made = o.pick(
            ("wood", None),
            ("red", None),
            ("yellow", None),
            ("grey", None),
            ("blue", None),
            ("orange", None),
            ("white", None),
        )
        colour, substance = ("", "wooden") if made[0] == "wood" else (made[0], "")
        w, h, d, foot = o.between(0.8, 1.1), o.between(0.6, 0.8), o.between(0.45, 0.6), o.pick(0.06, 0.3)
        o.add(
            [
                box(w, 0.5 * d, h, 0.04).at(0, -0.25 * d, foot),
                frustum(0.55 * w, 0.55 * h, 0.92 * w, 0.92 * h, 0.5 * d)
                .turned("x", QUARTER)
                .at(0, 0.5 * d, foot + h / 2),
            ],
            *made,
        )
        right = o.chance(0.7)
        sw = 0.66 * w if right else 0.84 * w
        x = -0.12 * w if right else 0
        y = -0.5 * d
        o.add(box(sw, 0.05, 0.78 * h, 0.02).at(x, y, foot + 0.11 * h), "black")
        o.add(box(0.88 * sw, 0.09, 0.66 * h, 0.04).at(x, y, foot + 0.17 * h), picture)
        if right:
            o.add([disc(0.06, 0.09, 12).at(0.36 * w, y, foot + f * h) for f in (0.75, 0.55)], "metal")
            o.add([box(0.15 * w, 0.05, 0.03).at(0.36 * w, y, foot + f * h) for f in (0.18, 0.26, 0.34)], "black")
        else:
            o.add([disc(0.035, 0.09, 10).at(s * 0.3 * w, y, foot + 0.05 * h) for s in (-1, 1)], "metal")
        o.add(legs(o, 0.86 * w, 0.6 * d, foot + 0.02, o.pick("tapered", "splayed", "round"), 0.08), "dark wood")
        if o.chance(0.75):
            tilt = o.between(0.2, 0.4)
            o.add([rod((0, 0, foot + h - 0.03), (s * tilt, 0, foot + h + 0.4), 0.022, 6) for s in (-1, 1)], "metal")
            o.add(
                [ball(0.04, sides=8, levels=6).at(s * tilt, 0, foot + h + 0.4) for s in (-1, 1)]
                + [dome(0.1, 0.06, 12).at(z=foot + h - 0.02)],
                "metal",
            )
            details.append("an antenna")
        if foot > 0.2:
            details.append("legs")
    screen = {"water": "blue", "dark glass": "dark", "green": "green", "lit glass": "bright"}[picture]
    o.describe(
        colour=colour,
        substance=substance,
        style="flat" if flat else "old",
        details=[f"a {screen} screen", *details],
        synonyms=("tv", "television set"),
        kind="flat" if flat else "tube",
    )


def computer(o: Toy) -> None:
    kind = o.pick("desktop", "desktop", "laptop", "retro")
    colour = o.pick("white", "grey", "black", "blue", "red", "pink", "orange")
    picture = o.pick("water", "dark glass", "green", "lit glass") if colour != "black" else o.pick("water", "lit glass")
    keys = "black" if colour != "black" else "grey"
    screen = {"water": "blue", "dark glass": "dark", "green": "green", "lit glass": "bright"}[picture]
    details = [f"a {screen} screen", "a keyboard"]
    w = o.between(0.7, 0.95)
    if kind == "laptop":
        d, tilt = 0.68 * w, o.between(0.05, 0.6)
        o.add(box(w, d, 0.06, 0.015), colour)
        lid = [box(w, 0.05, d, 0.015)]
        o.add([p.turned("x", -tilt).at(0, d / 2, 0.04) for p in lid], colour)
        o.add(box(0.88 * w, 0.07, 0.82 * d).at(0, -0.0, 0.09 * d).turned("x", -tilt).at(0, d / 2, 0.04), picture)
        o.add([box(0.88 * w, 0.11 * d, 0.03).at(0, 0.32 * d - k * 0.15 * d, 0.05) for k in range(4)], keys)
        o.add(box(0.28 * w, 0.2 * d, 0.03).at(0, -0.36 * d, 0.045), "grey" if colour != "grey" else "white")
    else:
        h = w * (0.66 if kind == "desktop" else 0.8)
        lift = o.between(0.14, 0.24)
        if kind == "desktop":
            o.add(box(w, 0.07, h, 0.015).at(0, 0.1, lift), colour)
            o.add(box(0.9 * w, 0.09, 0.84 * h).at(0, 0.09, lift + 0.09 * h), picture)
            o.add([box(0.1, 0.07, lift + 0.1).at(0, 0.14), box(0.42 * w, 0.24, 0.045).at(0, 0.12)], colour)
        else:
            o.add(
                [
                    box(w, 0.55, lift, 0.02).at(0, 0.12),
                    box(0.84 * w, 0.42, h, 0.04).at(0, 0.12, lift),
                    box(0.6 * w, 0.2, 0.7 * h, 0.04).at(0, 0.38, lift + 0.1 * h),
                ],
                colour,
            )
            o.add(box(0.66 * w, 0.05, 0.66 * h, 0.02).at(0, -0.1, lift + 0.2 * h), "black")
            o.add(box(0.58 * w, 0.08, 0.56 * h).at(0, -0.1, lift + 0.25 * h), picture)
            o.add([box(0.3 * w, 0.04, 0.04).at(0.22 * w, -0.16, lift * f) for f in (0.35, 0.65)], "black")
        o.add(box(0.85 * w, 0.26, 0.05, 0.012).at(0, -0.4), colour)
        o.add([box(0.78 * w, 0.055, 0.035).at(0, -0.32 - 0.075 * k, 0.035) for k in range(3)], keys)
        if o.chance(0.7):
            o.add(ball(0.07, 0.11, 0.05, 12, 6).at(0.58 * w, -0.4, 0.035), colour)
            o.add(box(0.03, 0.06, 0.04).at(0.58 * w, -0.45, 0.05), keys)
            details.append("a mouse")
        if kind == "desktop" and o.chance(0.55):
            s = o.pick(-1, 1)
            o.add(box(0.24, 0.55, 0.72 * h + lift, 0.015).at(s * (0.5 * w + 0.22), 0.08), colour)
            o.add([box(0.17, 0.05, 0.06).at(s * (0.5 * w + 0.22), -0.2, f * h + lift) for f in (0.4, 0.54)], keys)
            o.add(disc(0.035, 0.06, 10).at(s * (0.5 * w + 0.22), -0.2, 0.15), "green")
            details.append("a tower case")
    o.describe(
        colour=colour,
        style={"laptop": "laptop", "retro": "old", "desktop": "desktop"}[kind],
        details=details,
        kind=kind,
        synonyms=("laptop",) if kind == "laptop" else ("personal computer", "desktop computer"),
    )


def camera(o: Toy) -> None:
    colour = o.pick("black", "black", "red", "blue", "grey", "brown", "pink", "white", "green")
    w, h, d = o.between(0.8, 1.0), o.between(0.5, 0.62), o.between(0.26, 0.34)
    trim = "metal" if colour != "grey" else "black"
    o.add(box(w, d, h, 0.04), colour)
    o.add(box(1.01 * w, 1.01 * d, 0.12, 0.02).at(z=h - 0.1), trim)
    x, reach, r = o.pick(0.0, 0.0, 0.12), o.between(0.14, 0.42), o.between(0.18, 0.24)
    o.add(
        [disc(r, 0.16, 24).at(x, -d / 2, 0.46 * h), disc(0.9 * r, reach, 24).at(x, -d / 2 - reach / 2, 0.46 * h)],
        "black" if colour != "black" else "dark metal",
    )
    o.add([disc(r * 0.97, 0.06, 24).at(x, -d / 2 - 0.6 * reach, 0.46 * h)], trim)
    o.add(disc(0.68 * r, 0.06, 20).at(x, -d / 2 - reach, 0.46 * h), "water")
    hump = o.pick("prism", "box", "flash")
    if hump == "prism":
        o.add(frustum(0.42, 0.9 * d, 0.24, 0.5 * d, 0.17).at(x, 0, h), colour)
    else:
        o.add(box(0.3, 0.6 * d, 0.15, 0.02).at(x - 0.22, 0, h), colour)
        o.add(box(0.22, 0.06, 0.09).at(x - 0.22, -0.3 * d, h + 0.03), "lit glass" if hump == "flash" else "glass")
    o.add(cylinder(0.06, 0.08, 12).at(0.38 * w, -0.04, h), "red" if colour != "red" else "black")
    o.add(cylinder(0.09, 0.07, 14).at(0.24 * w if x == 0 else -0.4 * w, 0.02, h), trim)
    details = [f"a {'long' if reach > 0.3 else 'short'} lens"]
    if o.chance(0.35):
        top = o.between(0.8, 1.1)
        parts = o.pieces()
        o.clear()
        for part, own in parts:
            o.add(part.at(z=top), *own)
        o.add(
            [
                *radial(rod((0, 0, top - 0.05), (0, -0.42, 0), 0.035, 8, 0.028), 3),
                cylinder(0.1, 0.1, 12).at(z=top - 0.1),
            ],
            "dark metal" if colour != "black" else "metal",
        )
        details.append("a tripod")
    o.describe(colour=colour, details=details, hump=hump, synonyms=("photo camera",))


def robot(o: Toy) -> None:
    colour = o.pick("grey", "red", "blue", "green", "yellow", "white", "orange", "purple", "pink")
    trim = o.pick("dark metal", "metal", "yellow", "red", "blue")
    trim = trim if trim != colour else "dark metal"
    w, h, d = o.between(0.42, 0.6), o.between(0.45, 0.65), o.between(0.3, 0.4)
    leg, base = o.between(0.26, 0.5), o.pick("legs", "legs", "legs", "tracks", "wheel")
    z = leg
    if base == "legs":
        for s in (-1, 1):
            o.add(o.pick(box(0.14, 0.16, leg), cylinder(0.08, leg, 12)).at(s * 0.26 * w), trim)
            o.add(box(0.2, 0.32, 0.12, 0.02).at(s * 0.27 * w, -0.05), colour)
    elif base == "tracks":
        for s in (-1, 1):
            o.add(
                across(
                    [(-0.3, 0.1), (-0.2, 0), (0.2, 0), (0.3, 0.1), (0.3, 0.2), (0.2, 0.28), (-0.2, 0.28), (-0.3, 0.2)],
                    0.16,
                ).at(s * 0.4 * w),
                "rubber",
            )
            o.add([disc(0.07, 0.2, 12).turned("z", QUARTER).at(s * 0.4 * w, y, 0.14) for y in (-0.17, 0.0, 0.17)], trim)
        o.add(box(0.5 * w, 0.3, 0.2).at(z=0.12), trim)
        z = 0.28
    else:
        o.add(disc(0.2, 0.16, 20).turned("z", QUARTER).at(0, 0, 0.2), "rubber")
        o.add([box(0.05, 0.12, 0.34).at(s * 0.11, 0, 0.16) for s in (-1, 1)], trim)
        z = 0.44
    body = o.pick("box", "box", "barrel", "cone")
    if body == "box":
        o.add(box(w, d, h, 0.04).at(z=z), colour)
    elif body == "barrel":
        o.add(lathe([(0, 0), (0.42 * w, 0), (0.52 * w, 0.4 * h), (0.46 * w, h), (0, h)], 20).at(z=z), colour)
    else:
        o.add(cone(0.55 * w, h, 0.36 * w, 20).at(z=z), colour)
    front = -d / 2 if body == "box" else -0.46 * w
    panel = o.pick("black", "white", "water") if colour not in ("white",) else "black"
    o.add(box(0.56 * w, 0.07, 0.4 * h).at(0, front, z + 0.34 * h), panel)
    o.add(
        [disc(0.045, 0.07, 10).at((k - 1) * 0.16 * w, front - 0.04, z + 0.46 * h) for k in range(3)],
        o.pick("red", "yellow", "lit glass"),
    )
    o.add([box(0.3 * w, 0.08, 0.04).at(0, front - 0.02, z + 0.6 * h)], "lit glass")
    arm, up = o.between(0.34, 0.5), o.pick(-1.2, -1.2, -0.8, 0.9)
    for s in (-1, 1):
        raise_ = up if s == 1 else -1.2
        sx, sz = s * (0.5 * w + 0.05), z + 0.84 * h
        ex, ez = sx + s * (0.06 + arm * cos(raise_) * 0.8), sz + arm * sin(raise_)
        o.add(ball(0.1, sides=12, levels=8).at(sx, 0, sz), trim)
        o.add(rod((sx, 0, sz), (ex, -0.05, ez), 0.055, 10), colour)
        o.add(ball(0.08, sides=10, levels=8).at(ex, -0.05, ez), trim)
        o.add(
            [
                beam(
                    (ex + t * 0.05, -0.06, ez),
                    (ex + t * 0.07 + s * 0.04 * cos(raise_), -0.08, ez + 0.14 * (1 if raise_ > 0 else -1)),
                    0.05,
                )
                for t in (-1, 1)
            ],
            trim,
        )
    o.add(cylinder(0.1, 0.1, 12).at(z=z + h - 0.01), trim)
    hz, hw = z + h + 0.07, o.between(0.3, 0.44)
    kind = o.pick("box", "box", "dome", "ball")
    if kind == "box":
        o.add(box(hw, 0.8 * hw, 0.75 * hw, 0.03).at(z=hz), colour)
        top, face = hz + 0.75 * hw, -0.4 * hw
    elif kind == "dome":
        o.add([cylinder(0.5 * hw, 0.3 * hw).at(z=hz), dome(0.5 * hw, 0.45 * hw).at(z=hz + 0.3 * hw)], colour)
        top, face = hz + 0.75 * hw, -0.47 * hw
    else:
        o.add(ball(0.48 * hw).at(z=hz + 0.44 * hw), colour)
        top, face = hz + 0.9 * hw, -0.42 * hw
    eye = o.pick("lit glass", "white", "water") if colour != "white" else "water"
    if o.chance(0.25):
        o.add(disc(0.15, 0.1, 16).at(0, face, hz + 0.46 * hw), eye)
        o.add(disc(0.06, 0.15, 12).at(0, face, hz + 0.46 * hw), "black")
        eyes = "one big eye"
    else:
        o.add([disc(0.07, 0.09, 14).at(s * 0.22 * hw, face, hz + 0.48 * hw) for s in (-1, 1)], eye)
        o.add([disc(0.035, 0.14, 10).at(s * 0.22 * hw, face, hz + 0.48 * hw) for s in (-1, 1)], "black")
        eyes = "two round eyes"
    o.add(box(0.5 * hw, 0.08, 0.045).at(0, face + 0.01, hz + 0.14 * hw), "black")
    details = [eyes]
    if o.chance(0.7):
        for s in o.pick((0,), (-1, 1)):
            o.add(
                [
                    rod((s * 0.25 * hw, 0, top - 0.03), (s * 0.35 * hw, 0, top + 0.2), 0.025, 6),
                    ball(0.05, sides=8, levels=6).at(s * 0.35 * hw, 0, top + 0.22),
                ],
                "red" if colour != "red" else "yellow",
            )
        details.append("an antenna")
    if base == "tracks":
        details.append("tracks")
    o.describe(
        colour=colour,
        size="tall" if leg + h > 1.05 else "",
        details=details,
        body=body,
        head=kind,
        base=base,
        synonyms=("toy robot",),
    )


BUILDERS = {
    "television": television,
    "computer": computer,
    "camera": camera,
    "robot": robot,
}
