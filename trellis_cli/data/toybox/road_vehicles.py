"""Cars, trucks, buses, driving towards -y, and what vehicles share."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Pair,
    Part,
    Real,
    across,
    ball,
    beam,
    box,
    cylinder,
    disc,
    wheel,
)
from trellis_cli.data.toybox.toy import Toy

PAINTS = ("red", "blue", "green", "yellow", "white", "black", "grey", "orange", "purple", "pink")


def wheels(o: Toy, spots: list[float], track: Real, r: Real, w: Real, hub: str = "metal") -> None:
    """A pair of wheels at each y, their outer sides `track` apart."""
    for y in spots:
        for s in (-1, 1):
            x = s * (track - w) / 2
            o.add(wheel(r, w).at(x, y, r), "rubber")
            o.add(
                cylinder(0.55 * r, w + 0.03, 14).at(z=-(w + 0.03) / 2).turned("y", QUARTER).at(x + s * 0.012, y, r), hub
            )


def lights(o: Toy, w: Real, front: Real, back: Real, z: Real, size: Real, *, back_z: Real | None = None) -> None:
    """Head lamps at y = front, tail lamps at y = back."""
    x = w / 2 - 1.1 * size
    o.add([disc(size, 0.06, 12).at(s * x, front, z) for s in (-1, 1)], "lit glass")
    o.add([box(1.6 * size, 0.06, 1.2 * size).at(s * x, back, (back_z or z) - 0.6 * size) for s in (-1, 1)], "red")


def body(side: list[Pair], w: Real, tumble: Real = 1.0) -> Part:
    """A vehicle's skin from its side view in (y, z); the sides lean in so that the top is `tumble` as wide."""
    part = across(side, w)
    z = part.vertices[:, 2]
    share = (z - z.min()) / (z.max() - z.min())
    v = part.vertices.copy()
    v[:, 0] *= 1 + (tumble - 1) * share
    return Part(v, part.faces)


CABINS = {  # along a car: the foot and head of the windscreen, the head and foot of the rear window
    "saloon": (-0.22, -0.06, 0.2, 0.36),
    "hatchback": (-0.2, -0.02, 0.34, 0.47),
    "estate": (-0.2, -0.05, 0.44, 0.49),
    "beetle": (-0.2, -0.06, 0.2, 0.46),
    "sports": (-0.12, 0.06, 0.2, 0.4),
    "jeep": (-0.14, -0.1, 0.47, 0.49),
    "pickup": (-0.2, -0.08, 0.1, 0.14),
    "mini": (-0.25, -0.08, 0.36, 0.46),
}


