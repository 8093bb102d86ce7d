"""Desks, bookshelves, wardrobes, chests of drawers. Fronts face -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.joinery import frame_finish, legs
from trellis_cli.data.toybox.parts import (
    Real,
    ball,
    box,
    disc,
    facing,
    frustum,
)
from trellis_cli.data.toybox.tables import laid_table
from trellis_cli.data.toybox.toy import Toy


def _drawers(
    o: Toy, x: Real, y: Real, z: Real, w: Real, h: Real, rows: int, columns: int, face: tuple, knob: str
) -> None:
    """Drawer fronts filling w x h on a front plane at y, each with a knob or a bar."""
    bar = o.chance(0.5)
    for i in range(rows):
        for j in range(columns):
            cx, cz = x + (j - (columns - 1) / 2) * w / columns, z + i * h / rows
            o.add(box(w / columns - 0.035, 0.05, h / rows - 0.035).at(cx, y, cz + 0.018), *face)
            handle = box(0.3 * w / columns, 0.1, 0.035) if bar else disc(0.03, 0.12, 8).at(z=0.015)
            o.add(handle.at(cx, y - 0.01, cz + 0.5 * h / rows - 0.015), knob)


def desk(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, h = o.between(1.1, 1.6), o.between(0.55, 0.75), o.between(0.7, 0.78)
    o.add(box(w, d, 0.06).at(z=h - 0.06), *made)
    sides = o.pick((-1,), (1,), (-1, 1))
    face = made if o.chance(0.6) else (o.colour(colour), None)
    width, rows = o.between(0.32, 0.42), o.whole(2, 4)
    foot = o.pick(0.0, 0.1)
    for s in (-1, 1):
        x = s * (w / 2 - width / 2 - 0.02)
        if s in sides:
            o.add(box(width, 0.92 * d, h - 0.06 - foot).at(x, 0, foot), *made)
            _drawers(o, x, -0.46 * d, foot + 0.03, width, h - 0.1 - foot, rows, 1, face, "gold")
            if foot:
                o.add([p.at(x) for p in legs(o, width, 0.9 * d, foot, "square", 0.06)], *made)
        else:
            x = s * (w / 2 - 0.05)
            o.add([box(0.06, 0.06, h - 0.06).at(x, sy * (d / 2 - 0.05)) for sy in (-1, 1)], *made)
    o.add(box(w - 0.1, 0.045, o.between(0.2, 0.5) * h).at(0, 0.42 * d, 0.4 * h), *made)
    details = ["drawers"]
    if o.chance(0.3):
        o.add(box(w, 0.24, 0.05).at(0, d / 2 - 0.12, h + 0.34), *made)
        o.add([box(0.05, 0.24, 0.34).at(s * (w / 2 - 0.025), d / 2 - 0.12, h) for s in (-1, 0, 1)], *made)
        details.append("a shelf")
    elif o.chance(0.5):
        o.add(box(0.5, 0.05, 0.32).at(0, 0.1, h + 0.12), "black")
        o.add(box(0.45, 0.06, 0.27).at(0, 0.09, h + 0.145), "water")
        o.add(
            [
                box(0.06, 0.05, 0.15).at(0, 0.12, h),
                box(0.24, 0.16, 0.03).at(0, 0.12, h),
                box(0.42, 0.14, 0.03).at(0, -0.16, h),
            ],
            "black",
        )
        details.append("a computer")
    elif o.chance(0.6):
        details.append(laid_table(o, o.between(-0.3, 0.3) * w, 0.08, h))
    o.describe(colour=colour, substance=substance, details=details, synonyms=("writing desk", "office desk"))


def _book_row(o: Toy, x: Real, y: Real, z: Real, w: Real, h: Real, d: Real) -> None:
    """Books standing side by side, sometimes with a gap or one leaning."""
    at, end = x - w / 2, x + w / 2
    end -= w * o.pick(0, 0, 0.15, 0.3)
    while at < end - 0.05:
        thick = min(o.between(0.06, 0.1), end - at)
        tall = h * o.between(0.68, 0.94)
        o.add(box(thick - 0.006, d, tall).at(at + thick / 2, y, z), o.colour())
        at += thick


def bookshelf(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d = o.between(0.7, 1.5), o.between(0.26, 0.38)
    rows, columns = o.whole(3, 6), 1 if w < 1.05 else o.pick(1, 2)
    gap, t = o.between(0.3, 0.4), 0.055
    foot = o.pick(0.0, 0.06, 0.14)
    h = rows * gap + t
    o.add([box(t, d, h).at(s * (w - t) / 2, 0, foot) for s in (-1, 1)], *made)
    o.add([box(w - t, d, t).at(0, 0, foot + k * gap) for k in range(rows + 1)], *made)
    if columns == 2:
        o.add(box(t, d, h).at(0, 0, foot), *made)
    backed = o.chance(0.75)
    if backed:
        o.add(box(w - t, 0.05, h - 0.02).at(0, d / 2 - 0.025, foot + 0.01), *made)
    if foot == 0.06:
        o.add(box(0.98 * w, 0.94 * d, foot + 0.01), *made)
    elif foot:
        o.add(legs(o, w, d, foot + 0.01, o.pick("square", "tapered", "round"), 0.07), *made)
    crown = o.pick("", "", "cornice", "arch")
    if crown == "cornice":
        o.add(frustum(w, d, w + 0.12, d + 0.06, 0.09).at(z=foot + h), *made)
    elif crown == "arch":
        arc = [(w / 2 * cos(a), 0.2 * sin(a)) for a in (pi * k / 10 for k in range(11))]
        o.add(facing(arc, 0.06).at(0, d / 2 - 0.03, foot + h - 0.01), *made)
    width = (w - (columns + 1) * t) / columns
    depth = d - 0.07
    empty = o.between(0.0, 0.25)
    for k in range(rows):
        for j in range(columns):
            x = (j - (columns - 1) / 2) * (width + t)
            if k == 0 and o.chance(0.15):
                o.add(box(width, 0.05, gap).at(x, -d / 2 + 0.03, foot + t / 2), *made)
                o.add(ball(0.035, sides=8, levels=6).at(x + 0.3 * width, -d / 2, foot + gap / 2), "gold")
            elif not o.chance(empty):
                _book_row(o, x, d / 2 - 0.05 - depth / 2, foot + k * gap + t, width, gap - t, 0.82 * depth)
    o.describe(
        colour=colour,
        substance=substance,
        size="tall" if h > 1.7 * w else "wide" if w > 1.2 * h else "",
        details=["colourful books", f"{ {3: 'three', 4: 'four', 5: 'five', 6: 'six'}[rows] } shelves"],
        synonyms=("bookcase", "shelf with books"),
        rows=str(rows),
    )


def wardrobe(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, h, foot = o.between(0.75, 1.6), o.between(0.42, 0.75), o.between(1.4, 2.1), o.between(0.05, 0.24)
    doors = 2 if w < 1.2 else o.pick(2, 3)
    face = made if o.chance(0.85) else (o.colour(colour, "brown"), None)
    base = o.pick(0.0, 0.0, 0.28, 0.5)
    o.add(box(w, d, h - foot).at(z=foot), *made)
    o.add(legs(o, w, d, foot + 0.01, o.pick("square", "tapered", "turned"), 0.09), *made)
    crown = o.pick("flat", "cornice", "arch", "none")
    if crown == "cornice":
        o.add(frustum(w, d, w + 0.16, d + 0.12, 0.12).at(z=h), *made)
    elif crown == "flat":
        o.add(box(w + 0.1, d + 0.06, 0.08).at(z=h), *made)
    elif crown == "arch":
        arc = [(w / 2 * cos(a), 0.24 * sin(a)) for a in (pi * k / 12 for k in range(13))]
        o.add(facing(arc, d).at(z=h - 0.01), *made)
    if o.chance(0.3):
        side, wide, low = o.pick(-1, 1), o.between(0.3, 0.5), o.between(0.5, 0.85) * h
        o.add(box(wide, 0.9 * d, low).at(side * (w + wide) / 2), *made)
        o.add(box(wide - 0.06, 0.06, low - 0.1).at(side * (w + wide) / 2, -0.45 * d, 0.05), *face)
    each, z, tall = w / doors, foot + 0.04 + base, h - foot - 0.08 - base
    mirror = o.chance(0.25)
    for k in range(doors):
        x = (k - (doors - 1) / 2) * each
        o.add(box(each - 0.05, 0.06, tall).at(x, -d / 2, z), *face)
        panel = "glass" if mirror and k == doors // 2 else None
        for low, part in ((0.06, 0.52), (0.62, 0.32)):
            o.add(
                box(0.62 * each, 0.09, part * tall).at(x, -d / 2, z + low * tall), *((panel, None) if panel else face)
            )
        s = 1 if k < doors / 2 else -1
        o.add(box(0.04, 0.15, 0.2).at(x + s * 0.42 * each, -d / 2, z + 0.46 * tall), "gold")
    if base:
        _drawers(
            o, 0, -d / 2 - 0.01, foot + 0.03, w, base, o.pick(1, 2) if base > 0.3 else 1, o.pick(1, 2), face, "gold"
        )
    front = "" if face is made else f"{face[0]} "
    details = [
        f"{ {2: 'two', 3: 'three'}[doors] } {front}doors",
        "drawers" if base else "",
        "a mirror" if mirror else "",
    ]
    o.describe(
        colour=colour,
        substance=substance,
        size="wide" if doors == 3 else "",
        details=details,
        crown=crown,
        synonyms=("closet", "cupboard"),
    )


def chest_of_drawers(o: Toy) -> None:
    colour, substance, made = frame_finish(o)
    w, d, rows = o.between(0.7, 1.3), o.between(0.42, 0.55), o.whole(2, 5)
    h, foot = rows * o.between(0.2, 0.26) + 0.08, o.between(0.06, 0.16)
    face = made if o.chance(0.8) else (o.colour(colour), None)
    o.add(box(w, d, h).at(z=foot), *made)
    o.add(box(w + 0.08, d + 0.06, 0.06).at(z=foot + h), *made)
    o.add(legs(o, w, d, foot + 0.01, o.pick("square", "tapered", "turned", "round"), 0.09), *made)
    columns = o.pick(1, 1, 2) if w < 1.1 else o.pick(1, 2, 3)
    _drawers(o, 0, -d / 2, foot + 0.03, w - 0.04, h - 0.05, rows, columns, face, o.pick("gold", "dark metal", "white"))
    details = [f"{rows} rows of {face[0]} drawers" if face is not made else f"{rows} rows of drawers"]
    if o.chance(0.3):
        z = foot + h + 0.06
        o.add(disc(0.32, 0.06, 24).scaled(1, 1, 1.2).at(0, d / 2 - 0.06, z + 0.42), *made)
        o.add(disc(0.27, 0.08, 24).scaled(1, 1, 1.2).at(0, d / 2 - 0.06, z + 0.42), "glass")
        o.add(box(0.2, 0.06, 0.12).at(0, d / 2 - 0.06, z), *made)
        details.append("a round mirror")
    elif o.chance(0.3):
        details.append(laid_table(o, 0.2 * w, 0, foot + h + 0.06))
    o.describe(
        colour=colour,
        substance=substance,
        details=details,
        size="tall" if h > 1.15 * w else "",
        synonyms=("dresser", "drawers", "chest"),
    )


BUILDERS = {
    "desk": desk,
    "bookshelf": bookshelf,
    "wardrobe": wardrobe,
    "chest of drawers": chest_of_drawers,
}
