"""Snowmen, teddy bears, ducks, dogs. Faces look towards -y."""

from math import cos, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    blob,
    box,
    cone,
    cylinder,
    dome,
    lathe,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def snowman(o: Toy) -> None:
    balls = o.pick(2, 3, 3)
    r = o.between(0.36, 0.46)
    sizes = [r, 0.72 * r, 0.52 * r] if balls == 3 else [r, 0.66 * r]
    z, centres = 0.0, []
    for s in sizes:
        centres.append(z + 0.93 * s)
        o.add(blob(s, s, 0.95 * s, o.rng, 0.02).at(z=z + 0.93 * s), "snow")
        z += 1.62 * s
    head, hz = sizes[-1], centres[-1]
    o.add(
        [ball(0.045, sides=8, levels=6).at(sx * 0.36 * head, -0.9 * head, hz + 0.25 * head) for sx in (-1, 1)], "black"
    )
    o.add(cone(0.06, o.between(0.2, 0.32), 0.01, 10).turned("x", QUARTER).at(0, -0.9 * head, hz), "orange")
    o.add(
        [
            ball(0.05, sides=8, levels=6).at(0, -sizes[-2] * (0.97 - 0.1 * abs(k)), centres[-2] + k * 0.34 * sizes[-2])
            for k in (-1, 0, 1)
        ],
        "black",
    )
    scarf = o.pick("red", "blue", "green", "yellow", "purple", "orange")
    neck = centres[-1] - 0.78 * head
    o.add(
        lathe([(0, 0), (0.8 * head, 0), (0.92 * head, 0.05), (0.8 * head, 0.11), (0, 0.11)], 18).at(z=neck - 0.03),
        scarf,
    )
    o.add(box(0.12, 0.06, 0.28).turned("x", -0.15).at(0.45 * head, -sizes[-2] * 0.78, neck - 0.26), scarf)
    up = o.between(-0.1, 0.35)
    for s in (-1, 1):
        y = centres[-2] + 0.15
        o.add(rod((s * 0.8 * sizes[-2], 0, y), (s * (sizes[-2] + 0.34), -0.06, y + up), 0.03, 6), "dark wood")
        o.add(
            rod(
                (s * (sizes[-2] + 0.22), -0.04, y + 0.68 * up),
                (s * (sizes[-2] + 0.24), -0.06, y + 0.68 * up + 0.16),
                0.026,
                6,
            ),
            "dark wood",
        )
    hat, kind = (
        o.pick("black", "black", "red", "blue", "green"),
        o.pick("top hat", "top hat", "bobble hat", "bucket", "none"),
    )
    top = hz + 0.72 * head
    if kind == "top hat":
        o.add(
            [cylinder(1.0 * head, 0.05).at(z=top), cone(0.62 * head, o.between(0.2, 0.36), 0.68 * head).at(z=top)], hat
        )
        o.add(cylinder(0.66 * head, 0.06).at(z=top + 0.05), scarf)
    elif kind == "bobble hat":
        o.add([dome(0.9 * head, 0.8 * head).at(z=top - 0.1), cylinder(0.94 * head, 0.08).at(z=top - 0.12)], hat)
        o.add(ball(0.075).at(z=top + 0.72 * head), "white")
    elif kind == "bucket":
        o.add(cone(0.75 * head, 0.28, 0.55 * head).at(z=top - 0.02), "metal")
    details = [
        {"none": "", "bucket": "a bucket on its head"}.get(
            kind, f"a {hat} hat" if kind == "top hat" else f"a {hat} {kind}"
        ),
        f"a {scarf} scarf",
        "a carrot nose",
    ]
    if o.chance(0.3):
        x = sizes[-2] + 0.3
        o.add(rod((x, -0.05, 0.02), (x, -0.05, 0.9), 0.03, 8), "wood")
        o.add(cone(0.05, 0.3, 0.12, 10).at(x, -0.05, 0.85), "straw")
        details.append("a broom")
    o.describe(colour="white", details=details, hat=kind, synonyms=("snow man",))


