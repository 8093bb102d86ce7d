"""Mushrooms, cacti, flowers in pots."""

from math import cos, pi, sin

import numpy as np

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Point,
    Real,
    ball,
    blob,
    cone,
    cylinder,
    lathe,
    radial,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def mushroom(o: Toy) -> None:
    colour = o.pick("red", "red", "brown", "orange", "purple", "yellow", "white", "blue")
    count = o.pick(1, 1, 2, 3)
    form, stalk = o.pick("dome", "cone", "flat", "bell"), o.pick("white", "white", "cream")
    for k in range(count):
        s = 1.0 if k == 0 else o.between(0.4, 0.65)
        a = o.between(0, 2 * pi)
        x, y = (0.0, 0.0) if k == 0 else (0.48 * cos(a + 2.4 * k), 0.48 * sin(a + 2.4 * k))
        h, r, t = s * o.between(0.45, 0.75), s * o.between(0.34, 0.52), s * o.between(0.1, 0.16)
        rise = {"dome": 0.75, "cone": 1.1, "flat": 0.35, "bell": 1.0}[form] * r
        o.add(lathe([(0, 0), (1.4 * t, 0), (1.1 * t, 0.3 * h), (0.8 * t, h), (0, h)], 16).at(x, y), stalk)
        if o.chance(0.6):
            o.add(cone(1.7 * t, 0.12 * s, 0.9 * t).at(x, y, 0.62 * h), stalk)
        shape = {
            "dome": [(1, 0.1), (0.93, 0.4), (0.7, 0.75), (0.35, 0.95)],
            "cone": [(1, 0.05), (0.7, 0.35), (0.36, 0.72), (0.12, 0.96)],
            "flat": [(1, 0.25), (0.95, 0.6), (0.7, 0.85), (0.35, 0.97)],
            "bell": [(1, 0.05), (0.8, 0.25), (0.66, 0.6), (0.35, 0.93)],
        }[form]
        o.add(
            lathe(
                [(0, 0.05 * rise), (0.9 * r, -0.05 * rise), *((q * r, z * rise) for q, z in shape), (0, rise)], 22
            ).at(x, y, h - 0.02),
            colour,
        )
        o.add(cone(0.4 * r, 0.05 * s, 0.86 * r).at(x, y, h - 0.05 * s), "cream")
        if colour in ("red", "orange", "purple", "brown", "blue") and k == 0:
            dots = [(0.0, 0.35 if form != "flat" else 0.6)] + [(2 * pi * j / 6, 0.8) for j in range(6)]
            for j, (b, q) in enumerate(dots):
                z = np.interp(q, [p[0] for p in shape[::-1]], [p[1] for p in shape[::-1]]) * rise
                q = q if j else 0.0
                z = z if j else rise - 0.02
                o.add(
                    ball(0.085 * s, 0.085 * s, 0.06 * s, 8, 6).at(x + q * r * cos(b), y + q * r * sin(b), h + z - 0.01),
                    "white",
                )
    blades = [cone(0.045, o.between(0.14, 0.24), 0.01, 6).turned("x", 0.3).at(0, -0.24) for _ in range(o.whole(3, 5))]
    o.add([b.turned("z", 2.1 * k + o.between(0, 0.5)) for k, b in enumerate(blades)], "grass")
    if o.chance(0.35):
        o.add(lathe([(0, 0), (0.5, 0), (0.42, 0.05), (0, 0.07)], 16), "grass")
    spots = colour in ("red", "orange", "purple", "brown", "blue")
    o.describe(
        colour=colour,
        details=[
            "white spots" if spots else "",
            f"a {'white' if stalk == 'white' else 'cream'} stalk",
            {1: "", 2: "a smaller one beside it", 3: "two smaller ones beside it"}[count],
        ],
        form=form,
        synonyms=("toadstool",),
    )


