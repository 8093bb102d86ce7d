"""Tables and round tables, and things laid on them."""

from math import pi

from trellis_cli.data.toybox.joinery import frame_finish, legs
from trellis_cli.data.toybox.parts import Real, ball, beam, box, cone, cylinder, lathe, radial, ring, rod, tube
from trellis_cli.data.toybox.toy import Toy


def laid_table(o: Toy, x: Real, y: Real, z: Real) -> str:
    """Something standing on a table; returns the words for it."""
    thing = o.pick("a vase", "a bowl", "a cup", "books")
    colour = o.colour("brown", "black")
    if thing == "a vase":
        o.add(lathe([(0, 0), (0.06, 0), (0.09, 0.09), (0.04, 0.2), (0.06, 0.24), (0, 0.24)], 14).at(x, y, z), colour)
        o.add(ball(0.1, 0.1, 0.08, 10, 6).at(x, y, z + 0.29), "leaves")
        return f"a {colour} vase"
    if thing == "a bowl":
        o.add(lathe([(0, 0), (0.07, 0), (0.15, 0.1), (0.12, 0.1), (0, 0.03)], 16).at(x, y, z), colour)
        return f"a {colour} bowl"
    if thing == "a cup":
        o.add(lathe([(0, 0), (0.06, 0), (0.065, 0.13), (0.045, 0.13), (0, 0.03)], 14).at(x, y, z), colour)
        return f"a {colour} cup"
    for k in range(o.whole(2, 3)):
        o.add(box(0.26, 0.2, 0.05).turned("z", o.between(-0.4, 0.4)).at(x, y, z + 0.05 * k), o.colour())
    return "books"


