"""Table lamps, floor lamps, street lamps."""

from math import cos, pi, sin

from trellis_cli.data.toybox.parts import (
    QUARTER,
    Real,
    ball,
    box,
    cone,
    cylinder,
    dome,
    frustum,
    lathe,
    radial,
    ring,
    rod,
    tube,
)
from trellis_cli.data.toybox.toy import Toy


def _shade(o: Toy, kind: str, r: Real, h: Real, z: Real, colour: str) -> None:
    """A lamp shade from z up, with a lit bulb beneath its rim."""
    if kind == "dome":
        o.add(dome(r, 0.8 * h).at(z=z), colour)
    elif kind == "bell":
        o.add(
            lathe([(0, 0.02), (r, 0), (0.85 * r, 0.25 * h), (0.5 * r, 0.75 * h), (0.42 * r, h), (0, h)], 24).at(z=z),
            colour,
        )
    elif kind == "globe":
        o.add(ball(0.85 * r).at(z=z + 0.75 * r), colour)
    elif kind == "square":
        o.add(frustum(1.7 * r, 1.7 * r, 1.1 * r, 1.1 * r, h).at(z=z), colour)
    else:
        o.add(
            cone(r, h, {"drum": 0.92, "cone": 0.5, "pleated": 0.68}[kind] * r, 24 if kind != "pleated" else 8).at(z=z),
            colour,
        )
    if kind not in ("globe",):
        o.add(cylinder(0.8 * r if kind != "bell" else 0.7 * r, 0.05, 16).at(z=z - 0.03), "lit glass")


SHADES = ("cone", "cone", "drum", "bell", "dome", "square", "pleated", "globe")


def table_lamp(o: Toy) -> None:
    shade, kind = o.colour("black", "brown"), o.pick(*SHADES)
    body = o.pick("gold", "wood", "metal", "dark metal", o.colour(shade), o.colour(shade))
    foot, r, h = o.between(0.12, 0.2), o.between(0.2, 0.34), o.between(0.2, 0.34)
    stem, shape = o.between(0.24, 0.48), o.pick("urn", "stick", "balls", "cone", "cube", "bottle")
    o.add(lathe([(0, 0), (foot, 0), (foot, 0.03), (0.6 * foot, 0.06), (0, 0.06)], 20), body)
    if shape == "urn":
        o.add(
            lathe(
                [(0, 0.05), (0.06, 0.05), (0.8 * foot, 0.5 * stem), (0.5 * foot, 0.85 * stem), (0.04, stem), (0, stem)],
                20,
            ),
            body,
        )
    elif shape == "stick":
        o.add(cylinder(0.035, stem, 12), body)
        o.add(ball(0.06, sides=12, levels=8).at(z=0.55 * stem), body)
    elif shape == "balls":
        n = o.whole(2, 3)
        o.add(
            [ball(0.55 * stem / n, sides=14, levels=8).at(z=0.04 + (k + 0.5) * 0.96 * stem / n) for k in range(n)], body
        )
    elif shape == "cone":
        o.add(cone(0.8 * foot, stem, 0.035).at(z=0.03), body)
    elif shape == "cube":
        o.add(box(1.2 * foot, 1.2 * foot, 0.75 * stem, 0.02).at(z=0.05), body)
    else:
        o.add(
            lathe(
                [
                    (0, 0.04),
                    (0.75 * foot, 0.04),
                    (0.8 * foot, 0.55 * stem),
                    (0.25 * foot, 0.75 * stem),
                    (0.22 * foot, stem),
                    (0, stem),
                ],
                16,
            ),
            body,
        )
    o.add([cylinder(0.03, 0.16, 10).at(z=stem - 0.04), ring(0.045, 0.02, 12).at(z=stem + 0.03)], "gold")
    _shade(o, kind, r, h, stem + 0.06, shade)
    if kind != "globe":
        high = stem + 0.06 + (0.8 * h if kind == "dome" else h)
        o.add(ball(0.035, sides=10, levels=6).at(z=high + 0.02), body)
    word = {"wood": "wooden", "gold": "golden", "dark metal": "black"}.get(body, body)
    o.describe(
        colour=shade,
        details=[f"a {shade} shade", f"a {word} base"],
        shade=kind,
        base=shape,
        synonyms=("lamp", "bedside lamp", "desk lamp"),
    )


