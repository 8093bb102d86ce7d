"""Ships, sailing ships, boats, sailing boats. The bow points to -y."""

from math import pi

import numpy as np

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Part,
    Real,
    across,
    beam,
    box,
    cylinder,
    disc,
    loft,
    rod,
)
from trellis_cli.data.toybox.road_vehicles import PAINTS
from trellis_cli.data.toybox.toy import Toy


def hull(
    length: Real,
    beam_w: Real,
    h: Real,
    *,
    bow: Real,
    stern: Real,
    flare: Real,
    low: Real = 0.0,
    high: Real = 1.0,
) -> Part:
    """A ship's body, its keel on z = 0; bow and stern rise by those heights; low to high: the part kept."""
    n, rings = 14, []
    for k in range(n + 1):
        s = k / n  # 0 at the bow
        half = (
            beam_w / 2 * min(1.0, np.sin(min(1.0, 0.06 + 1.75 * s) * QUARTER)) * (1 - 0.35 * max(0.0, s - 0.75) / 0.25)
        )
        deck = h + bow * max(0.0, 1 - s / 0.4) ** 2 + stern * max(0.0, (s - 0.6) / 0.4) ** 2
        y = -length / 2 + length * s
        rake = -0.3 * h * flare * max(0.0, 1 - s / 0.25)
        loop = []
        for share in (low, (low + high) / 2, high):
            wide = half * (0.45 + 0.55 * share**0.6)
            loop.append((wide, y + rake * share, deck * share))
        ring_points = [(x, yy, z) for x, yy, z in loop] + [(-x, yy, z) for x, yy, z in loop[::-1]]
        rings.append(ring_points)
    return loft(np.array(rings))


def _painted_hull(
    o: Toy, length: Real, w: Real, h: Real, colour: str, bottom: str, surface: str | None, **form: Real
) -> None:
    """A hull with another colour below the water line, and a wooden deck."""
    o.add(hull(length, w, h, **form, high=0.3), bottom)
    o.add(hull(length, w, h, **form, low=0.26), colour, surface)
    o.add(hull(0.95 * length, 0.86 * w, h, **form, low=0.8).at(z=0.025), "wood", "boards")


def _sail(o: Toy, y: Real, z: Real, w: Real, h: Real, colour: str, belly: Real) -> None:
    """A square sail blown towards the bow, hanging between z and z + h, with its yard."""
    rows = []
    for k in range(7):
        s = k / 6
        bulge = -belly * np.sin(pi * s)
        half = w / 2 * (1.0 - 0.16 * s)
        zz = z + h * s
        rows.append(
            [
                (-half, y + 0.2 * bulge, zz),
                (0, y + bulge, zz),
                (half, y + 0.2 * bulge, zz),
                (half, y + 0.2 * bulge + 0.05, zz),
                (0, y + bulge + 0.05, zz),
                (-half, y + 0.2 * bulge + 0.05, zz),
            ]
        )
    o.add(loft(np.array(rows)), colour)
    o.add(rod((-0.46 * w, y + 0.03, z + h), (0.46 * w, y + 0.03, z + h), 0.03, 8), "dark wood")


