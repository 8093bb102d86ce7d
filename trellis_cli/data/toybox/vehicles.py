"""Trains, tractors, bicycles, all driving towards -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Part,
    Real,
    across,
    ball,
    beam,
    box,
    cone,
    cylinder,
    disc,
    lathe,
    ring,
    rod,
    wheel,
)
from trellis_cli.data.toybox.road_vehicles import PAINTS, body, wheels
from trellis_cli.data.toybox.toy import Toy


def train(o: Toy) -> None:
    colour, steam = o.pick(*PAINTS), o.chance(0.6)
    w, r = o.between(0.5, 0.6), o.between(0.12, 0.16)
    cars, y = o.whole(0, 2), 0.0
    z = 1.5 * r
    trim = o.colour(colour, "grey")
    if steam:
        length, bore = o.between(0.8, 1.1), o.between(0.19, 0.25)
        o.add(box(w, length + 0.62, 0.12).at(0, (length + 0.62) / 2, z - 0.06), trim)
        o.add(cylinder(bore, length, 20).turned("x", -QUARTER).at(0, 0.02, z + bore + 0.04), colour)
        o.add(
            [
                cylinder(1.06 * bore, 0.06, 20).turned("x", -QUARTER).at(0, s * length, z + bore + 0.04)
                for s in (0.01, 0.5, 0.85)
            ],
            o.pick("gold", "black"),
        )
        o.add(disc(0.6 * bore, 0.05, 16).at(0, 0.02, z + bore + 0.04), "dark metal")
        top, tall = z + 2 * bore, o.between(0.24, 0.4)
        o.add(
            o.pick(
                cylinder(0.085, tall, 12),
                cone(0.07, tall, 0.14),
                lathe([(0, 0), (0.07, 0), (0.07, 0.6 * tall), (0.14, 0.8 * tall), (0.1, tall), (0, tall)], 14),
            ).at(0, 0.16, top - 0.02),
            "black",
        )
        o.add(_steam_dome(o, 0.1).at(0, 0.45 * length, top), "gold")
        cab_y, h = length - 0.02, 0.62 + bore
        o.add(box(w, 0.5, h).at(0, cab_y + 0.27, z), colour)
        o.add(
            [
                box(w + 0.03, 0.26, 0.24).at(0, cab_y + 0.27, z + 0.56 * h),
                box(0.7 * w, 0.53, 0.2).at(0, cab_y + 0.27, z + 0.62 * h),
            ],
            "dark glass",
        )
        o.add(box(w + 0.14, 0.66, 0.07).at(0, cab_y + 0.28, z + h), trim)
        o.add(across([(-0.02, z - 0.05), (-0.2, 0.05), (0.0, 0.03)], 0.8 * w), "dark metal")
        o.add(disc(0.07, 0.08, 12).at(0, -0.01, top + 0.02), "lit glass")
        small, big = r, 1.35 * r
        for yy, rr in ((0.2, small), (0.2 + 2.2 * small, small), (length - 0.1, big), (length + 0.38, big)):
            wheels(o, [yy], w + 0.06, rr, 0.09, trim)
        y = length + 0.62
    else:
        length, h = o.between(1.3, 1.7), o.between(0.55, 0.68)
        slope = o.between(0.15, 0.5)
        o.add(body([(0, z), (length, z), (length, z + h), (slope, z + h), (0.05, z + 0.45 * h)], w, 0.92), colour)
        low, high = (0.05 + 0.1 * slope - 0.03, z + 0.5 * h), (0.05 + 0.8 * (slope - 0.05) - 0.03, z + 0.9 * h)
        o.add(across([low, high, (high[0] + 0.08, high[1]), (low[0] + 0.08, low[1])], 0.76 * w), "dark glass")
        for k in range(n := o.whole(3, 5)):
            o.add(
                box(0.98 * w, 0.6 * (length - slope) / n, 0.26 * h).at(
                    0, slope + (k + 0.55) * (length - slope - 0.08) / n, z + 0.54 * h
                ),
                "dark glass",
            )
        o.add(box(w + 0.02, length - 0.1, 0.09).at(0, length / 2 + 0.06, z + 0.22 * h), trim)
        o.add(box(0.8 * w, length, 0.1).at(0, length / 2 + 0.05, z - 0.08), "dark metal")
        wheels(o, [0.25, 0.25 + 2.3 * r, length - 0.25 - 2.3 * r, length - 0.25], w, r, 0.09)
        o.add([disc(0.05, 0.05, 10).at(s * 0.16, 0.0, z + 0.14) for s in (-1, 1)], "lit glass")
        y = length
    kinds = []
    for _ in range(cars):
        length = o.between(0.75, 1.1)
        kind = o.pick("passenger", "coal", "box") if steam else "passenger"
        paint = o.colour() if steam else colour
        kinds.append(kind)
        o.add(box(0.12, 0.3, 0.08).at(0, y + 0.06, z), "dark metal")
        mid = y + 0.14 + length / 2
        o.add(box(0.94 * w, length, 0.12).at(0, mid, z - 0.06), "dark metal")
        wheels(o, [mid - 0.3 * length, mid + 0.3 * length], w + 0.02, r, 0.09)
        if kind == "coal":
            o.add(box(w, length, 0.34).at(0, mid, z + 0.04), paint)
            o.add(ball(0.42 * w, 0.44 * length, 0.16, 12, 8).at(0, mid, z + 0.36), "black")
        else:
            o.add(box(w, length, 0.55, 0.03).at(0, mid, z + 0.04), paint)
            o.add(box(w + 0.06, length + 0.04, 0.06).at(0, mid, z + 0.57), trim)
            if kind == "passenger":
                o.add(
                    [box(w + 0.02, 0.2 * length, 0.2).at(0, mid + k * 0.29 * length, z + 0.28) for k in (-1, 0, 1)],
                    "dark glass",
                )
            else:
                o.add(box(w + 0.03, 0.36 * length, 0.42).at(0, mid, z + 0.08), "wood", "boards")
        y += length + 0.14
    number = {0: "", 1: "one wagon", 2: "two wagons"}[cars]
    o.describe(
        colour=colour,
        style="steam" if steam else "modern",
        size="long" if cars == 2 else "",
        details=["a tall chimney" if steam else f"a {trim} stripe", number],
        wagons="+".join(kinds),
        synonyms=("locomotive", "toy train") if cars == 0 else ("railway train", "toy train"),
    )


def _steam_dome(o: Toy, r: Real) -> Part:
    """A boiler's dome, of one of two shapes."""
    return lathe([(0, -0.03), (r, -0.03), (r, 0.06), (o.between(0.4, 0.8) * r, 0.13), (0, 0.15)], 14)


