"""Huts, tents, igloos, doghouses. Doors face -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.architecture import (
    arch,
    on_wall,
    roof,
)
from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    box,
    cone,
    cylinder,
    dome,
    facing,
    lathe,
    radial,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def hut(o: Toy) -> None:
    """A round hut with a conical straw roof."""
    r, h = o.between(0.4, 0.6), o.between(0.35, 0.6)
    word = o.pick("stone", "wooden", "white", "brown", "orange")
    wall = {"stone": ("stone", None), "wooden": ("wood", "boards")}.get(word, (word, "noise"))
    o.add(cone(1.03 * r, h, r), *wall)
    o.add(cylinder(1.1 * r, 0.06), "stone")
    over, rise = o.between(1.2, 1.5), o.between(0.5, 1.0)
    o.add(
        lathe(
            [
                (0, -0.05),
                (over * r, -0.12),
                (over * r * 1.02, -0.04),
                (0.6 * r, 0.5 * rise),
                (0.08, rise),
                (0.03, rise * 1.05),
            ]
        ).at(z=h),
        "thatch",
    )
    o.add(cylinder(0.06, 0.12, 10).at(z=h + rise * 0.97), "dark wood")
    o.add(box(0.3, 0.14, 0.8 * h).at(0, -r), "dark wood")
    o.add(box(0.22, 0.18, 0.72 * h).at(0, -r), "black")
    for angle in (1.0, -1.0, pi)[: o.whole(1, 3)]:
        o.add(box(0.18, 0.12, 0.18).at(0, -r, 0.45 * h).turned("z", angle), "dark wood")
        o.add(box(0.12, 0.16, 0.12).at(0, -r, 0.48 * h).turned("z", angle), "black")
    details = ["a thatched roof", f"{word} walls"]
    if o.chance(0.4):
        count = o.whole(6, 10)
        o.add(radial(cylinder(0.035, h, 8).at(over * r * 0.93), count), "wood")
        details.append("wooden posts")
    o.describe(
        walls=word,
        style="round",
        details=details,
        roof="thatched",
        synonyms=("straw hut", "round hut"),
    )


def tent(o: Toy) -> None:
    colour = o.colour("black", "grey", "brown")
    trim = o.colour(colour, "black", "grey")
    style = o.pick("ridge", "ridge", "dome", "tipi")
    h = o.between(0.7, 1.0)
    if style == "ridge":
        w, d = o.between(0.9, 1.3), o.between(1.0, 1.7)
        o.add(facing([(-w / 2, 0), (w / 2, 0), (0, h)], d), colour)
        o.add(facing([(-0.17 * w, 0), (0.17 * w, 0), (0, 0.72 * h)], d + 0.04), trim)
        o.add([cylinder(0.03, h + 0.08, 8).at(0, s * (d / 2 + 0.03)) for s in (-1, 1)], "wood")
        for sx in (-1, 1):
            for sy in (-1, 1):
                o.add(rod((0, sy * d / 2, h), (sx * 0.2, sy * (d / 2 + 0.35), 0), 0.02, 6), "dark metal")
                o.add(box(0.07, 0.07, 0.08).at(sx * 0.2, sy * (d / 2 + 0.35)), "dark metal")
    elif style == "dome":
        w, d = o.between(1.1, 1.4), o.between(1.1, 1.8)
        o.add(dome(1, 1).scaled(w / 2, d / 2, 0.8 * h), colour)
        y = -d / 2 * (1 - 0.36) ** 0.5
        o.add(arch(0.42, 0.5 * h, 0.16).turned("x", -0.35).at(0, y - 0.06, 0.02), trim)
        o.add(box(w, d, 0.05), "grey")
        o.add([dome(1, 1).scaled(w / 2 + 0.02, 0.05, 0.8 * h + 0.02).turned("z", a) for a in (pi / 4, -pi / 4)], trim)
    else:
        r = o.between(0.45, 0.65)
        h *= 1.35
        o.add(cone(r, h, 0.06), colour)
        o.add(cone(1.02 * r, 0.14 * h, 0.89 * r), trim)
        o.add(cone(0.5 * r, 0.15 * h, 0.42 * r).at(z=0.52 * h), trim)
        o.add(
            facing([(-0.16, 0), (0.16, 0), (0, 0.5 * h)], 0.2).turned("x", -r / h * 0.95).at(0, -0.9 * r, 0.02), "black"
        )
        for k in range(5):
            a = 2 * pi * k / 5
            top = (-0.16 * cos(a), -0.16 * sin(a), 1.18 * h)
            o.add(rod((0.05 * cos(a), 0.05 * sin(a), 0.9 * h), top, 0.025, 6), "wood")
    words = {"ridge": "", "dome": "round", "tipi": "tall"}
    o.describe(
        colour=colour, style=words[style], details=[f"a {trim} door" if style != "tipi" else "wooden poles"],
        synonyms=("tipi",) if style == "tipi" else ("camping tent",), shape=style,
    )  # fmt: skip


def igloo(o: Toy) -> None:
    r, h = o.between(0.5, 0.6), o.between(0.42, 0.62)
    o.add(dome(r, h), "snow", "brick")
    reach, a = o.between(0.2, 0.45), o.between(0.17, 0.24)
    o.add(cylinder(a, r + reach, 16).turned("x", QUARTER).at(0, 0, 0.25 * a).scaled(1, 1, 1.1), "snow", "brick")
    o.add(cylinder(0.7 * a, 0.06, 16).turned("x", QUARTER).at(0, -r - reach + 0.04, 0.2 * a), "black")
    o.add(cylinder(1.15 * r, 0.05), "snow")
    for side in (-1, 1):
        for _ in range(o.whole(1, 4)):
            block = box(0.2, 0.13, 0.11).turned("z", o.between(0, pi))
            o.add(block.at(side * (r + o.between(0.05, 0.25)), o.between(-0.5, 0.3), 0.0), "snow")
    details = ["a tunnel"]
    if o.chance(0.4):
        o.add(cylinder(0.03, 0.4, 8).at(z=h - 0.03), "wood")
        o.add(box(0.26, 0.05, 0.16).at(0.13, 0, h + 0.2), colour := o.colour("white", "grey", "black"))
        details.append(f"a {colour} flag")
    if o.chance(0.4):
        o.add([ball(0.05).at(s * 0.3, -r - 0.1, 0.08) for s in (-1, 1)], "lit glass")
    o.describe(colour="white", details=details, synonyms=("snow house",))


def doghouse(o: Toy) -> None:
    w, d, h = o.between(0.55, 0.8), o.between(0.7, 1.1), o.between(0.45, 0.65)
    word = o.colour("grey", "black")
    cover = o.colour(word, "pink", "yellow")
    o.add(box(w, d, h), word, "planks")
    o.add(box(1.1 * w, 1.1 * d, 0.06), "wood")
    roof(
        o,
        o.pick("gabled", "gabled", "shed"),
        w,
        d,
        h,
        o.between(0.35, 0.6) * w,
        cover,
        (word, "planks"),
        surface="planks",
        turn=o.chance(0.75),
    )
    o.add(on_wall(arch(0.56 * w, 0.84 * h, 0.05), "front", w, d, z=0.05), "white" if word != "white" else "brown")
    o.add(on_wall(arch(0.44 * w, 0.76 * h, 0.08), "front", w, d, z=0.05), "black")
    details = [f"a {cover} roof"]
    if o.chance(0.5):
        o.add(
            lathe([(0, 0), (0.14, 0), (0.11, 0.09), (0.09, 0.09), (0.08, 0.04), (0, 0.04)]).at(0.5 * w, -0.62 * d),
            bowl := o.colour(word),
        )
        details.append(f"a {bowl} bowl")
    o.describe(colour=word, substance="wooden", details=details, roof=cover, synonyms=("kennel", "dog house"))


BUILDERS = {
    "hut": hut,
    "tent": tent,
    "igloo": igloo,
    "doghouse": doghouse,
}