def floor_lamp(o: Toy) -> None:
    shade, kind = o.colour("black", "brown"), o.pick(*SHADES)
    body = o.pick("gold", "wood", "metal", "dark metal", "black")
    h, r, tall = o.between(1.1, 1.5), o.between(0.2, 0.32), o.between(0.22, 0.36)
    base = o.pick("disc", "disc", "tripod", "arc")
    if base == "tripod":
        o.add(radial(rod((0, 0, 0.72 * h), (0, -o.between(0.26, 0.34), 0), 0.025, 8), 3), body)
        o.add([cylinder(0.03, 0.4 * h, 10).at(z=0.64 * h), ball(0.055, sides=10, levels=6).at(z=0.72 * h)], body)
    else:
        o.add(lathe([(0, 0), (0.21, 0), (0.2, 0.04), (0.05, 0.08), (0, 0.08)], 20), body)
        o.add([cylinder(0.03, h, 10), ring(0.04, 0.025, 12).at(z=h * o.between(0.3, 0.8))], body)
    if base == "arc":
        o.add(
            tube([(0.5 * (1 - cos(a)), 0, h - 0.05 + 0.25 * sin(a)) for a in (pi * k / 10 for k in range(10))], 0.03),
            body,
        )
        o.add(cone(r, 0.7 * tall, 0.35 * r).at(0.98, 0, h - 0.15), shade)
        o.add(cylinder(0.8 * r, 0.05).at(0.98, 0, h - 0.18), "lit glass")
    else:
        _shade(o, kind, r, tall, h, shade)
        o.add(
            ball(0.04, sides=10, levels=6).at(
                z=h + (0.8 if kind == "dome" else 1.5 * r / tall if kind == "globe" else 1) * tall
            ),
            body,
        )
    style = {"arc": "curved", "tripod": "", "disc": ""}[base]
    o.describe(
        colour=shade,
        size="tall",
        style=style,
        details=[f"a {shade} shade", {"tripod": "three legs", "arc": "a curved arm", "disc": "a round foot"}[base]],
        shade=kind,
        base=base,
        synonyms=("standing lamp",),
    )


def street_lamp(o: Toy) -> None:
    body = o.pick("black", "black", "green", "grey", "blue", "white", "red")
    h, style = o.between(1.5, 2.1), o.pick("lantern", "lantern", "globes", "arm", "double")
    o.add(
        lathe([(0, 0), (0.16, 0), (0.16, 0.08), (0.09, 0.16), (0.09, 0.3), (0.05, 0.36), (0.05, h), (0, h)], 12), body
    )
    o.add([ring(0.06, 0.03, 12).at(z=z * h) for z in (0.35, o.between(0.6, 0.9))], body)
    if style == "lantern":
        wide, tall, sides = o.between(0.12, 0.18), o.between(0.24, 0.34), o.pick(4, 6, 8)
        o.add(cylinder(0.8 * wide, 0.05, sides).at(z=h), body)
        o.add(cone(0.7 * wide, tall, wide, sides).at(z=h + 0.04), "lit glass")
        o.add(cone(1.3 * wide, 0.7 * wide, 0.03, sides).at(z=h + tall + 0.03), body)
        o.add(ball(0.04, sides=8, levels=6).at(z=h + tall + 0.75 * wide), body)
    else:
        count = {"globes": o.whole(2, 4), "arm": 1, "double": 2}[style]
        reach = o.between(0.28, 0.45)
        path = [(reach * (1 - cos(a)) / 1.0, 0, h - 0.05 + 0.22 * sin(a)) for a in (QUARTER * k / 5 for k in range(6))]
        o.add(radial(tube(path, 0.04), count), body)
        if style == "globes":
            r = o.between(0.11, 0.15)
            o.add(radial(ball(r).at(reach, 0, h + 0.14 + r), count), "lit glass")
            o.add(radial(cylinder(0.07, 0.05, 10).at(reach, 0, h + 0.13), count), body)
        else:
            o.add(radial(box(0.34, 0.16, 0.09, 0.02).at(reach + 0.1, 0, h + 0.13), count), body)
            o.add(radial(box(0.26, 0.11, 0.05).at(reach + 0.12, 0, h + 0.1), count), "lit glass")
    details = [{"lantern": "a lantern", "globes": "round lights", "arm": "a curved arm", "double": "two arms"}[style]]
    o.describe(
        colour=body,
        substance="metal",
        size="tall",
        details=details,
        style_of="lamp " + style,
        synonyms=("lamp post", "street light", "lantern post"),
    )


BUILDERS = {
    "table lamp": table_lamp,
    "floor lamp": floor_lamp,
    "street lamp": street_lamp,
}