def tractor(o: Toy) -> None:
    colour, cab = o.pick("red", "green", "blue", "yellow", "orange"), o.chance(0.55)
    big, small, w = o.between(0.38, 0.46), o.between(0.2, 0.26), o.between(0.36, 0.46)
    z, length = 0.85 * small, o.between(0.8, 1.05)
    o.add(box(0.9 * w, length, 0.4, 0.05).at(0, -0.35 * length - 0.05, z + 0.1), colour)
    o.add(box(0.7 * w, 0.05, 0.28).at(0, -0.85 * length - 0.06, z + 0.14), "dark metal")
    o.add(box(0.6 * w, 1.5 * length, 0.18).at(0, -0.1 * length, z), "dark metal")
    o.add(cylinder(0.04, 0.36, 10).at(0.1, -0.5 * length, z + 0.45), "dark metal")
    hub = o.pick("yellow", "white", "grey")
    for s in (-1, 1):
        for r, wide, y, x in ((big, 0.2, 0.4 * length, w / 2 + 0.12), (small, 0.15, -0.6 * length, w / 2 + 0.08)):
            o.add(wheel(r, wide, 18).at(s * x, y, r), "rubber")
            o.add(disc(0.55 * r, wide + 0.04, 14).turned("z", QUARTER).at(s * x, y, r), hub)
        guard = across(
            [
                (0.4 * length - big, 1.7 * big),
                (0.4 * length + 0.9 * big, 1.7 * big),
                (0.4 * length + 0.6 * big, 2.12 * big),
                (0.4 * length - 0.6 * big, 2.12 * big),
            ],
            0.2,
        )
        o.add(guard.at(s * (w / 2 + 0.1)), colour)
    seat = z + 0.5
    o.add(box(0.8 * w, 0.3, 0.12).at(0, 0.42 * length, seat - 0.04), "black")
    o.add(box(0.8 * w, 0.1, 0.3).at(0, 0.42 * length + 0.16, seat), "black")
    o.add(box(w, 0.7 * length, 0.1).at(0, 0.4 * length, z + 0.32), colour)
    o.add(
        [
            rod((0, 0.1 * length, z + 0.4), (0, 0.2 * length, seat + 0.26), 0.03),
            ring(0.1, 0.025, 14).turned("x", 0.9).at(0, 0.2 * length, seat + 0.26),
        ],
        "black",
    )
    o.add([disc(0.055, 0.06, 10).at(s * 0.13, -0.85 * length - 0.06, z + 0.42) for s in (-1, 1)], "lit glass")
    details = [f"{hub} hubs"]
    if cab:
        y0, y1, tall = 0.12 * length, 0.72 * length, seat + 0.66
        o.add(
            [box(0.06, 0.06, tall - z - 0.3).at(s * (w / 2), y, z + 0.3) for s in (-1, 1) for y in (y0, y1)],
            "dark metal",
        )
        o.add(box(w + 0.2, y1 - y0 + 0.2, 0.07, 0.02).at(0, (y0 + y1) / 2, tall), colour)
        details.append("a roof")
    if o.chance(0.35):
        back = 0.4 * length + big + 0.5
        paint = o.colour(colour, "grey")
        o.add(box(0.1, 0.5, 0.07).at(0, 0.4 * length + big, z + 0.1), "dark metal")
        o.add(box(w + 0.2, 0.8, 0.34).at(0, back + 0.2, z + 0.12), paint)
        o.add(ball(0.5 * w, 0.34, 0.2, 12, 8).at(0, back + 0.2, z + 0.44), "straw")
        wheels(o, [back + 0.25], w + 0.34, small, 0.14, hub)
        details.append(f"a {paint} trailer")
    o.describe(colour=colour, details=details, cab=str(cab), synonyms=("farm tractor",))