def table(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, h = o.between(1.0, 1.9), o.between(0.65, 0.95), o.between(0.62, 0.8)
    thick, size = o.between(0.05, 0.09), o.between(0.06, 0.1)
    top = o.pick("box", "box", "oval", "bevel")
    if top == "oval":
        o.add(cylinder(0.5, thick, 28).scaled(1.1 * w, 1.1 * d, 1).at(z=h - thick), *made)
    else:
        o.add(box(w, d, thick, 0.02 if top == "bevel" else 0).at(z=h - thick), *made)
    base = o.pick("legs", "legs", "legs", "trestle", "panels", "pedestals")
    inset = 0.78 if top == "oval" else o.between(0.86, 0.98)
    if base == "legs":
        kind = o.pick("square", "round", "tapered", "turned", "splayed")
        o.add(legs(o, inset * w, inset * d, h - thick, kind, size), *made)
        if kind != "splayed" or o.chance(0.5):
            apron, x, y = o.between(0.06, 0.14), (inset * w - size) / 2, (inset * d - size) / 2
            o.add([box(2 * x, 0.045, apron).at(0, s * y, h - thick - apron) for s in (-1, 1)], *made)
            o.add([box(0.045, 2 * y, apron).at(s * x, 0, h - thick - apron) for s in (-1, 1)], *made)
    elif base == "trestle":
        for s in (-1, 1):
            x = s * 0.34 * w
            o.add(
                [
                    beam((x, -0.4 * d, 0.02), (x, 0.36 * d, h - thick), size),
                    beam((x, 0.4 * d, 0.02), (x, -0.36 * d, h - thick), size),
                ],
                *made,
            )
        o.add(beam((-0.34 * w, 0, 0.5 * h), (0.34 * w, 0, 0.5 * h), size), *made)
    elif base == "panels":
        o.add([box(0.07, 0.84 * d, h - thick).at(s * 0.4 * w) for s in (-1, 1)], *made)
        o.add([box(0.8 * w, 0.06, 0.14).at(z=z) for z in (0.25 * h, h - thick - 0.14)], *made)
    else:
        for s in (-1, 1):
            x = s * 0.28 * w
            o.add(
                lathe([(0, 0), (0.06, 0), (0.08, 0.3 * h), (0.05, 0.6 * h), (0.09, h - thick), (0, h - thick)], 12).at(
                    x
                ),
                *made,
            )
            o.add([box(0.08, 0.8 * d, 0.06).at(x), box(0.1, 0.6 * d, 0.05).at(x, 0, h - thick - 0.05)], *made)
    details = [
        {"legs": "four legs", "trestle": "crossed legs", "panels": "panel legs", "pedestals": "two pedestals"}[base]
    ]
    if o.chance(0.3):
        details.append(laid_table(o, o.between(-0.25, 0.25) * w, 0, h))
    size_word = "long" if w > 1.65 else "small" if w < 1.15 else ""
    o.describe(
        colour=colour,
        substance=substance,
        size=size_word,
        style="oval" if top == "oval" else "",
        details=details,
        base=base,
        synonyms=("dining table", "kitchen table"),
    )


def round_table(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    r, h, thick = o.between(0.42, 0.72), o.between(0.58, 0.8), o.between(0.05, 0.08)
    edge = o.pick(0.0, 0.02, 0.03)
    top = [(0, 0), (r - edge, 0), (r, edge), (r, thick - edge / 2), (r - edge, thick), (0, thick)]
    o.add(lathe(top, 32).at(z=h - thick), *made)
    o.add(cylinder(0.7 * r, 0.05, 24).at(z=h - thick - 0.05), *made)
    base, count = o.pick("pedestal", "pedestal", "tripod", "legs", "legs", "drum"), o.pick(3, 4, 4)
    low = h - thick
    if base == "pedestal":
        stem = o.pick(
            [(0.06, 0.05), (0.06, 1.0)],
            [(0.11, 0.05), (0.06, 0.3), (0.1, 0.6), (0.06, 0.9), (0.13, 1.0)],
            [(0.16, 0.05), (0.05, 0.5), (0.16, 1.0)],
        )
        o.add(lathe([(0, 0.0), *((a, z * low) for a, z in stem), (0, low)], 16), *made)
        o.add(ring(0.085, 0.03, 14).at(z=low * o.between(0.3, 0.8)), *made)
        o.add(lathe([(0, 0), (0.62 * r, 0), (0.58 * r, 0.05), (0.12, 0.1), (0, 0.1)], 24), *made)
    elif base == "tripod":
        o.add(lathe([(0, 0.12), (0.07, 0.14), (0.05, 0.4 * low), (0.08, 0.6 * low), (0.06, low), (0, low)], 14), *made)
        path = [(0, -0.02, 0.26), (0, -0.3 * r, 0.22), (0, -0.55 * r, 0.08), (0, -0.72 * r, 0.03)]
        o.add(radial(tube(path, 0.045), count), *made)
    elif base == "legs":
        out = o.between(0.7, 1.05)
        o.add(radial(rod((0, -0.68 * r, low), (0, -0.8 * r * out, 0), 0.045, 8, 0.035), count, pi / count), *made)
        if o.chance(0.4):
            o.add(cylinder(0.6 * r, 0.045, 24).at(z=0.3 * low), *made)
    else:
        o.add(cone(0.5 * r, low, 0.42 * r, 24), *made)
        o.add([cylinder(0.56 * r, 0.07, 24), cylinder(0.5 * r, 0.06, 24).at(z=0.5 * low)], *made)
    number = {3: "three", 4: "four"}[count]
    details = [
        {"pedestal": "a pedestal", "tripod": f"{number} curved feet", "legs": f"{number} legs", "drum": "a drum base"}[
            base
        ]
    ]
    if o.chance(0.3):
        details.append(laid_table(o, 0, 0, h))
    o.describe(
        colour=colour,
        substance=substance,
        size="small" if r < 0.5 else "large" if r > 0.64 else "",
        details=details,
        base=base,
        synonyms=("circular table", "round dining table"),
    )


BUILDERS = {
    "table": table,
    "round table": round_table,
}