def car(o: Toy) -> None:
    colour = o.pick(*PAINTS)
    style = o.pick("saloon", "saloon", "hatchback", "estate", "beetle", "sports", "jeep", "pickup", "mini")
    length = {
        "saloon": 2.1,
        "hatchback": 1.75,
        "estate": 2.1,
        "beetle": 1.75,
        "sports": 2.0,
        "jeep": 1.75,
        "pickup": 2.2,
        "mini": 1.35,
    }[style] * o.between(0.94, 1.08)
    w = o.between(0.82, 0.95)
    r = o.between(0.17, 0.21) * (1.2 if style == "jeep" else 1)
    low, belt = 0.62 * r, r + o.between(0.26, 0.34) * (0.8 if style == "sports" else 1)
    roof_z = belt + {"sports": 0.22, "jeep": 0.38, "mini": 0.4}.get(style, 0.31) * o.between(0.92, 1.1)
    f, b = -length / 2, length / 2
    hood, boot = belt - o.between(0.02, 0.1), belt - o.between(0.0, 0.06)
    y0, y1, y2, y3 = (c * length for c in CABINS[style])
    nose = {"sports": 0.62, "beetle": 0.66}.get(style, 0.84) * hood
    if style == "beetle":
        arc = [(0.99 * b * cos(a), low + 0.12 + (belt - low - 0.1) * sin(a)) for a in (pi * k / 12 for k in range(13))]
        o.add(body([(f, low), (b, low), *arc], w, 0.9), colour)
    else:
        o.add(
            body(
                [
                    (f, low),
                    (b, low),
                    (b, 0.92 * boot),
                    (b - 0.06, boot),
                    (y3, belt),
                    (y0, belt),
                    (f + 0.1, hood),
                    (f, nose),
                ],
                w,
                0.94,
            ),
            colour,
        )
    glass = o.pick("dark glass", "dark glass", "glass")
    o.add(body([(y0, belt - 0.02), (y3, belt - 0.02), (y2, roof_z - 0.02), (y1, roof_z - 0.02)], 0.92 * w, 0.86), glass)
    if style != "sports" or o.chance(0.6):
        o.add(
            body(
                [
                    (y1 - 0.03, roof_z - 0.05),
                    (y2 + 0.03, roof_z - 0.05),
                    (y2 - 0.01, roof_z + 0.02),
                    (y1 + 0.03, roof_z + 0.02),
                ],
                0.84 * w,
                0.94,
            ),
            colour,
        )
    mid = (y1 + y2) / 2
    for s in (-1, 1):
        x = s * 0.43 * w
        for low_y, high_y in ((y0, y1), (y3, y2), (mid, mid)):
            o.add(beam((x * 1.06, low_y, belt - 0.02), (x * 0.93, high_y, roof_z - 0.01), 0.055), colour)
    axle = (f + o.between(0.17, 0.2) * length, b - o.between(0.18, 0.21) * length)
    for y in axle:
        o.add(
            [cylinder(1.2 * r, 0.02, 18).at(z=-0.01).turned("y", QUARTER).at(s * w / 2, y, r) for s in (-1, 1)], "black"
        )
    wheels(o, list(axle), w + 0.06, r, 0.15, o.pick("metal", "white", "grey"))
    lights(o, w, f + 0.01, b, 0.5 * (low + hood) + 0.06, 0.075, back_z=0.72 * boot)
    o.add([box(w + 0.02, 0.1, 0.09).at(0, y, low) for y in (f + 0.02, b - 0.02)], o.pick("metal", "dark metal"))
    o.add(box(0.4 * w, 0.04, 0.09).at(0, f, low + 0.13), "black")
    o.add([box(0.08, 0.06, 0.06).at(s * (0.5 * w + 0.03), y0 + 0.08, belt - 0.01) for s in (-1, 1)], colour)
    details = []
    if style == "pickup":
        o.add(box(0.8 * w, b - y3 - 0.16, 0.04).at(0, (b + y3) / 2 + 0.02, belt - 0.03), "black")
        details.append("an open bed")
    if style == "jeep":
        o.add(wheel(0.9 * r, 0.12).turned("z", QUARTER).at(0, b + 0.06, belt - 0.08), "rubber")
        details.append("a spare wheel")
    if style == "sports" and o.chance(0.6):
        o.add(box(0.9 * w, 0.12, 0.04).at(0, b - 0.08, belt + 0.12), colour)
        o.add([box(0.05, 0.08, 0.16).at(s * 0.3 * w, b - 0.08, belt - 0.04) for s in (-1, 1)], colour)
        details.append("a spoiler")
    if style in ("estate", "jeep", "hatchback") and o.chance(0.35):
        o.add(
            [beam((s * 0.3 * w, y1 + 0.05, roof_z + 0.05), (s * 0.3 * w, y2, roof_z + 0.05), 0.045) for s in (-1, 1)],
            "dark metal",
        )
        o.add(box(0.5 * w, 0.4, 0.14).at(0, mid, roof_z + 0.04), o.pick("brown", "red", "blue"))
        details.append("luggage on the roof")
    if style == "saloon" and o.chance(0.2):
        o.add(box(0.32, 0.12, 0.09).at(0, mid, roof_z + 0.02), "lit glass")
        details.append("a taxi sign")
    if style in ("sports", "mini", "saloon") and o.chance(0.25):
        stripe = o.pick(*(p for p in ("white", "black", "red") if p != colour))
        o.add(
            body([(f + 0.09, hood - 0.01), (f + 0.1, hood + 0.015), (y0, belt + 0.015), (y0, belt - 0.02)], 0.26 * w),
            stripe,
        )
        details.append(f"a {stripe} stripe")
    words = {"saloon": "", "sports": "sports", "mini": "mini", "estate": "estate"}
    own = {"jeep": ("jeep",), "pickup": ("pickup truck",)}.get(style, ())
    o.describe(
        colour=colour,
        style=words.get(style, ""),
        size="small" if style == "mini" else "",
        details=details or [f"{'dark' if glass == 'dark glass' else 'clear'} windows"],
        body=style,
        synonyms=("automobile", "toy car", *own),
    )