def bicycle(o: Toy) -> None:
    colour = o.pick(*PAINTS)
    r, base = o.between(0.3, 0.36), o.between(0.92, 1.08)
    t, f, b = 0.035, -base / 2, base / 2
    for y in (f, b):
        o.add(ring(r, 0.04, 28).turned("y", QUARTER).at(0, y, r + 0.04), "rubber")
        o.add(cylinder(0.06, 0.12, 10).at(z=-0.06).turned("y", QUARTER).at(0, y, r + 0.04), "metal")
        for k in range(3):
            a = pi * k / 3
            o.add(
                rod((0, y - r * cos(a), r + 0.04 - r * sin(a)), (0, y + r * cos(a), r + 0.04 + r * sin(a)), 0.014, 6),
                "metal",
            )
    hub = r + 0.04
    crank, seat = (0, 0.04, hub - 0.02), (0, 0.17, hub + o.between(0.36, 0.44))
    head = (0, f + 0.17, hub + o.between(0.36, 0.44))
    low = (0, f + 0.13, head[2] - 0.12)
    step = o.chance(0.35)
    bars = [
        (crank, seat),
        (crank, low),
        ((0, 0.12, hub + 0.1) if step else (seat[0], seat[1] - 0.01, seat[2] - 0.05), head),
    ]
    o.add([rod(p, q, t) for p, q in bars], colour)
    o.add([rod((s * 0.06, b, hub), p, 0.8 * t) for s in (-1, 1) for p in (crank, seat)], colour)
    o.add([rod((s * 0.06, f, hub), low, 0.8 * t) for s in (-1, 1)], colour)
    o.add(rod(low, (0, head[1] + 0.02, head[2] + 0.1), t), colour)
    bar = head[2] + o.between(0.12, 0.2)
    o.add(rod((-0.26, head[1] + 0.03, bar), (0.26, head[1] + 0.03, bar), 0.03), "dark metal")
    o.add([rod((s * 0.25, head[1] + 0.03, bar), (s * 0.27, head[1] + 0.16, bar), 0.036) for s in (-1, 1)], "black")
    o.add(rod(seat, (0, seat[1] + 0.02, seat[2] + 0.12), 0.03), "metal")
    o.add(
        across([(-0.14, 0.03), (0.14, 0), (0.14, 0.08), (-0.14, 0.07)], 0.13).at(0, seat[1] + 0.02, seat[2] + 0.1),
        saddle := o.pick("black", "brown"),
    )
    o.add(cylinder(0.09, 0.04, 14).turned("y", QUARTER).at(0.02, crank[1], crank[2]), "dark metal")
    for s in (-1, 1):
        o.add(beam((s * 0.07, crank[1], crank[2]), (s * 0.07, crank[1] + s * 0.12, crank[2] - s * 0.1), 0.035), "metal")
        o.add(box(0.12, 0.1, 0.035).at(s * 0.13, crank[1] + s * 0.12, crank[2] - s * 0.1 - 0.02), "black")
    details = [f"a {saddle} saddle"]
    if o.chance(0.4):
        o.add(
            [box(0.3, 0.22, 0.2).at(0, f + 0.02, bar - 0.14), box(0.34, 0.26, 0.04).at(0, f + 0.02, bar + 0.05)],
            "wood",
            "weave",
        )
        details.append("a basket")
    if o.chance(0.35):
        o.add(box(0.14, 0.34, 0.035).at(0, b - 0.05, 2 * r + 0.14), "dark metal")
        o.add(rod((0, b, hub), (0, b, 2 * r + 0.15), 0.03), "dark metal")
        details.append("a luggage rack")
    o.describe(colour=colour, details=details, frame="step-through" if step else "diamond", synonyms=("bike",))


BUILDERS = {
    "train": train,
    "tractor": tractor,
    "bicycle": bicycle,
}