def sailing_ship(o: Toy) -> None:
    word = o.pick("wooden", "wooden", "brown", "red", "blue", "black", "green", "white")
    name = "wood" if word == "wooden" else word
    sail = o.pick("white", "white", "white", "red", "blue", "black", "yellow")
    length, w, h = o.between(1.5, 2.1), o.between(0.44, 0.58), o.between(0.3, 0.42)
    form = {"bow": o.between(0.05, 0.2), "stern": o.between(0.1, 0.3), "flare": o.between(0.4, 1.2)}
    _painted_hull(
        o,
        length,
        w,
        h,
        name,
        o.pick("dark wood", "black", "red") if name not in ("black", "red") else "dark wood",
        "planks",
        **form,
    )
    masts = o.pick(1, 2, 2, 3, 3)
    belly = o.between(0.05, 0.14)
    spots = {1: [-0.08], 2: [-0.2, 0.16], 3: [-0.28, -0.02, 0.24]}[masts]
    for k, share in enumerate(spots):
        y, tall = share * length, o.between(1.15, 1.45) * (1.0 if k != masts - 1 or masts == 1 else 0.85)
        o.add(cylinder(0.035, tall, 10).at(0, y, 0.6 * h), "dark wood")
        z, rows = h + 0.2, o.pick(2, 2, 3)
        each = (tall + 0.6 * h - z - 0.1) / rows
        for j in range(rows):
            _sail(o, y - 0.05, z + j * each, (0.95 - 0.2 * j) * w * 1.75, 0.9 * each, sail, belly)
        if o.chance(0.6):
            o.add(box(0.03, 0.22, 0.1).at(0, y + 0.1, tall + 0.6 * h - 0.06), "red" if sail != "red" else "white")
    nose = -length / 2 - 0.1
    o.add(rod((0, nose + 0.2, h + 0.5 * form["bow"]), (0, nose - 0.24, h + form["bow"] + 0.16), 0.032, 8), "dark wood")
    o.add(box(0.78 * w * 0.8, 0.24 * length, 0.15).at(0, 0.37 * length, h + 0.4 * form["stern"]), name, "planks")
    o.add(
        [box(0.09, 0.05, 0.09).at(s * 0.16, 0.5 * length, h * 0.8 + 0.5 * form["stern"]) for s in (-1, 0, 1)],
        "lit glass",
    )
    details = [f"{sail} sails", f"{ {1: 'one mast', 2: 'two masts', 3: 'three masts'}[masts] }"]
    if o.chance(0.4):
        o.add(
            [
                disc(0.045, w + 0.02, 10).turned("z", QUARTER).at(0, (j - 1.5) * 0.17 * length, 0.7 * h)
                for j in range(4)
            ],
            "black",
        )
        details.append("cannons")
    o.describe(
        colour="" if word == "wooden" else word,
        substance="wooden",
        details=details,
        sails=sail,
        masts=str(masts),
        synonyms=("sail ship", "galleon", "pirate ship", "old ship"),
    )