def teddy_bear(o: Toy) -> None:
    colour = o.pick("brown", "brown", "brown", "white", "pink", "grey", "black", "blue")
    muzzle = o.pick("cream", "white") if colour != "white" else "pink"
    r, head = o.between(0.27, 0.34), o.between(0.22, 0.28)
    o.add(ball(r, 0.85 * r, 1.1 * r).at(z=1.05 * r), colour)
    o.add(ball(0.66 * r, 0.2 * r, 0.75 * r).at(0, -0.72 * r, 1.0 * r), muzzle)
    z = 2.0 * r + 0.72 * head
    o.add(ball(head, 0.92 * head, 0.9 * head).at(z=z), colour)
    ear = o.between(0.32, 0.42) * head
    for s in (-1, 1):
        o.add(ball(ear, 0.5 * ear, ear, 12, 8).at(s * 0.74 * head, 0, z + 0.72 * head), colour)
        o.add(ball(0.6 * ear, 0.3 * ear, 0.6 * ear, 10, 6).at(s * 0.74 * head, -0.35 * ear, z + 0.72 * head), muzzle)
        o.add(ball(0.04, sides=8, levels=6).at(s * 0.36 * head, -0.85 * head, z + 0.16 * head), "black")
        lift = o.between(-0.9, 0.5) if s == 1 else o.between(-0.9, -0.3)
        hand = (s * (r + 0.24 * cos(lift)), -0.16, 1.6 * r + 0.24 * sin(lift))
        o.add([rod((s * 0.7 * r, -0.03, 1.6 * r), hand, 0.095, 10), ball(0.105).at(*hand)], colour)
        o.add(
            [
                rod((s * 0.5 * r, -0.1, 0.36 * r), (s * 0.75 * r, -r - 0.16, 0.12), 0.115, 10),
                ball(0.13).at(s * 0.76 * r, -r - 0.18, 0.13),
            ],
            colour,
        )
        o.add(ball(0.08, 0.04, 0.08, 10, 6).at(s * 0.76 * r, -r - 0.3, 0.13), muzzle)
    o.add(ball(0.45 * head, 0.35 * head, 0.34 * head, 12, 8).at(0, -0.8 * head, z - 0.24 * head), muzzle)
    o.add(ball(0.05, 0.04, 0.04, 8, 6).at(0, -1.15 * head, z - 0.12 * head), "black")
    details = []
    if o.chance(0.6):
        bow = o.pick(*(c for c in ("red", "blue", "green", "yellow", "purple") if c != colour))
        o.add(
            [ball(0.11, 0.05, 0.075, 10, 6).at(s * 0.1, -0.72 * r, 2.0 * r - 0.02) for s in (-1, 1)]
            + [ball(0.045, sides=8, levels=6).at(0, -0.78 * r, 2.0 * r - 0.02)],
            bow,
        )
        details.append(f"a {bow} bow tie")
    o.describe(
        colour=colour,
        details=details or ["round ears"],
        size="small" if r < 0.29 else "large" if r > 0.32 else "",
        synonyms=("toy bear", "teddy"),
    )


def duck(o: Toy) -> None:
    colour = o.pick("yellow", "yellow", "white", "brown", "blue", "pink", "green")
    length, w, h = o.between(0.42, 0.56), o.between(0.3, 0.38), o.between(0.26, 0.34)
    o.add(ball(w, length, h).at(z=0.92 * h), colour)
    up, head = o.between(0.12, 0.34), o.between(0.19, 0.25)
    z = 1.7 * h + up
    o.add(rod((0, -0.55 * length, 1.2 * h), (0, -0.7 * length, z), 0.16, 12, 0.12), colour)
    o.add(ball(head, 1.05 * head, head).at(0, -0.75 * length, z + 0.5 * head), colour)
    bill = o.pick("orange", "orange", "red" if colour != "red" else "orange")
    y = -0.75 * length - head
    long = o.between(0.12, 0.2)
    o.add(
        [
            ball(0.11, long, 0.04, 12, 6).at(0, y - 0.04, z + 0.42 * head),
            ball(0.08, 0.75 * long, 0.035, 12, 6).at(0, y - 0.02, z + 0.42 * head - 0.06),
        ],
        bill,
    )
    for s in (-1, 1):
        o.add(ball(0.045, sides=8, levels=6).at(s * 0.62 * head, y + 0.3 * head, z + 0.8 * head), "black")
        wing = ball(0.07, 0.66 * length, 0.55 * h, 12, 8).turned("x", 0.25)
        o.add(wing.at(s * 0.92 * w, 0.1 * length, 1.05 * h), colour)
    tail = o.between(0.2, 0.36)
    o.add(rod((0, 0.7 * length, 1.1 * h), (0, length + 0.06, 1.2 * h + tail), 0.15, 10, 0.04), colour)
    details = [f"an {bill} beak" if bill == "orange" else f"a {bill} beak"]
    if o.chance(0.4):
        o.add([ball(0.12, 0.18, 0.03, 10, 6).at(s * 0.14, -0.2, 0.03) for s in (-1, 1)], bill)
        o.add([cylinder(0.04, 0.2, 8).at(s * 0.14, -0.1, -0.02) for s in (-1, 1)], bill)
        details.append("feet")
    if o.chance(0.3):
        hat = o.pick("red", "blue", "black")
        o.add(
            [
                cylinder(0.8 * head, 0.04).at(0, -0.75 * length, z + 1.3 * head),
                cylinder(0.5 * head, 0.18).at(0, -0.75 * length, z + 1.3 * head),
            ],
            hat,
        )
        details.append(f"a {hat} hat")
    o.describe(
        colour=colour, style="rubber" if colour == "yellow" else "", details=details, synonyms=("duckling", "toy duck")
    )


