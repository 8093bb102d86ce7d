"""Sofas, armchairs and beds, facing -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.joinery import CLOTHS, legs
from trellis_cli.data.toybox.parts import (
    Real,
    across,
    box,
    cylinder,
    facing,
    pillow,
)
from trellis_cli.data.toybox.toy import Toy


def _upholstered(o: Toy, seats: int, width: Real, colour: str) -> list[str]:
    """A padded seat for one or more, with back, arms, cushions and feet."""
    d, seat, top = o.between(0.75, 0.95), o.between(0.36, 0.46), o.between(0.74, 1.0)
    arm, arm_top = o.between(0.13, 0.24), o.between(0.54, 0.66)
    soft, style, foot = o.between(0.3, 0.55), o.pick("box", "round", "slope"), o.between(0.05, 0.14)
    back = o.between(0.18, 0.26)
    inner = width - 2 * arm
    o.add(box(width, d, seat - 0.14 - foot, 0.03).at(z=foot), colour, "weave")
    o.add(box(width - 0.04, back, top - foot - 0.04, 0.05).at(0, d / 2 - back / 2, foot), colour, "weave")
    for s in (-1, 1):
        x = s * (width - arm) / 2
        if style == "box":
            o.add(box(arm, d, arm_top - foot, 0.03).at(x, 0, foot), colour, "weave")
        elif style == "round":
            o.add(box(0.85 * arm, d, arm_top - foot - 0.08).at(x, 0, foot), colour, "weave")
            roll = cylinder(0.62 * arm, d, 16).at(z=-d / 2).turned("x", pi / 2)
            o.add(roll.at(x, 0, arm_top - 0.08), colour, "weave")
        else:
            o.add(
                across(
                    [
                        (-d / 2, foot),
                        (d / 2, foot),
                        (d / 2, top - 0.05),
                        (d / 2 - back, top - 0.05),
                        (-d / 2, arm_top - 0.12),
                    ],
                    arm,
                ).at(x),
                colour,
                "weave",
            )
    each, depth = inner / seats, d - back
    for k in range(seats):
        x = (k - (seats - 1) / 2) * each
        o.add(pillow(0.99 * each, depth + 0.04, 0.2, soft).at(x, -back / 2 - 0.02, seat - 0.15), colour, "weave")
        leaning = pillow(0.98 * each, 0.2, top - seat + 0.03, soft).turned("x", -0.16)
        o.add(leaning.at(x, d / 2 - back - 0.06, seat + 0.01), colour, "weave")
    feet = o.pick("wood", "dark wood", "dark metal")
    kind = o.pick("square", "tapered", "round")
    o.add(legs(o, width - 0.06, d - 0.06, foot + 0.01, kind, 0.07), feet)
    details = [{"box": "square arms", "round": "rolled arms", "slope": "sloping arms"}[style]]
    if o.chance(0.5):
        throw = o.colour(colour)
        for s in (-1, 1)[: o.whole(1, 2)] if seats > 1 else (0,):
            size = o.between(0.28, 0.36)
            cushion = pillow(size, 0.14, size, 0.5).turned("x", -0.35).turned("z", -s * 0.35)
            o.add(cushion.at(s * (inner / 2 - 0.2), d / 2 - back - 0.2, seat + 0.03), throw)
        details.insert(0, f"{throw} cushions" if seats > 1 else f"a {throw} cushion")
    return details


def sofa(o: Toy) -> None:
    colour, seats = o.pick(*CLOTHS), o.pick(2, 2, 3, 3, 4)
    width = seats * o.between(0.52, 0.66) + 0.42
    details = _upholstered(o, seats, width, colour)
    if o.chance(0.18):
        s = o.pick(-1, 1)
        o.add(box(0.7, 0.7, 0.26, 0.03).at(s * (width / 2 - 0.36), -0.68, 0.06), colour, "weave")
        o.add(pillow(0.7, 0.74, 0.18, 0.4).at(s * (width / 2 - 0.36), -0.7, 0.26), colour, "weave")
        details.append("a chaise")
    size = {2: "small", 4: "long"}.get(seats, "")
    o.describe(
        colour=colour,
        size=size,
        details=details,
        synonyms=("couch", "settee", "loveseat") if seats == 2 else ("couch", "settee"),
        seats=str(seats),
    )


def armchair(o: Toy) -> None:
    colour = o.pick(*CLOTHS)
    details = _upholstered(o, 1, o.between(0.82, 1.05), colour)
    if o.chance(0.25):
        x, tall = o.between(0.3, 0.36), o.between(0.42, 0.56)
        o.add([pillow(0.13, 0.34, tall, 0.5).at(s * x, 0.2, 0.5) for s in (-1, 1)], colour, "weave")
        details.append("wings")
    o.describe(colour=colour, details=details, synonyms=("easy chair", "lounge chair", "padded chair"))


def bed(o: Toy) -> None:
    made = (o.pick("wood", "wood", "dark wood", "pale wood", "white", o.colour()), None)
    frame_colour = made[0]
    cover = o.pick(*(c for c in CLOTHS if c != frame_colour))
    double = o.chance(0.6)
    w, d = (o.between(1.3, 1.7) if double else o.between(0.8, 1.0)), o.between(1.85, 2.1)
    rail, thick = o.between(0.25, 0.4), o.between(0.18, 0.28)
    o.add(box(w, d, 0.18).at(z=rail - 0.14), *made)
    posts = legs(o, w, d, rail, o.pick("square", "round", "tapered"), 0.1)
    o.add(posts, *made)
    o.add(pillow(w - 0.06, d - 0.08, thick + 0.04, 0.2).at(z=rail), "white")
    top = rail + thick
    back, share = o.between(0.8, 1.25), o.between(0.6, 0.78)
    o.add(pillow(w + 0.04, share * d, thick + 0.1, 0.22).at(0, -(1 - share) * d / 2, rail - 0.02), cover, "weave")
    head = o.pick("panel", "slats", "arched", "padded")
    y = d / 2 - 0.02
    if head == "panel":
        o.add(box(w + 0.06, 0.09, back, 0.02).at(0, y), *made)
    elif head == "arched":
        arc = [(w / 2 * cos(a), 0.75 * back + 0.3 * back * sin(a)) for a in (pi * k / 10 for k in range(11))]
        o.add(facing([(-w / 2, 0), (w / 2, 0), *arc], 0.09).at(0, y), *made)
    elif head == "padded":
        o.add(box(w + 0.04, 0.07, back - 0.02).at(0, y + 0.05), *made)
        n = 3 if double else 2
        o.add(
            [
                pillow(w / n, 0.14, 0.6 * back, 0.35).at((k - (n - 1) / 2) * w / n, y - 0.02, 0.4 * back)
                for k in range(n)
            ],
            cover,
        )
    else:
        o.add([box(0.09, 0.09, back).at(s * (w / 2 - 0.04), y) for s in (-1, 1)], *made)
        o.add([box(w, 0.08, 0.1).at(0, y, back - 0.12), box(w, 0.08, 0.08).at(0, y, top)], *made)
        n = o.whole(4, 7)
        o.add([box(0.07, 0.07, back - 0.1 - top).at((k - (n - 1) / 2) * 0.9 * w / n, y, top) for k in range(n)], *made)
    count = 2 if double else 1
    for k in range(count):
        o.add(
            pillow(0.84 * w / count, 0.38, 0.17, 0.5).at(
                (k - (count - 1) / 2) * 0.94 * w / count, d / 2 - 0.32, top - 0.01
            ),
            "white",
        )
    details = [f"a {cover} blanket", f"{'pillows' if double else 'a pillow'}"]
    if o.chance(0.4):
        o.add(box(w + 0.06, 0.08, o.between(0.45, 0.65), 0.02).at(0, -d / 2), *made)
    if o.chance(0.15):
        tall = o.between(1.5, 1.8)
        o.add([box(0.08, 0.08, tall).at(sx * w / 2, sy * (d / 2 - 0.02)) for sx in (-1, 1) for sy in (-1, 1)], *made)
        o.add(box(w + 0.16, d + 0.1, 0.1).at(z=tall), cover)
        details.append("a canopy")
    o.describe(
        colour=cover,
        size="large" if double else "small",
        style="double" if double else "single",
        details=details,
        head=head,
        frame=frame_colour,
        synonyms=("double bed",) if double else ("single bed",),
    )


BUILDERS = {
    "sofa": sofa,
    "armchair": armchair,
    "bed": bed,
}