def ship(o: Toy) -> None:
    if o.chance(0.3):
        sailing_ship(o)
        return
    colour, bottom = (
        o.pick("red", "blue", "green", "white", "black", "grey", "orange", "brown"),
        o.pick("red", "black", "brown", "blue"),
    )
    bottom = bottom if bottom != colour else "dark metal"
    kind = o.pick("liner", "liner", "cargo", "tug", "ferry")
    length = {"liner": 2.1, "cargo": 2.2, "tug": 1.25, "ferry": 1.7}[kind] * o.between(0.9, 1.1)
    w, h = o.between(0.44, 0.56), o.between(0.28, 0.4)
    form = {"bow": o.between(0.08, 0.22), "stern": o.between(0.0, 0.08), "flare": o.between(0.6, 1.3)}
    _painted_hull(o, length, w, h, colour, bottom, None, **form)
    house = "white" if colour != "white" else o.pick("white", "grey")
    z, details = h, []
    funnel = o.pick(*(c for c in ("red", "yellow", "black", "blue", "orange") if c != house))
    if kind == "cargo":
        y, run, decks = 0.34 * length, 0.2 * length, o.whole(2, 4)
        boxes = o.whole(3, 4)
        for j in range(boxes):
            for row in range(o.whole(1, 2)):
                yy = -0.3 * length + j * 0.52 * length / boxes + 0.05
                o.add(box(0.7 * w, 0.46 * length / boxes, 0.2).at(0, yy, h + 0.02 + 0.2 * row), o.colour(), "planks")
        details.append("containers")
    else:
        y, run, decks = (
            o.between(0.0, 0.1) * length,
            o.between(0.4, 0.6) * length,
            {"liner": o.whole(2, 3), "tug": 1, "ferry": 2}[kind],
        )
        if kind == "tug":
            y, run = 0.0, 0.4 * length
    for k in range(decks):
        size = (0.72 * w * (1 - 0.08 * k), run * (1 - 0.16 * k))
        o.add(box(*size, 0.17).at(0, y, z), house)
        o.add(
            [
                box(size[0] + 0.02, 0.55 * size[1] / 5, 0.08).at(0, y + (j - 2) * size[1] / 5, z + 0.06)
                for j in range(5)
            ],
            "dark glass",
        )
        z += 0.16
    o.add(box(0.8 * w, 0.2, 0.17).at(0, y - 0.3 * run, z), house)
    o.add(box(0.82 * w, 0.12, 0.08).at(0, y - 0.3 * run - 0.06, z + 0.06), "dark glass")
    count = {"liner": o.whole(1, 3), "cargo": 1, "tug": 1, "ferry": o.whole(1, 2)}[kind]
    for k in range(count):
        yy, tall = y + (k - (count - 1) / 2) * 0.3 * run + 0.12 * run, o.between(0.26, 0.36)
        o.add(cylinder(0.085, tall, 14).scaled(0.9, 1.1, 1).at(0, yy, z - 0.02), funnel)
        o.add(
            cylinder(0.09, 0.08, 14).scaled(0.9, 1.1, 1).at(0, yy, z + tall - 0.08),
            "black" if funnel != "black" else "white",
        )
    o.add(cylinder(0.028, 0.45, 8).at(0, -0.3 * length, h + 0.05), "wood")
    o.add(rod((0, -0.3 * length, h + 0.2), (0, -0.16 * length, h + 0.42), 0.025, 6), "wood")
    if o.chance(0.6):
        for s in (-1, 1):
            o.add(
                [
                    disc(0.04, 0.04, 10).turned("z", QUARTER).at(s * 0.47 * w, (j - 1.5) * 0.14 * length, 0.72 * h)
                    for j in range(4)
                ],
                "white" if colour != "white" else "black",
            )
    funnels = {1: "one", 2: "two", 3: "three"}[count]
    details.insert(0, f"{funnels} {funnel} funnel{'s' if count > 1 else ''}")
    o.describe(
        colour=colour,
        style={"cargo": "cargo", "tug": ""}.get(kind, ""),
        size="small" if kind == "tug" else "large" if length > 2.1 else "",
        details=details,
        kind=kind,
        synonyms=("steamship", "boat") if kind == "tug" else ("steamship", "ocean liner", "vessel"),
    )


def boat(o: Toy) -> None:
    word, kind = o.pick("wooden", *PAINTS, "brown"), o.pick("rowing", "rowing", "motor", "fishing")
    name = "wood" if word == "wooden" else word
    length, w, h = o.between(1.0, 1.4), o.between(0.42, 0.56), o.between(0.24, 0.34)
    form = {"bow": o.between(0.03, 0.14), "stern": o.between(0.0, 0.05), "flare": o.between(0.4, 1.2)}
    o.add(
        hull(length, w, h, **form, high=0.4),
        o.pick("white", "red", "dark wood") if name not in ("white", "red") else "blue",
    )
    o.add(hull(length, w, h, **form, low=0.35), name, "planks")
    o.add(hull(0.9 * length, 0.76 * w, h, **form, low=0.8).at(z=0.025), "pale wood", "boards")
    o.add([beam((s * 0.4 * w, -0.05, h + 0.02), (s * 0.4 * w, 0.46 * length, h + 0.03), 0.05) for s in (-1, 1)], name)
    details = []
    if kind == "rowing":
        o.add([box(0.86 * w, 0.1, 0.05).at(0, y * length, h + 0.02) for y in (-0.15, 0.08, 0.3)], "wood")
        for s in (-1, 1):
            o.add(rod((s * 0.3 * w, 0.05, h + 0.14), (s * 1.05 * w, 0.18, 0.06), 0.026, 8), "pale wood")
            o.add(box(0.12, 0.06, 0.2).turned("y", -s * 0.9).at(s * 1.08 * w, 0.19, 0.0), "pale wood")
        details.append("two oars")
    else:
        tall = o.between(0.22, 0.34) if kind == "fishing" else o.between(0.14, 0.2)
        house = "white" if name != "white" else "blue"
        y = o.between(-0.1, 0.1)
        o.add(box(0.6 * w, 0.3, tall).at(0, y, h), house)
        o.add(box(0.62 * w, 0.22, 0.4 * tall).at(0, y, h + 0.45 * tall), "dark glass")
        o.add(box(0.5 * w, 0.32, 0.4 * tall).at(0, y, h + 0.45 * tall), "dark glass")
        o.add(box(0.7 * w, 0.38, 0.05).at(0, y, h + tall), name if name != "wood" else "red")
        if kind == "fishing":
            o.add(cylinder(0.026, 0.6, 8).at(0, 0.24, h), "dark wood")
            o.add(rod((0, 0.24, h + 0.2), (0, 0.52, h + 0.5), 0.022, 6), "dark wood")
            details.append("a mast")
        else:
            o.add(box(0.16, 0.14, 0.3, 0.02).at(0, 0.5 * length + 0.04, 0.14), "black")
            o.add(across([(0, 0), (0.05, 0), (0.12, 0.14), (0.07, 0.14)], 0.5 * w).at(0, -0.32, h), "glass")
            details.append("an outboard motor")
        details.insert(0, f"a {house} cabin")
    o.describe(
        colour="" if word == "wooden" else word,
        substance="wooden" if word == "wooden" else "",
        style={"rowing": "rowing", "motor": "motor", "fishing": "fishing"}[kind],
        size="small",
        details=details,
        kind=kind,
        synonyms={"rowing": ("rowboat",), "motor": ("motorboat", "speedboat"), "fishing": ("fishing boat",)}[kind],
    )