def _cab(o: Toy, w: Real, y: Real, depth: Real, z: Real, h: Real, colour: str, slope: Real) -> None:
    """A driver's cab whose front is at y, with windows on three sides."""
    o.add(across([(y, z), (y + depth, z), (y + depth, z + h), (y + slope, z + h), (y, z + 0.5 * h)], w), colour)
    tilt = across(
        [
            (y + 0.1 * slope - 0.02, z + 0.54 * h),
            (y + 0.9 * slope - 0.02, z + 0.94 * h),
            (y + slope + 0.05, z + 0.94 * h),
            (y + 0.1, z + 0.54 * h),
        ],
        0.86 * w,
    )
    o.add(tilt, "dark glass")
    o.add(box(w + 0.03, 0.55 * depth, 0.36 * h).at(0, y + 0.58 * depth, z + 0.54 * h), "dark glass")
    o.add(box(w + 0.06, 0.05, 0.05).at(0, y + 0.75 * depth, z + 0.42 * h), "metal")


def truck(o: Toy) -> None:
    colour, load = o.pick(*PAINTS), o.pick("box", "box", "dump", "tank", "flatbed", "logs")
    second = o.colour(colour) if load in ("box", "tank") and o.chance(0.5) else colour
    w, r = o.between(0.7, 0.85), o.between(0.16, 0.2)
    z, hood = 1.1 * r, o.chance(0.4)
    depth, h, cargo = o.between(0.5, 0.62), o.between(0.62, 0.8), o.between(1.1, 1.7)
    f = -(cargo + depth) / 2
    if hood:
        o.add(box(0.86 * w, 0.42, 0.5 * h, 0.03).at(0, f - 0.17, z), colour)
        o.add(box(0.6 * w, 0.05, 0.32 * h).at(0, f - 0.39, z + 0.06), "metal")
    _cab(o, w, f, depth, z, h, colour, 0.08 if hood else 0.12)
    front = f - 0.38 if hood else f
    b = f + depth + cargo
    o.add(box(0.7 * w, b - front, 0.12).at(0, (b + front) / 2, z - 0.08), "dark metal")
    o.add(box(1.02 * w, 0.12, 0.14).at(0, front, z - 0.06), o.pick("metal", "dark metal"))
    lights(o, w, front - 0.03, b + 0.02, z + 0.16, 0.07, back_z=z + 0.02)
    axles = [front + 0.3, b - 0.3] + ([b - 0.3 - 2.15 * r] if cargo > 1.35 or o.chance(0.4) else [])
    wheels(o, axles, w + 0.04, r, 0.17)
    y, deck, start = f + depth + cargo / 2 + 0.03, z + 0.05, f + depth + 0.05
    tall = o.between(0.55, 0.9)
    if load == "box":
        o.add(box(w, cargo - 0.05, tall).at(0, y, deck), second)
        o.add([box(w + 0.03, 0.05, tall).at(0, yy, deck) for yy in (start + 0.02, b - 0.03)], "metal")
        words = f"a {second} box"
    elif load == "tank":
        o.add(cylinder(0.46 * w, cargo - 0.06, 20).turned("x", -QUARTER).at(0, start, deck + 0.46 * w), second)
        o.add(
            [
                cylinder(0.48 * w, 0.06, 20).turned("x", -QUARTER).at(0, start + k * cargo, deck + 0.46 * w)
                for k in (0.2, 0.7)
            ],
            "metal",
        )
        o.add(cylinder(0.12, 0.1, 12).at(0, y, deck + 0.88 * w), "metal")
        words = f"a {second} tank"
    elif load == "dump":
        bed = across([(start, 0), (b, 0), (b + 0.14, 0.6 * tall), (start - 0.05, 0.6 * tall)], w)
        o.add(bed.at(z=deck), colour)
        o.add(box(0.86 * w, cargo - 0.1, 0.05).at(0, y + 0.03, deck + 0.58 * tall), "soil")
        o.add(ball(0.36 * w, 0.4 * cargo, 0.2, 14, 8).at(0, y, deck + 0.58 * tall), "soil")
        words = "a load of soil"
    elif load == "flatbed":
        o.add(box(w, cargo - 0.05, 0.07).at(0, y, deck), "wood", "boards")
        for k in range(o.whole(2, 5)):
            s = o.between(0.24, 0.36)
            o.add(
                box(s, s, s)
                .turned("z", o.between(-0.2, 0.2))
                .at((k % 2 - 0.5) * 0.42 * w, start + 0.25 + 0.3 * k * cargo / 2.4, deck + 0.06),
                "pale wood",
                "planks",
            )
        words = "wooden crates"
    else:
        q = 0.15 * w
        o.add(
            [box(0.05, 0.05, 0.5).at(s * (w / 2 - 0.02), yy, deck) for s in (-1, 1) for yy in (start + 0.2, b - 0.2)],
            "dark metal",
        )
        for row, n in enumerate((3, 2, 1)):
            spots = [((k - (n - 1) / 2) * 2 * q, deck + 0.05 + q + row * 1.75 * q) for k in range(n)]
            o.add([cylinder(q, cargo - 0.08, 10).turned("x", -QUARTER).at(x, start, zz) for x, zz in spots], "log")
        words = "a load of logs"
    details = [words]
    if o.chance(0.3):
        o.add(
            [cylinder(0.04, 0.7 * h + 0.2, 8).at(s * (w / 2 - 0.05), f + depth + 0.02, z + 0.3 * h) for s in (-1, 1)],
            "metal",
        )
        details.append("exhaust pipes")
    o.describe(
        colour=colour,
        style={"dump": "dump", "tank": "tanker"}.get(load, ""),
        details=details,
        load=load,
        hood=str(hood),
        synonyms=("lorry",),
        size="long" if cargo > 1.5 else "",
    )