def dog(o: Toy) -> None:
    colour = o.pick("brown", "brown", "white", "black", "grey", "orange", "yellow")
    patch = o.pick(*(c for c in ("white", "brown", "black") if c != colour))
    length, leg, r = o.between(0.5, 0.85), o.between(0.18, 0.42), o.between(0.15, 0.21)
    z = leg + 0.8 * r
    o.add(ball(r, 0.6 * length, r * 1.02).at(z=z), colour)
    for sx in (-1, 1):
        for sy in (-1, 1):
            o.add(
                rod((sx * 0.6 * r, sy * 0.4 * length, z), (sx * 0.68 * r, sy * 0.42 * length, 0.03), 0.07, 8, 0.055),
                colour,
            )
            o.add(ball(0.07, 0.09, 0.05, 8, 6).at(sx * 0.68 * r, sy * 0.42 * length - 0.03, 0.045), patch)
    head, hy, hz = o.between(0.17, 0.22), -0.52 * length - 0.1, z + o.between(0.2, 0.34)
    o.add(rod((0, -0.4 * length, z + 0.03), (0, hy, hz), 0.11, 10), colour)
    o.add(ball(head, head, 0.95 * head).at(0, hy, hz + 0.06), colour)
    snout = o.between(0.1, 0.24)
    o.add(ball(0.5 * head, 0.5 * head + snout, 0.42 * head, 12, 8).at(0, hy - 0.6 * head, hz), patch)
    o.add(
        ball(0.05, sides=8, levels=6).at(0, hy - 1.08 * head - snout, hz + 0.04),
        "black" if patch != "black" else "pink",
    )
    ears = o.pick("floppy", "pointed")
    for s in (-1, 1):
        o.add(
            ball(0.035, sides=8, levels=6).at(s * 0.42 * head, hy - 0.86 * head, hz + 0.14),
            "black" if colour != "black" else "white",
        )
        if ears == "floppy":
            o.add(ball(0.05, 0.1, 0.17, 10, 8).turned("y", s * 0.25).at(s * 0.98 * head, hy + 0.03, hz + 0.02), patch)
        else:
            o.add(
                cone(0.085, 0.2, 0.01, 8).turned("y", s * 0.2).at(s * 0.55 * head, hy + 0.03, hz + 0.7 * head), colour
            )
    wag, long = o.between(0.2, 1.3), o.between(0.2, 0.4)
    o.add(
        rod(
            (0, 0.5 * length, z + 0.06), (0, 0.5 * length + long * cos(wag), z + 0.06 + long * sin(wag)), 0.05, 8, 0.035
        ),
        colour,
    )
    collar = o.pick(*(c for c in ("red", "blue", "green", "yellow") if c != colour))
    o.add(
        lathe([(0, -0.03), (0.135, -0.03), (0.135, 0.03), (0, 0.03)], 14)
        .turned("x", 0.5)
        .at(0, 0.5 * (hy - 0.4 * length), 0.5 * (hz + z) + 0.04),
        collar,
    )
    o.describe(
        colour=colour,
        size="long" if length > 0.72 and leg < 0.28 else "",
        details=[f"{ears} ears", f"a {collar} collar"],
        ears=ears,
        synonyms=("puppy", "toy dog"),
    )


BUILDERS = {
    "snowman": snowman,
    "teddy bear": teddy_bear,
    "duck": duck,
    "dog": dog,
}