def sailboat(o: Toy) -> None:
    word, sail = o.pick("wooden", *PAINTS, "brown"), o.pick("white", "white", "white", "red", "blue", "orange")
    name = "wood" if word == "wooden" else word
    sail = sail if sail != name else "white" if name != "white" else "red"
    length, w, h = o.between(1.0, 1.4), o.between(0.36, 0.46), o.between(0.2, 0.3)
    form = {"bow": 0.06, "stern": 0.0, "flare": 1.0}
    _painted_hull(o, length, w, h, name, "red" if name != "red" else "white", "planks", **form)
    tall, y = o.between(1.2, 1.6), -0.12 * length
    o.add(cylinder(0.03, tall, 10).at(0, y, h - 0.05), "pale wood")
    low, back = h + 0.14, o.between(0.42, 0.52) * length
    o.add(
        across(
            [
                (y + 0.04, low),
                (y + back, low + 0.02),
                (y + 0.5 * back, 0.5 * (low + tall) + 0.02),
                (y + 0.04, tall + h - 0.1),
            ],
            0.05,
        ),
        sail,
    )
    o.add(rod((0, y, low - 0.02), (0, y + back + 0.03, low), 0.026, 8), "pale wood")
    jib = o.chance(0.75)
    if jib:
        o.add(
            across([(y - 0.04, low), (-length / 2 + 0.0, low - 0.03), (y - 0.04, 0.75 * tall + h)], 0.05),
            sail if o.chance(0.6) else "white",
        )
    o.add(box(0.5 * w, 0.3 * length, 0.1, 0.02).at(0, 0.08, h + 0.02), "white" if name != "white" else "blue")
    o.add(box(0.04, 0.16, 0.3).at(0, 0.5 * length, 0.0), "dark wood")
    if o.chance(0.4):
        o.add(box(0.03, 0.18, 0.1).at(0, y + 0.09, tall + h - 0.12), flag := o.colour(sail))
    else:
        flag = ""
    o.describe(
        colour="" if word == "wooden" else word,
        substance="wooden" if word == "wooden" else "",
        details=[f"a {sail} sail" if not jib else f"{sail} sails", f"a {flag} flag" if flag else ""],
        sail=sail,
        synonyms=("sailing boat", "yacht"),
    )


BUILDERS = {
    "sailing ship": sailing_ship,
    "ship": ship,
    "boat": boat,
    "sailboat": sailboat,
}
