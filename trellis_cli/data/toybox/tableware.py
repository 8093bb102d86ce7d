"""Cups, bottles, vases, teapots, bowls. Handles point to +x."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    Real,
    ball,
    box,
    cone,
    cylinder,
    dome,
    lathe,
    radial,
    ring,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def _handle(o: Toy, r: Real, low: Real, high: Real, out: Real, thick: Real, name: str) -> None:
    """A bent handle on the +x side of a vessel of radius r, between two heights."""
    mid, half = (low + high) / 2, (high - low) / 2
    arc = [(r - 0.02 + out * cos(a), 0, mid + half * sin(a)) for a in (pi * (k / 8 - 0.5) for k in range(9))]
    o.add(tube(arc, thick), name)


def cup(o: Toy) -> None:
    colour, form = o.colour("brown"), o.pick("mug", "mug", "tea", "beaker", "barrel")
    r, h = o.between(0.28, 0.38), o.between(0.55, 0.85) * (0.7 if form == "tea" else 1)
    shape = {
        "mug": [(1, 0), (1, 1)],
        "tea": [(0.5, 0), (0.55, 0.08), (0.9, 0.4), (1.05, 1)],
        "beaker": [(0.72, 0), (1, 1)],
        "barrel": [(0.85, 0), (1.05, 0.5), (0.9, 1)],
    }[form]
    outer = [(a * r, z * h) for a, z in shape]
    inner = [(a - 0.06, max(z, 0.07)) for a, z in outer[::-1]]
    trim = o.colour(colour)
    o.add(lathe([(0, 0), *outer, *inner, (0, 0.07)], 28), colour)
    o.add(cylinder(0.8 * (shape[-1][0] + shape[0][0]) / 2 * r, 0.04, 20).at(z=o.between(0.7, 0.85) * h), "brown")
    sides = o.pick(1, 1, 1, 2)
    low, high = o.between(0.18, 0.3) * h, o.between(0.72, 0.86) * h
    wide = r * (0.9 if form in ("tea", "beaker") else 1)
    _handle(o, wide, low, high, o.between(0.18, 0.28), 0.045, colour)
    if sides == 2:
        side = Toy(o.category, o.seed)
        _handle(side, wide, low, high, 0.2, 0.045, colour)
        o.add([p.mirrored() for p, _ in side.pieces()], colour)
    details = ["two handles" if sides == 2 else "coffee"]
    band = o.pick("band", "dots", "none")
    if band == "band":
        z = o.between(0.3, 0.6)
        wide = r * (shape[0][0] + (shape[-1][0] - shape[0][0]) * z) * (1.12 if form in ("barrel", "tea") else 1.02)
        o.add(
            lathe(
                [
                    (0.8 * wide, z * h),
                    (wide, z * h),
                    (wide * 1.01, (z + 0.16) * h),
                    (0.8 * wide, (z + 0.16) * h),
                    (0.8 * wide, z * h),
                ],
                28,
            ),
            trim,
        )
        details.append(f"a {trim} stripe")
    elif band == "dots":
        o.add(
            [
                p.at(z=0.45 * h)
                for p in radial(
                    ball(0.06, 0.05, 0.06, 8, 6).at(
                        0, -r * {"tea": 0.95, "beaker": 0.86, "barrel": 1.04}.get(form, 1.0)
                    ),
                    7,
                )
            ],
            trim,
        )
        details.append(f"{trim} dots")
    if form == "tea" or o.chance(0.25):
        o.add(
            lathe([(0, -0.04), (0.5 * r, -0.04), (1.75 * r, 0.04), (1.75 * r, 0.08), (0.6 * r, 0.02), (0, 0.02)], 28),
            trim,
        )
        details.append(f"a {trim} saucer")
    o.add(ring(shape[-1][0] * r - 0.03, 0.035, 28).at(z=h), colour)
    o.add(lathe([(0, -0.03), (0.8 * shape[0][0] * r, -0.03), (0.8 * shape[0][0] * r, 0.02), (0, 0.02)], 24), colour)
    o.describe(
        colour=colour,
        style="tall" if h > 0.75 else "",
        details=details,
        form=form,
        synonyms=("mug", "coffee cup", "teacup"),
    )


def bottle(o: Toy) -> None:
    colour = o.pick("green", "brown", "blue", "red", "white", "orange", "purple", "pink", "black", "yellow")
    r, h = o.between(0.16, 0.24), o.between(0.75, 1.1)
    form, sides = o.pick("wine", "beer", "flask", "jug", "round"), o.pick(22, 22, 22, 4, 8)
    shape = {
        "wine": [(1, 0), (1, 0.6), (0.75, 0.68), (0.34, 0.74), (0.3, 1)],
        "beer": [(1, 0), (1, 0.5), (0.8, 0.62), (0.42, 0.78), (0.36, 1)],
        "flask": [(1.15, 0), (1.1, 0.1), (0.5, 0.62), (0.34, 0.72), (0.34, 1)],
        "jug": [(0.8, 0), (1.2, 0.25), (1.15, 0.5), (0.5, 0.7), (0.36, 0.76), (0.36, 1)],
        "round": [(0.6, 0), (1.3, 0.2), (1.4, 0.38), (1.0, 0.56), (0.36, 0.66), (0.34, 1)],
    }[form]
    o.add(lathe([(0, 0), *((a * r, z * h) for a, z in shape), (0, h)], sides), colour)
    neck = shape[-1][0] * r
    cap, stopper = o.pick("pale wood", "red", "gold", "white", "black"), o.pick("cork", "cap", "ball")
    cap = cap if cap != colour else "gold"
    if stopper == "ball":
        o.add([cylinder(neck, 0.06, 14).at(z=h), ball(1.4 * neck).at(z=h + 0.1)], cap)
    else:
        o.add(cylinder((0.85 if stopper == "cork" else 1.25) * neck, 0.1, 14).at(z=h - 0.02), cap)
    o.add(ring(neck, 0.03, 16).at(z=0.95 * h), colour)
    label = o.pick(*(c for c in ("white", "red", "yellow", "blue", "cream") if c != colour))
    low, high = o.between(0.1, 0.18), o.between(0.34, 0.48)
    wide = 1.03 * r * max(a for a, _ in shape[1:])
    if form == "flask":
        low, high = 0.06, 0.2
    o.add(
        lathe(
            [(0.5 * wide, low * h), (wide, low * h), (wide, high * h), (0.5 * wide, high * h), (0.5 * wide, low * h)],
            sides,
        ),
        label,
    )
    o.add(
        box(0.7 * wide, 0.04, 0.3 * (high - low) * h).at(
            0, -wide * (0.72 if sides == 4 else 0.99), (low + 0.35 * (high - low)) * h
        ),
        "black" if label != "black" else "white",
    )
    details = [f"a {label} label", {"cork": "a cork", "cap": "a cap", "ball": "a round stopper"}[stopper]]
    if form == "jug" and o.chance(0.7):
        _handle(o, 0.75 * r, 0.58 * h, 0.9 * h, 0.13, 0.032, colour)
        details.append("a handle")
    o.describe(
        colour=colour,
        style="square" if sides == 4 else "",
        size="tall" if h > 1 else "",
        details=details,
        form=form,
        synonyms=("glass bottle", "wine bottle") if form in ("wine", "beer") else ("flask", "glass bottle"),
    )


def vase(o: Toy) -> None:
    colour = o.colour("brown")
    trim = o.colour(colour)
    r, h, sides = o.between(0.2, 0.32), o.between(0.6, 1.0), o.pick(24, 24, 24, 6, 8)
    shape = o.pick(
        [(0.6, 0), (1, 0.4), (0.9, 0.65), (0.4, 0.85), (0.6, 1)],
        [(0.5, 0), (0.7, 0.3), (1.1, 0.75), (0.6, 0.93), (0.75, 1)],
        [(0.9, 0), (0.6, 0.4), (0.7, 0.7), (1.05, 1)],
        [(0.7, 0), (1.15, 0.25), (0.5, 0.6), (0.42, 0.85), (0.7, 1)],
        [(0.8, 0), (0.8, 1)],
        [(0.4, 0), (0.3, 0.15), (1, 0.5), (0.95, 0.8), (0.7, 0.9), (0.85, 1)],
    )
    outer = [(a * r, z * h) for a, z in shape]
    rim = outer[-1][0]
    o.add(lathe([(0, 0), *outer, (rim - 0.055, h), (max(0.12, rim - 0.08), 0.86 * h), (0, 0.8 * h)], sides), colour)
    o.add(lathe([(0, 0), (outer[0][0] * 1.1, 0), (outer[0][0] * 1.1, 0.05), (0, 0.05)], sides), trim)
    o.add(ring(rim - 0.02, 0.035, sides).at(z=h), trim)
    at = o.between(0.35, 0.7)
    below = max(k for k in range(len(shape) - 1) if shape[k][1] <= at)
    (a0, z0), (a1, z1) = shape[below], shape[below + 1]
    wide = (a0 + (a1 - a0) * (at - z0) / (z1 - z0)) * r
    style = o.pick("band", "beads", "plain")
    if style == "band":
        o.add(ring(wide, 0.035, sides).at(z=at * h), trim)
    elif style == "beads":
        o.add([p.at(z=at * h) for p in radial(ball(0.05, sides=8, levels=6).at(0, -wide), 8)], trim)
    o.add(ring(wide, 0.02, sides).at(z=(at - 0.1) * h), colour)
    details = [f"a {trim} rim"]
    if o.chance(0.3):
        for s in (1, -1):
            side = Toy(o.category, o.seed)
            _handle(side, 0.6 * r, 0.5 * h, 0.88 * h, 0.17, 0.035, colour)
            o.add([p if s == 1 else p.mirrored() for p, _ in side.pieces()], colour)
        details.append("two handles")
    if o.chance(0.4):
        flower = o.pick(*(c for c in ("red", "yellow", "pink", "purple", "white") if c != colour))
        for k in range(n := o.whole(3, 5)):
            a, out = 2 * pi * k / n, o.between(0.12, 0.26)
            tip = (out * cos(a), out * sin(a), h + o.between(0.2, 0.4))
            o.add(rod((0.3 * tip[0], 0.3 * tip[1], 0.82 * h), tip, 0.028, 6), "green")
            o.add(ball(0.1, 0.1, 0.08, 10, 6).at(*tip), flower)
        details.insert(0, f"{flower} flowers")
    else:
        o.add(cylinder(max(0.06, rim - 0.07), 0.03, sides).at(z=0.87 * h), "black")
    o.describe(
        colour=colour,
        size="tall" if h > 0.85 else "small" if h < 0.7 else "",
        details=details,
        synonyms=("flower vase", "pot"),
    )


def teapot(o: Toy) -> None:
    colour = o.colour("brown")
    trim = o.colour(colour)
    r, squash = o.between(0.3, 0.38), o.between(0.75, 1.1)
    form, high = o.pick("round", "round", "pear", "square"), 2 * r * squash
    if form == "square":
        o.add(box(1.8 * r, 1.6 * r, high, 0.08), colour)
    else:
        belly = 0.42 if form == "pear" else 0.5
        o.add(
            lathe(
                [
                    (0, 0),
                    (0.6 * r, 0),
                    (0.95 * r, belly * 0.5 * high),
                    (r, belly * high),
                    (0.86 * r, 0.75 * high),
                    (0.45 * r, high),
                    (0, high),
                ],
                24,
            ),
            colour,
        )
    o.add(lathe([(0, -0.05), (0.65 * r, -0.05), (0.58 * r, 0.03), (0, 0.03)], 20), trim)
    lid = o.pick("flat", "dome", "cone")
    o.add(
        {"flat": cylinder(0.48 * r, 0.06), "dome": dome(0.5 * r, 0.3 * r), "cone": cone(0.5 * r, 0.32 * r, 0.1 * r)}[
            lid
        ].at(z=high - 0.02),
        trim if o.chance(0.4) else colour,
    )
    o.add(ball(0.065).at(z=high + (0.09 if lid == "flat" else 0.34 * r)), trim)
    reach, top = o.between(0.26, 0.38), high * o.between(0.85, 1.05)
    spout = [
        (-0.8 * r, 0, 0.34 * high),
        (-r - 0.4 * reach, 0, 0.42 * high),
        (-r - 0.7 * reach, 0, 0.7 * high),
        (-r - reach, 0, top),
    ]
    o.add(tube(spout, [0.1, 0.085, 0.06, 0.05], 10), colour)
    if o.chance(0.25):
        arc = [
            (0.9 * r * cos(a), 0, 0.8 * high + (0.2 * high + 0.3) * sin(a)) for a in (pi * k / 10 for k in range(11))
        ]
        o.add(tube(arc, 0.04), trim)
        handle = "a hoop handle"
    else:
        _handle(o, 0.92 * r, 0.22 * high, 0.82 * high, o.between(0.2, 0.3), 0.045, colour)
        handle = "a curved handle"
    details = [f"a {trim} knob", handle]
    if o.chance(0.4) and form != "square":
        o.add([p.at(z=0.45 * high) for p in radial(ball(0.06, 0.05, 0.06, 8, 6).at(0, -0.98 * r), 8, 0.2)], trim)
        details.append(f"{trim} dots")
    o.describe(
        colour=colour,
        style=form if form == "square" else "",
        details=details,
        lid=lid,
        form=form,
        synonyms=("tea pot", "kettle"),
    )


def bowl(o: Toy) -> None:
    colour = o.colour("black")
    r, h, form = o.between(0.42, 0.56), o.between(0.24, 0.42), o.pick("round", "round", "flared", "straight")
    shape = {
        "round": [(0.45, 0), (0.8, 0.35), (1, 1)],
        "flared": [(0.35, 0), (0.55, 0.4), (1.05, 1)],
        "straight": [(0.75, 0), (1, 1)],
    }[form]
    sides = o.pick(28, 28, 8)
    outer = [(a * r, 0.06 + z * h) for a, z in shape]
    o.add(lathe([(0, 0.06), *outer, *[(a - 0.06, max(z, 0.13)) for a, z in outer[::-1]], (0, 0.13)], sides), colour)
    trim = o.colour(colour)
    o.add(lathe([(0, 0), (0.5 * r, 0), (0.42 * r, 0.08), (0, 0.08)], 20), trim)
    o.add(ring(outer[-1][0] - 0.03, 0.035, sides).at(z=h + 0.06), colour)
    full = o.pick("apples", "oranges", "soup", "lemons", "eggs")
    if full == "soup":
        o.add(cylinder(0.86 * r, 0.04, sides).at(z=0.06 + 0.72 * h), broth := o.pick("orange", "red", "green"))
        o.add(rod((0.2 * r, 0, 0.75 * h), (1.25 * r, 0, h + 0.35), 0.035, 8), "metal")
        o.add(ball(0.1, 0.08, 0.03, 10, 6).at(0.12 * r, 0, 0.08 + 0.72 * h), "metal")
        words = f"{broth} soup"
    else:
        fruit = {
            "apples": ("red", 0.14),
            "oranges": ("orange", 0.14),
            "lemons": ("yellow", 0.12),
            "eggs": ("cream", 0.11),
        }[full]
        n = o.whole(4, 6)
        s = fruit[1]
        o.add(
            [
                ball(s, s, s * 0.95, 12, 8).at(0.5 * r * cos(2 * pi * k / n), 0.5 * r * sin(2 * pi * k / n), h - 0.02)
                for k in range(n)
            ],
            fruit[0],
        )
        o.add(ball(s, s, s * 0.95, 12, 8).at(0, 0, h + 0.12), fruit[0])
        words = full
    o.describe(
        colour=colour,
        details=[words, f"a {trim} foot"],
        form=form,
        full=full,
        synonyms=("dish", "fruit bowl") if full != "soup" else ("soup bowl", "dish"),
    )


BUILDERS = {
    "cup": cup,
    "bottle": bottle,
    "vase": vase,
    "teapot": teapot,
    "bowl": bowl,
}
