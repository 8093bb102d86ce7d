"""Chairs, rocking chairs, office chairs, stools, benches. Seats face -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.joinery import CLOTHS, frame_finish, legs
from trellis_cli.data.toybox.parts import (
    Part,
    Point,
    Real,
    across,
    ball,
    beam,
    box,
    cylinder,
    facing,
    lathe,
    pillow,
    radial,
    ring,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def _backrest(o: Toy, w: Real, top: Real, seat: Real, y: Real, size: Real, kind: str, lean: Real) -> list[Part]:
    """A chair's back from the seat's height to the top, at depth y, leaning back."""

    def at(x: Real, z: Real) -> Point:
        return x, y + lean * (z - seat), z

    x = w / 2 - size / 2
    if kind == "solid":
        panel = across(
            [
                (y - size / 2, seat),
                (y + size / 2, seat),
                (y + lean * (top - seat) + size / 2, top),
                (y + lean * (top - seat) - size / 2, top),
            ],
            w,
        )
        return [panel]
    if kind == "round":
        n = 12
        arc = [(x * cos(a), sin(a)) for a in (pi * k / n for k in range(n + 1))]
        bow = tube([at(px, seat + s * (top - seat)) for px, s in arc], 0.55 * size)
        count = o.whole(2, 4)
        spots = [(k - (count - 1) / 2) * w / (count + 1) for k in range(count)]
        return [bow] + [
            rod(at(s, seat), at(s, seat + (top - seat) * (1 - (s / x) ** 2) ** 0.5), 0.4 * size, 8) for s in spots
        ]
    parts = [beam(at(s * x, seat - size), at(s * x, top), size) for s in (-1, 1)]
    parts.append(beam(at(-x, top - size), at(x, top - size), 1.8 * size if kind != "ladder" else size))
    if kind == "ladder":
        count = o.whole(2, 4)
        parts += [
            beam(
                at(-x, seat + (top - seat) * (k + 0.6) / (count + 0.4)),
                at(x, seat + (top - seat) * (k + 0.6) / (count + 0.4)),
                size,
            )
            for k in range(count - 1)
        ]
        return parts
    if kind == "splat":
        low, high = at(0, seat), at(0, top - size)
        return [
            *parts,
            across(
                [
                    (low[1] - 0.4 * size, seat),
                    (low[1] + 0.4 * size, seat),
                    (high[1] + 0.4 * size, high[2]),
                    (high[1] - 0.4 * size, high[2]),
                ],
                o.between(0.3, 0.5) * w,
            ),
        ]
    count = o.whole(2, 5)
    spots = [(k - (count - 1) / 2) * 1.7 * x / (count + 0.4) for k in range(count)]
    return parts + [beam(at(s, seat), at(s, top - size), 0.8 * size) for s in spots]


def chair(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, seat, top = o.between(0.42, 0.56), o.between(0.42, 0.54), o.between(0.4, 0.52), o.between(0.82, 1.15)
    size, kind = o.between(0.045, 0.065), o.pick("square", "square", "round", "tapered", "turned", "splayed")
    disc_seat = o.chance(0.25)
    inset = 0.72 if disc_seat else 1.0  # legs and back stay under a round seat
    o.add(legs(o, inset * w, inset * d, seat, kind, size), *made)
    if disc_seat:
        o.add(cylinder(0.55 * w, 0.06, 24).scaled(1, d / w, 1).at(z=seat), *made)
    else:
        o.add(box(w, d, 0.06, 0.015).at(z=seat), *made)
    back = o.pick("solid", "ladder", "slats", "splat", "round")
    width, depth = (0.78 * w, 0.42 * d) if disc_seat else (w, d / 2 - size / 2)
    o.add(_backrest(o, width, top, seat + 0.03, depth, size, back, o.between(0.0, 0.22)), *made)
    details = [
        {
            "solid": "a solid back",
            "ladder": "a ladder back",
            "slats": "a slatted back",
            "splat": "",
            "round": "a round back",
        }[back]
    ]
    if o.chance(0.35):
        cushion = o.pick(*(c for c in CLOTHS if c != colour))
        o.add(pillow(0.9 * w, 0.9 * d, 0.09).at(z=seat + 0.045), cushion)
        details.append(f"a {cushion} cushion")
    if o.chance(0.22) and not disc_seat:
        x, high = w / 2, seat + o.between(0.2, 0.28)
        for s in (-1, 1):
            o.add(beam((s * x, -d / 2 + size, seat), (s * x, -d / 2 + size, high), size), *made)
            o.add(box(1.3 * size, 0.98 * d, size).at(s * x, 0, high - size / 2), *made)
        details.append("arms")
    if kind != "splayed" and not disc_seat and o.chance(0.4):
        z = o.between(0.25, 0.5) * seat
        o.add(
            [
                beam((s * (w - size) / 2, -d / 2 + size, z), (s * (w - size) / 2, d / 2 - size, z), 0.8 * size)
                for s in (-1, 1)
            ],
            *made,
        )
        o.add(beam((-w / 2 + size, 0, z), (w / 2 - size, 0, z), 0.8 * size), *made)
    size_word = "tall" if top > 1.06 else "small" if top < 0.88 else ""
    o.describe(
        colour=colour,
        substance=substance,
        size=size_word,
        details=details,
        synonyms=("seat", "dining chair"),
        back=back,
        legs=kind,
    )


def rocking_chair(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, seat, top = o.between(0.5, 0.6), o.between(0.48, 0.58), o.between(0.36, 0.44), o.between(0.95, 1.2)
    size = 0.055
    o.add(legs(o, w, d, seat, o.pick("square", "round", "turned"), size), *made)
    o.add(box(w, d, 0.06, 0.015).at(z=seat), *made)
    o.add(
        _backrest(
            o,
            w,
            top,
            seat + 0.03,
            d / 2 - size / 2,
            size,
            back := o.pick("ladder", "slats", "solid", "round"),
            o.between(0.15, 0.3),
        ),
        *made,
    )
    reach, dip = o.between(1.5, 1.8) * d, o.between(0.08, 0.14)
    curve = [((k / 10 - 0.5) * reach, dip * (2 * k / 10 - 1) ** 2 * 1.2) for k in range(11)]
    for s in (-1, 1):
        x = s * (w / 2 - size / 2)
        o.add(tube([(x, y + 0.06, z) for y, z in curve], 0.55 * size), *made)
        high = seat + 0.24
        o.add(beam((s * w / 2, -d / 2 + size, seat), (s * w / 2, -d / 2 + size, high), size), *made)
        o.add(box(1.4 * size, 1.05 * d, size).at(s * w / 2, 0, high), *made)
    details = []
    if o.chance(0.5):
        o.add(pillow(0.88 * w, 0.88 * d, 0.1).at(z=seat + 0.045), cushion := o.colour(colour))
        details.append(f"a {cushion} cushion")
    o.describe(colour=colour, substance=substance, details=details, back=back, synonyms=("rocker",))


def office_chair(o: Toy) -> None:
    colour = o.pick(*CLOTHS)
    seat, w = o.between(0.42, 0.52), o.between(0.46, 0.56)
    metal = o.pick("dark metal", "metal")
    count, reach = o.pick(4, 5, 5, 6), o.between(0.28, 0.34)
    o.add(radial(beam((0, 0, 0.12), (0, -reach, 0.07), 0.055), count), metal)
    o.add(radial(ball(0.05, sides=10, levels=6).at(0, -reach, 0.05), count), "black")
    o.add(cylinder(0.04, seat - 0.1, 12).at(z=0.1), metal)
    o.add(pillow(w, w, 0.13, 0.4).at(z=seat - 0.03), colour)
    tall, lean = o.between(0.38, 0.7), o.between(0.05, 0.25)
    o.add(rod((0, w / 2 - 0.08, seat), (0, w / 2 + 0.04, seat + 0.25), 0.035), metal)
    back = pillow(w * o.between(0.8, 1.0), 0.11, tall, o.between(0.35, 0.6)).turned("x", -lean)
    o.add(back.at(0, w / 2, seat + o.between(0.08, 0.18)), colour)
    details = [f"{count} wheels"]
    if o.chance(0.6):
        for s in (-1, 1):
            o.add(beam((s * w / 2, 0.02, seat + 0.03), (s * (w / 2 + 0.03), 0.02, seat + 0.24), 0.045), "black")
            o.add(box(0.07, 0.34, 0.045, 0.01).at(s * (w / 2 + 0.03), 0, seat + 0.23), "black")
        details.append("black arms" if colour != "black" else "arms")
    if o.chance(0.3):
        y, z = w / 2 + tall * lean, seat + tall
        o.add(rod((0, y, z - 0.05), (0, y + 0.05, z + 0.26), 0.035), metal)
        o.add(pillow(0.3, 0.1, 0.16).at(0, y + 0.02, z + 0.2), colour)
        details.append("a headrest")
    o.describe(colour=colour, details=details, synonyms=("desk chair", "swivel chair"))


def stool(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    tall = o.chance(0.4)
    h, r = (o.between(0.65, 0.85) if tall else o.between(0.38, 0.5)), o.between(0.16, 0.24)
    count, lean = o.pick(3, 3, 4, 4, 5), o.between(1.0, 1.35)
    shape = o.pick("round", "round", "square", "saddle")
    o.add(radial(rod((0, 0.68 * r, h), (0, 0.75 * r * lean, 0), 0.03, 8, 0.025), count, pi / count), *made)
    if shape == "round":
        o.add(lathe([(0, 0), (0.92 * r, 0), (r, 0.025), (0.94 * r, 0.06), (0, 0.06)]).at(z=h), *made)
    elif shape == "square":
        o.add(box(1.8 * r, 1.8 * r, 0.06, 0.015).at(z=h), *made)
    else:
        o.add(
            facing([(-1.1 * r, 0.02), (0, 0), (1.1 * r, 0.02), (1.1 * r, 0.1), (0, 0.05), (-1.1 * r, 0.1)], 1.5 * r).at(
                z=h - 0.01
            ),
            *made,
        )
    o.add(cylinder(0.8 * r, 0.05, 20).at(z=h - 0.04), *made)
    if o.chance(0.7):
        z = o.between(0.25, 0.55) * h
        level = 0.68 * r + (0.75 * r * lean - 0.68 * r) * (1 - z / h)
        o.add(ring(level, 0.025, 20).at(z=z), *made)
    details = [f"{ {3: 'three', 4: 'four', 5: 'five'}[count] } legs"]
    if o.chance(0.35):
        o.add(
            pillow(1.8 * r, 1.8 * r, 0.08, 0.7 if shape == "round" else 0.4).at(z=h + 0.04), cushion := o.colour(colour)
        )
        details.append(f"a {cushion} cushion")
    o.describe(
        colour=colour,
        substance=substance,
        size="tall" if tall else "",
        style=shape if shape != "saddle" else "",
        details=details,
        synonyms=("bar stool",) if tall else ("footstool",),
    )


def bench(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, seat = o.between(1.1, 1.9), o.between(0.38, 0.52), o.between(0.4, 0.48)
    base = o.pick("same", "stone", "dark metal")
    under = made if base == "same" else (base, None)
    boards = o.whole(2, 4)
    step = d / boards
    o.add([box(w, 0.86 * step, 0.055).at(0, (k - (boards - 1) / 2) * step, seat) for k in range(boards)], *made)
    o.add(box(0.96 * w, 0.06, 0.05).at(z=seat - 0.04), *under)
    ends = [s * w * o.pick(0.36, 0.42, 0.47) for s in (-1, 1)]
    for x in ends:
        if base == "stone":
            o.add(box(0.16, 0.85 * d, seat).at(x), *under)
        else:
            o.add([beam((x, y, 0), (x, y, seat), 0.07) for y in (-0.4 * d, 0.4 * d)], *under)
            o.add(beam((x, -0.4 * d, seat - 0.03), (x, 0.4 * d, seat - 0.03), 0.07), *under)
    details = [] if base == "same" else [f"{base} legs" if base == "stone" else "metal legs"]
    if o.chance(0.7):
        top, lean, rails = o.between(0.75, 0.95), o.between(0.05, 0.2), o.whole(2, 3)
        for x in ends:
            o.add(beam((x, 0.42 * d, seat), (x, 0.42 * d + lean, top), 0.065), *under)
        for k in range(rails):
            s = (k + 0.7) / rails
            rail = box(w, 0.05, 0.7 * (top - seat) / rails).at(
                0, 0.4 * d + lean * s, seat + (top - seat) * s - 0.5 * (top - seat) / rails
            )
            o.add(rail, *made)
        details.append("a back")
        if o.chance(0.6):
            for x in ends:
                o.add(beam((x, -0.4 * d, seat), (x, -0.4 * d, seat + 0.22), 0.06), *under)
                o.add(box(0.07, d, 0.05).at(x, 0, seat + 0.22), *under)
            details.append("arms")
    o.describe(
        colour=colour,
        substance=substance,
        size="long" if w > 1.6 else "",
        details=details,
        synonyms=("park bench", "garden bench"),
        base=base,
    )


BUILDERS = {
    "chair": chair,
    "rocking chair": rocking_chair,
    "office chair": office_chair,
    "stool": stool,
    "bench": bench,
}