def cactus(o: Toy) -> None:
    form, potted = o.pick("saguaro", "saguaro", "barrel", "paddles"), o.chance(0.55)
    green = o.pick("green", "green", "leaves")
    z, details = 0.0, []
    if potted:
        pot = o.pick("terracotta", "red", "white", "blue", "yellow", "brown")
        r = o.between(0.2, 0.28)
        o.add(lathe([(0, 0), (0.7 * r, 0), (0.92 * r, 0.26), (1.06 * r, 0.26), (1.06 * r, 0.34), (0, 0.34)], 18), pot)
        o.add(cylinder(0.9 * r, 0.03, 18).at(z=0.33), "soil")
        z = 0.32
        details.append(f"a {pot} pot" if pot != "terracotta" else "a clay pot")
    else:
        o.add(lathe([(0, 0), (0.4, 0), (0.3, 0.06), (0, 0.08)], 16), "sandstone", "noise")
        o.add([ball(0.06, 0.05, 0.05, 8, 6).at(0.26 * s, -0.12 * s, 0.07) for s in (-1, 1)], "stone")

    def stem(points: list[Point], r: Real) -> None:
        o.add(tube(points, r, 10), green)
        o.add([ball(r, sides=10, levels=8).at(*points[-1]), ball(r, sides=10, levels=8).at(*points[0])], green)

    if form == "saguaro":
        h, r, arms = o.between(0.7, 1.2), o.between(0.1, 0.14), o.whole(1, 3)
        stem([(0, 0, z), (0, 0, z + h)], r)
        for k in range(arms):
            side, level = (1, -1, 1)[k], z + h * o.between(0.25, 0.55)
            reach, rise = o.between(0.24, 0.34), o.between(0.2, 0.45)
            path = [
                (0, 0, level),
                (side * 0.7 * reach, 0, level),
                (side * reach, 0, level + 0.1),
                (side * reach, 0, level + 0.1 + rise),
            ]
            turn = o.between(-0.4, 0.4) if k < 2 else QUARTER
            o.add(tube(path, 0.7 * r, 10).turned("z", turn), green)
            o.add(ball(0.7 * r, sides=10, levels=8).at(*path[-1]).turned("z", turn), green)
        top = [(0.0, 0.0, z + h + r)]
        details.insert(0, f"{ {1: 'one arm', 2: 'two arms', 3: 'three arms'}[arms] }")
    elif form == "barrel":
        r = o.between(0.24, 0.36)
        h = r * o.between(0.9, 1.4)
        o.add(ball(r, r, h).at(z=z + 0.85 * h), green)
        ribs = o.whole(8, 12)
        o.add(radial(ball(0.05, r * 0.5, 0.95 * h, 8, 8).at(0, -0.56 * r, z + 0.85 * h), ribs), "needles")
        top = [(0.0, 0.0, z + 1.85 * h)]
    else:
        top, queue = [], [(0.0, z + 0.02, 0.24, 0.0)]
        for _ in range(o.whole(3, 5)):
            x, level, s, lean = queue.pop(0)
            o.add(ball(0.72 * s, 0.09, s, 14, 10).at(z=s).turned("y", lean).at(x, 0, level), green)
            tip = (x + 1.75 * s * sin(lean), level + 1.75 * s * cos(lean))
            top.append((tip[0], 0.0, tip[1] + 0.12 * s))
            queue += [
                (tip[0] + d * 0.3 * s, tip[1] - 0.15 * s, s * o.between(0.62, 0.85), lean + d * o.between(0.35, 0.6))
                for d in (-1, 1)
            ]
    if o.chance(0.5):
        flower = o.pick("pink", "red", "yellow", "white", "purple")
        o.add([ball(0.08, 0.08, 0.06, 10, 6).at(*p) for p in top], flower)
        details.append(f"a {flower} flower" if len(top) == 1 else f"{flower} flowers")
    o.describe(
        colour="green",
        style={"saguaro": "tall", "barrel": "round", "paddles": "prickly"}[form],
        details=details,
        pot=str(potted),
        form=form,
        synonyms=("desert plant",) if not potted else ("cactus in a pot",),
    )


def flower_in_a_pot(o: Toy) -> None:
    colour = o.pick("red", "yellow", "pink", "purple", "white", "orange", "blue")
    pot = o.pick("terracotta", "brown", "blue", "white", "red", "yellow", "grey", "green")
    pot = "terracotta" if pot == colour else pot
    r, h = o.between(0.22, 0.3), o.between(0.26, 0.4)
    sides, form = o.pick(20, 20, 4, 8), o.pick("rim", "rim", "bowl", "straight")
    profile = {
        "rim": [(0, 0), (0.7, 0), (0.9, 0.78), (1.08, 0.78), (1.08, 1), (0, 1)],
        "bowl": [(0, 0), (0.5, 0), (1.0, 0.45), (1.05, 0.8), (0.85, 1), (0, 1)],
        "straight": [(0, 0), (0.92, 0), (1, 1), (0, 1)],
    }[form]
    o.add(lathe([(q * r, z * h) for q, z in profile], sides), pot)
    o.add(cylinder(0.72 * r, 0.04, 16).at(z=h - 0.02), "soil")
    kind, count = o.pick("daisy", "daisy", "tulip", "sunflower", "ball"), o.pick(1, 1, 2, 3, 4)
    petals, turn = o.whole(5, 8), o.between(0, 2 * pi)
    for k in range(count):
        a = turn + 2 * pi * k / count
        out = 0.0 if count == 1 else 0.22
        x, y, top = out * cos(a), out * sin(a), h + o.between(0.4, 0.75) * (1 if count == 1 else 0.85)
        o.add(tube([(0.3 * x, 0.3 * y, h - 0.03), (0.5 * x, 0.5 * y, 0.5 * (h + top)), (x, y, top)], 0.032, 8), "green")
        s = o.between(0.13, 0.17) * (1.35 if count == 1 else 1)
        if kind == "tulip":
            o.add(
                lathe(
                    [
                        (0, 0),
                        (0.6 * s, 0.05),
                        (0.9 * s, 0.7 * s),
                        (0.75 * s, 1.5 * s),
                        (0.45 * s, 1.2 * s),
                        (0, 1.0 * s),
                    ],
                    10,
                ).at(x, y, top - 0.02),
                colour,
            )
        elif kind == "ball":
            o.add(blob(1.1 * s, 1.1 * s, s, o.rng, 0.1).at(x, y, top + 0.5 * s), colour, "leaves")
        else:
            centre = "brown" if kind == "sunflower" else "yellow" if colour != "yellow" else "orange"
            size = 0.75 if kind == "sunflower" else 0.5
            tilt = o.between(0.5, 1.1)
            parts = radial(ball(0.42 * s, 0.62 * s, 0.05, 10, 6).at(0, -s * 0.95, 0), petals)
            o.add([p.turned("x", tilt).at(x, y, top) for p in parts], colour)
            o.add(ball(size * s, size * s, 0.09, 12, 6).at(z=0.03).turned("x", tilt).at(x, y, top), centre)
    leaf = ball(0.06, 0.17, 0.035, 8, 6).at(0, -0.17).turned("x", -0.5)
    o.add([p.at(z=h + 0.1) for p in radial(leaf, o.whole(2, 5), o.between(0, 1))], "green")
    o.describe(
        colour=colour,
        details=["green leaves", f"a {'clay' if pot == 'terracotta' else pot} pot"],
        form=kind,
        pot=pot,
        count=str(count),
        synonyms=("potted plant", "flower pot", "potted flower"),
    )


BUILDERS = {
    "mushroom": mushroom,
    "cactus": cactus,
    "flower in a pot": flower_in_a_pot,
}
