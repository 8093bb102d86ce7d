"""Street signs, traffic lights, mailboxes, fences. Fronts face -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.joinery import frame_finish, legs
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
    facing,
    frustum,
    lathe,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def street_sign(o: Toy) -> None:
    kind = o.pick("stop", "round", "triangle", "arrow", "names", "diamond")
    pole, h = o.pick("metal", "dark metal", "white", "wood"), o.between(0.95, 1.6)
    foot = o.between(0.14, 0.3)
    o.add(
        lathe([(0, 0), (foot, 0), (0.9 * foot, 0.06), (0.05, 0.1), (0, 0.1)], 18),
        "concrete" if pole != "white" else "grey",
    )
    o.add(cylinder(0.035, h, 10), pole)
    y, r = -0.06, o.between(0.2, 0.38)
    colour = {
        "stop": "red",
        "round": o.pick("blue", "red", "green"),
        "triangle": o.pick("yellow", "red"),
        "arrow": o.pick("green", "blue", "yellow", "red"),
        "names": o.pick("green", "blue", "white"),
        "diamond": o.pick("yellow", "orange"),
    }[kind]
    ink = "white" if colour not in ("white", "yellow", "orange") else "black"
    if kind in ("stop", "round"):
        sides = 8 if kind == "stop" else 26
        o.add(disc(r, 0.07, sides).at(0, y, h), colour)
        o.add(disc(0.9 * r, 0.09, sides).at(0, y, h), ink)
        o.add(disc(0.82 * r, 0.11, sides).at(0, y, h), colour)
        o.add(box(1.1 * r, 0.14, 0.26 * r).at(0, y, h - 0.13 * r), ink)
    elif kind in ("triangle", "diamond"):
        n = 3 if kind == "triangle" else 4
        turn = [(sin(2 * pi * k / n), cos(2 * pi * k / n)) for k in range(n)]
        o.add([facing([(q * r * x, q * r * z) for x, z in turn], t).at(0, y, h) for q, t in ((1.2, 0.07),)], colour)
        o.add(facing([(1.02 * r * x, 1.02 * r * z) for x, z in turn], 0.09).at(0, y, h), ink)
        o.add(facing([(0.86 * r * x, 0.86 * r * z) for x, z in turn], 0.11).at(0, y, h), colour)
        o.add([box(0.07, 0.14, 0.36 * r).at(0, y, h - 0.1), box(0.07, 0.14, 0.06).at(0, y, h - 0.2)], "black")
    elif kind == "arrow":
        first = o.pick(0, 1)
        for k in range(o.whole(1, 4)):
            s, w, z = (-1) ** (k + first), o.between(0.25, 0.5), h - 0.06 - 0.26 * k
            o.add(
                facing([(-s * w, -0.1), (s * 0.7 * w, -0.1), (s * w, 0), (s * 0.7 * w, 0.1), (-s * w, 0.1)], 0.07).at(
                    0, y, z
                ),
                colour,
            )
            o.add(box(1.1 * w, 0.1, 0.06).at(-s * 0.1, y, z - 0.03), ink)
    else:
        for k, angle in enumerate((0.0, QUARTER)):
            z = h - 0.02 + 0.2 * k
            o.add(box(o.between(0.8, 1.0), 0.06, 0.17).turned("z", angle).at(0, 0, z - 0.1), colour)
            o.add(box(0.55, 0.09, 0.05).turned("z", angle).at(0, 0, z - 0.04), ink)
    second = o.chance(0.3) and kind not in ("names", "arrow")
    if second:
        o.add([box(0.44, 0.06, 0.2).at(0, y, h - r - 0.3)], "white")
        o.add([box(0.34, 0.09, 0.04).at(0, y, h - r - f) for f in (0.17, 0.25)], "black")
    o.add(ball(0.05, sides=10, levels=6).at(0, 0, h + (0.2 if kind == "names" else 0.02)), pole)
    o.describe(
        colour=colour,
        style={"stop": "stop", "triangle": "warning", "diamond": "warning"}.get(kind, ""),
        size="tall" if h > 1.35 else "",
        details=[
            {
                "stop": "a red octagon",
                "round": "a round plate",
                "triangle": "a triangular plate",
                "arrow": "arrows",
                "names": "two name plates",
                "diamond": "a diamond plate",
            }[kind],
            f"a {'metal' if 'metal' in pole else 'wooden' if pole == 'wood' else pole} pole",
        ],
        kind=kind,
        synonyms=("road sign", "traffic sign", "sign"),
    )


def traffic_light(o: Toy) -> None:
    body, h = o.pick("black", "yellow", "green", "grey"), o.between(1.0, 1.5)
    pole = "dark metal" if body != "black" else o.pick("metal", "dark metal", "yellow")
    sides = o.pick(1, 1, 2)
    s, w = o.between(0.09, 0.12), o.between(0.3, 0.38)
    tall = 7.4 * s
    o.add(lathe([(0, 0), (0.2, 0), (0.2, 0.06), (0.07, 0.14), (0, 0.14)], 14), pole)
    arm = o.chance(0.3)
    o.add(cylinder(0.045, h, 10), pole)
    x, z = (0.5, h - 0.6 * tall) if arm else (0.0, h - 0.1)
    if arm:
        o.add(rod((0, 0, h - 0.05), (0.62, 0, h - 0.05), 0.04), pole)
    o.add(box(w, 0.24, tall, 0.03).at(x, 0, z), body)
    for k, colour in enumerate(("green", "yellow", "red")):
        level = z + (1.4 + 2.3 * k) * s
        for t in (-1, 1) if sides == 2 else (-1,):
            o.add(
                disc(s, 0.09, 16).at(x, t * 0.13, level),
                colour if colour != body else {"green": "needles", "yellow": "gold"}[colour],
            )
            o.add(
                lathe([(0.9 * s, 0), (1.2 * s, 0), (1.2 * s, 0.13), (0.9 * s, 0.13), (0.9 * s, 0)], 14)
                .turned("x", QUARTER if t < 0 else -QUARTER)
                .at(x, t * 0.11, level),
                "black" if body != "black" else "dark metal",
            )
    o.add(cone(0.6 * w, 0.1, 0.1).at(x, 0, z + tall - 0.01), body)
    details = ["red, yellow and green lights", "an arm" if arm else ""]
    if o.chance(0.4):
        o.add(
            [box(0.16, 0.14, 0.24).at(0, -0.05, 0.5), disc(0.05, 0.2, 10).at(0, -0.06, 0.62)],
            "yellow" if body != "yellow" else "grey",
        )
        details.append("a push button")
    o.describe(
        colour=body,
        size="tall" if h > 1.3 else "",
        details=details,
        arm=str(arm),
        synonyms=("traffic signal", "stoplight"),
    )


def mailbox(o: Toy) -> None:
    colour, kind = (
        o.pick("red", "blue", "green", "yellow", "white", "black", "grey", "orange"),
        o.pick("post", "post", "pillar", "legs"),
    )
    details = []
    if kind == "post":
        h, w, d = o.between(0.7, 1.0), o.between(0.3, 0.4), o.between(0.5, 0.7)
        o.add([box(0.1, 0.1, h), box(0.26, 0.26, 0.06), beam((0, 0, 0.6 * h), (0, 0.18, h), 0.07)], "wood")
        arc = [(w / 2 * cos(a), 0.18 + w / 2 * sin(a)) for a in (pi * k / 10 for k in range(11))]
        o.add(facing([(-w / 2, 0), (w / 2, 0), *arc], d).at(0, 0, h), colour)
        o.add(
            facing([(0.85 * x, 0.03 + 0.85 * z) for x, z in [(-w / 2, 0), (w / 2, 0), *arc]], 0.05).at(
                0, -d / 2 - 0.01, h
            ),
            "metal" if colour != "grey" else "black",
        )
        o.add(box(0.1, 0.08, 0.05).at(0, -d / 2 - 0.03, h + 0.24), "black" if colour != "black" else "gold")
        flag = "red" if colour != "red" else "yellow"
        up = o.chance(0.6)
        o.add(
            [
                box(0.045, 0.06, 0.3 if up else 0.06).at(w / 2 + 0.02, -0.05, h + 0.12),
                box(0.05, 0.18, 0.12).at(w / 2 + 0.02, 0.0, h + (0.34 if up else 0.1)),
            ],
            flag,
        )
        details = [f"a {flag} flag", "a wooden post"]
    elif kind == "pillar":
        r, h = o.between(0.22, 0.3), o.between(0.85, 1.2)
        base = "black" if colour != "black" else "red"
        o.add([cylinder(1.15 * r, 0.14), cylinder(1.05 * r, 0.1).at(z=0.12)], base)
        o.add(cylinder(r, h, 24).at(z=0.1), colour)
        o.add(
            [cylinder(1.15 * r, 0.07, 24).at(z=h + 0.06), dome(1.1 * r, o.between(0.08, 0.2), 24).at(z=h + 0.13)],
            colour,
        )
        o.add(box(0.28, 0.14, 0.06).at(0, -0.9 * r, 0.82 * h), "black" if colour != "black" else "white")
        o.add(box(0.24, 0.1, 0.22).at(0, -0.95 * r, 0.5 * h), "white" if colour != "white" else "grey")
        details = [f"a {base} foot", "a domed top"]
    else:
        w, d, h, leg = o.between(0.45, 0.6), o.between(0.38, 0.5), o.between(0.5, 0.7), o.between(0.14, 0.4)
        o.add(legs(o, 0.95 * w, 0.95 * d, leg + 0.03, "square", 0.07), colour)
        arc = [(d / 2 * cos(a), h + 0.5 * d * sin(a)) for a in (pi * k / 10 for k in range(11))]
        o.add(across([(-d / 2, 0), (d / 2, 0), *arc], w).at(z=leg), colour)
        o.add(box(0.72 * w, 0.1, 0.08).at(0, -0.42 * d, leg + h + 0.12 * d), "black" if colour != "black" else "grey")
        o.add(box(0.5 * w, 0.05, 0.2).at(0, -d / 2, leg + 0.45 * h), "white" if colour != "white" else "blue")
        details = ["a rounded top", "four legs"]
    o.describe(colour=colour, details=details, kind=kind, synonyms=("letter box", "post box", "letterbox"))


def fence(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    n, h = o.whole(5, 10), o.between(0.5, 0.8)
    gap = o.between(0.17, 0.24)
    w, kind = n * gap, o.pick("picket", "picket", "round", "rails", "boards")
    ends = [box(0.1, 0.1, h + 0.08).at(s * (w / 2 + 0.04)) for s in (-1, 1)]
    o.add(
        ends
        + [
            o.pick(frustum(0.14, 0.14, 0.03, 0.03, 0.1), ball(0.08, sides=10, levels=8).at(z=0.04)).at(
                s * (w / 2 + 0.04), 0, h + 0.06
            )
            for s in (-1, 1)
        ],
        *made,
    )
    rails = (0.22, 0.68) if kind != "rails" else (0.2, 0.5, 0.8)
    o.add([box(w, 0.06, 0.08).at(0, 0.05, z * h) for z in rails], *made)
    wave = o.pick(0.0, 0.0, 0.12, -0.12)
    for k in range(n):
        x = (k + 0.5 - n / 2) * gap
        tall = h + wave * cos(2 * pi * (k + 0.5) / n)
        if kind == "picket":
            o.add(
                facing([(-0.055, 0), (0.055, 0), (0.055, tall - 0.09), (0, tall), (-0.055, tall - 0.09)], 0.055).at(x),
                *made,
            )
        elif kind == "round":
            o.add([cylinder(0.05, tall, 10).at(x), ball(0.05, sides=10, levels=6).at(x, 0, tall)], *made)
        elif kind == "boards":
            o.add(box(0.86 * gap, 0.05, tall).at(x), *made)
        elif k % 3 == 1:
            o.add(box(0.08, 0.08, h + 0.02).at(x), *made)
    details = [
        {"picket": "pointed pickets", "round": "round posts", "rails": "three rails", "boards": "wide boards"}[kind]
    ]
    if o.chance(0.25):
        o.add(lathe([(0, 0), (1, 0), (0.9, 1), (0, 1)], 12).scaled(0.6 * w, 0.2, 0.05), "grass")
        details.append("grass")
    o.describe(
        colour=colour,
        substance=substance,
        style=kind if kind == "picket" else "",
        size="long" if w > 1.8 else "",
        details=details,
        kind=kind,
        synonyms=("garden fence", "wooden fence"),
    )


BUILDERS = {
    "street sign": street_sign,
    "traffic light": traffic_light,
    "mailbox": mailbox,
    "fence": fence,
}