def bus(o: Toy) -> None:
    colour = o.pick(*PAINTS)
    double = o.chance(0.3)
    length, w, r = o.between(1.45, 2.9), o.between(0.66, 0.82), o.between(0.13, 0.18)
    z, h = 0.9 * r, (o.between(1.05, 1.2) if double else o.between(0.66, 0.8))
    f, b = -length / 2, length / 2
    nose = o.pick("flat", "flat", "hood", "slope")
    start = f + 0.34 if nose == "hood" else f
    side = [
        (start, z),
        (b, z),
        (b, z + h - 0.06),
        (b - 0.06, z + h),
        (start + 0.1, z + h),
        (start, z + (0.55 if nose == "slope" else 0.9) * h),
    ]
    o.add(body(side, w, 0.95), colour)
    if nose == "hood":
        o.add(box(0.8 * w, 0.42, 0.4 * h, 0.03).at(0, f + 0.2, z), colour)
        o.add(box(0.5 * w, 0.05, 0.2 * h).at(0, f, z + 0.1 * h), "dark metal")
    roof_colour = o.pick(colour, colour, "white" if colour != "white" else "red")
    o.add(box(0.9 * w, length - (start - f) - 0.14, 0.05).at(0, (start + b) / 2 + 0.02, z + h - 0.02), roof_colour)
    decks = [(0.34 * h, 0.2 * h), (0.68 * h, 0.2 * h)] if double else [(0.5 * h, 0.34 * h)]
    count = o.whole(4, 7)
    run = b - start - 0.1
    for at, tall in decks:
        for k in range(count):
            o.add(
                box(w + 0.02, 0.74 * run / count, tall).at(0, start + 0.08 + (k + 0.5) * run / count, z + at),
                "dark glass",
            )
        o.add(box(0.82 * w, 0.06, tall).at(0, start + (0.02 if nose != "slope" else 0.04), z + at), "dark glass")
        o.add(box(0.8 * w, 0.06, tall).at(0, b, z + at), "dark glass")
    o.add(box(0.05, 0.2, 0.58 * h).at(w / 2, start + 0.2, z + 0.03), "dark metal")
    stripe = o.pick("white", "black", "yellow", "red")
    if stripe != colour:
        o.add(box(w + 0.025, b - start - 0.04, 0.07).at(0, (start + b) / 2, z + 0.2 * h), stripe)
    lights(o, w, f - 0.01, b + 0.01, z + 0.16 * h, 0.065)
    o.add([box(w + 0.02, 0.08, 0.09).at(0, y, z - 0.03) for y in (f, b)], "dark metal")
    wheels(o, [f + 0.2 * length, b - 0.22 * length], w + 0.03, r, 0.14)
    o.add(box(0.5 * w, 0.06, 0.09).at(0, start + 0.02, z + h - 0.12), "yellow" if colour != "yellow" else "black")
    details = [
        f"a {stripe} stripe" if stripe != colour else "",
        f"a {roof_colour} roof" if roof_colour != colour else "",
        "many windows",
    ]
    o.describe(
        colour=colour,
        style="double-decker" if double else {"hood": "school"}.get(nose, ""),
        size="long" if length > 2.5 else "small" if length < 2.0 else "",
        details=details,
        nose=nose,
        synonyms=("coach", "city bus"),
    )


BUILDERS = {
    "car": car,
    "truck": truck,
    "bus": bus,
}
