"""Houses, cottages, log cabins, barns. Doors face -y."""

from collections.abc import Mapping

from trellis_cli.data.toybox.architecture import ROOFS, chimney, door, on_wall, roof, window
from trellis_cli.data.toybox.parts import QUARTER, Real, across, box, cone, cylinder, dome, facing, gable_roof, rod
from trellis_cli.data.toybox.toy import Toy

STACKS = {"brick": "brick", "stone": "stone", "white": "white", "grey": "grey"}


def _openings(o: Toy, w: Real, d: Real, storey: Real, storeys: int, frame: str, leaf: str, *, lift: Real = 0.0) -> None:
    """A door in front and windows in rows on all sides, as many as the walls have room for."""
    shape = o.pick("", "cross", "cross", "arched")
    size = (storey * o.between(0.34, 0.46), storey * o.between(0.4, 0.52))
    across_front = max(2, int(w / (2.1 * size[0])))
    gap = w / across_front
    columns = [(k - (across_front - 1) / 2) * gap for k in range(across_front)]
    at_door = o.pick(*columns) if o.chance(0.5) or across_front % 2 == 0 else columns[across_front // 2]
    door(o, "front", w, d, at_door, lift, (0.36 * storey, 0.66 * storey), leaf, frame)
    shutters = o.colour("white", "grey") if o.chance(0.25) and shape != "arched" else ""
    for level in range(storeys):
        z = lift + level * storey + 0.36 * storey
        for side, run in (("front", w), ("back", w), ("left", d), ("right", d)):
            places = columns if run == w else [-d / 4, d / 4] if d > 3 * size[0] else [0.0]
            for along in places:
                if side == "front" and level == 0 and along == at_door:
                    continue
                window(o, side, w, d, along, z, size, frame, shape)
                if shutters and side == "front":
                    wing = box(0.34 * size[0], 0.07, 1.05 * size[1])
                    o.add(
                        [on_wall(wing.at(s * 0.68 * size[0]), side, w, d, along, z) for s in (-1, 1)],
                        shutters,
                        "planks",
                    )


def _porch(o: Toy, w: Real, d: Real, reach: Real, h: Real, timber: str, cover: tuple[str, str | None]) -> None:
    """A covered porch along part of the front."""
    width = w * o.between(0.45, 1.0)
    posts = 2 if width < 0.7 * w else o.whole(3, 4)
    y = -d / 2 - reach
    o.add(box(width, reach, 0.07).at(0, -d / 2 - reach / 2), timber, "planks")
    spots = [-width / 2 + 0.05 + k * (width - 0.1) / (posts - 1) for k in range(posts)]
    o.add([box(0.06, 0.06, h).at(x, y + 0.04) for x in spots], timber)
    o.add(
        across([(y - 0.06, h - 0.03), (-d / 2, h + 0.14), (-d / 2, h + 0.2), (y - 0.06, h + 0.04)], width + 0.1), *cover
    )


def _homestead(
    o: Toy, walls: Mapping[str, tuple[str, str | None]], roofs: tuple[str, ...], kinds: tuple[str, ...]
) -> None:
    """A house of one block or two, with a roof, openings, and perhaps chimney, porch, wing and dormers."""
    word = o.pick(*walls)
    wall = walls[word]
    cover = o.pick(*(r for r in roofs if r != word))
    name, surface = ROOFS[cover]
    kind = "soft" if cover == "thatched" else o.pick(*kinds)
    heights = (1, 1, 2) if o.category == "cottage" or cover == "thatched" else (1, 1, 2, 2, 3)
    storeys = o.pick(*heights)
    w, d, storey = o.between(1.0, 1.7), o.between(0.8, 1.15), o.between(0.44, 0.56)
    h, turn = storeys * storey, o.chance(0.35)
    rise = o.between(0.4, 0.75) * (w if turn else d) * (0.75 if kind in ("hipped", "pyramid") else 1)
    o.add(box(w, d, h), *wall)
    o.add(box(1.04 * w, 1.04 * d, 0.06), "stone")
    frame = "white" if word != "white" else o.pick("grey", "brown", "blue", "green")
    _openings(o, w, d, storey, storeys, frame, o.colour("white", "grey", word))
    roof(o, kind, w, d, h, rise, name, wall, surface=surface, over=o.between(0.06, 0.13), turn=turn)
    details = [f"a {cover} roof" if kind != "flat" else f"a flat {cover} roof"]
    if o.chance(0.35):
        side, reach, low = o.pick(-1, 1), o.between(0.4, 0.75), storey * max(1, storeys - o.whole(0, 1))
        deep = d * o.between(0.55, 0.8)
        x, y = side * (w + reach) / 2, o.pick(-1, 1, 1) * (d - deep) / 2
        o.add(box(reach, deep, low).at(x, y), *wall)
        side_turn = deep > reach
        roof(
            o, kind, reach, deep, low, 0.6 * rise, name, wall, surface=surface, over=0.05, turn=side_turn, place=(x, y)
        )
        o.add(on_wall(box(0.2, 0.06, 0.24), "front", reach, deep, 0, 0.36 * storey).at(x, y), frame)
        o.add(on_wall(box(0.14, 0.08, 0.18), "front", reach, deep, 0, 0.38 * storey).at(x, y), "dark glass")
        details.append("a side wing")
    if o.chance(0.65):
        stack = o.pick(*(s for s in STACKS if s != word))
        for side in (-1, 1)[: o.pick(1, 1, 2)]:
            x, y = side * o.between(0.25, 0.42) * w, o.between(0.0, 0.25) * d
            over = 0.3 if kind == "flat" else rise * o.between(1.0, 1.2) + 0.08
            chimney(o, x, y, h, h + over, o.between(0.12, 0.18), STACKS[stack])
        details.append(f"a {stack} chimney")
    if o.chance(0.35):
        _porch(o, w, d, o.between(0.25, 0.4), 0.85 * storey, o.pick("white", "wood"), (name, surface))
        details.append("a porch")
    elif o.chance(0.5):
        o.add([box(0.4 - 0.08 * k, 0.24 - 0.08 * k, 0.05 * (k + 1)).at(0, -d / 2 - 0.06) for k in range(2)], "stone")
    if kind == "gabled" and not turn and o.chance(0.3):
        for x in (-0.25 * w, 0.25 * w)[: o.whole(1, 2)]:
            o.add(box(0.24, 0.4, 0.3).at(x, -0.28 * d, h + 0.02), *wall)
            o.add(gable_roof(0.45, 0.34, 0.14, 0.05).turned("z", QUARTER).at(x, -0.28 * d, h + 0.3), name, surface)
            o.add(box(0.14, 0.46, 0.16).at(x, -0.28 * d, h + 0.08), "dark glass")
        details.append("dormer windows")
    tall = {1: "small", 3: "tall"}.get(storeys, "large" if w > 1.4 else "")
    colour, substance = ("", word) if word in ("brick", "stone", "wooden") else (word, "")
    o.describe(
        colour=colour, substance=substance, size=tall, details=details, roof=cover, roof_kind=kind,
        storeys=str(storeys), synonyms=("family house", "home") if o.category == "house" else ("country cottage",),
    )  # fmt: skip


def house(o: Toy) -> None:
    painted = {c: (c, "planks") for c in ("white", "yellow", "blue", "red", "green", "grey", "pink", "orange", "brown")}
    solid = {"brick": ("brick", None), "stone": ("stone", None), "wooden": ("wood", "planks")}
    roofs = ("red", "brown", "grey", "black", "blue", "green", "thatched", "thatched")
    _homestead(
        o,
        painted | solid | {"white": ("plaster", None)},
        roofs,
        ("gabled", "gabled", "hipped", "gambrel", "flat", "pyramid"),
    )


def cottage(o: Toy) -> None:
    walls = {"white": ("white", None), "stone": ("stone", None), "yellow": ("yellow", None), "pink": ("pink", None)}
    _homestead(
        o, walls | {"brick": ("brick", None)}, ("thatched", "thatched", "thatched", "red", "grey"), ("gabled", "hipped")
    )


def log_cabin(o: Toy) -> None:
    w, d, h = o.between(1.0, 1.6), o.between(0.85, 1.15), o.between(0.5, 0.72)
    rows = o.whole(5, 8)
    r, out = h / rows / 2, o.between(0.05, 0.12)
    timber = o.pick("log", "log", "wood", "dark wood")
    for k in range(rows):
        z = (2 * k + 1) * r
        o.add([rod((-w / 2 - out, y, z), (w / 2 + out, y, z), 1.06 * r) for y in (-d / 2, d / 2)], timber, "bark")
        z += r * (1 if k < rows - 1 else 0)
        o.add([rod((x, -d / 2 - out, z), (x, d / 2 + out, z), 1.06 * r) for x in (-w / 2, w / 2)], timber, "bark")
    o.add(box(w, d, 0.05), timber, "planks")
    cover = o.pick("red", "brown", "grey", "green", "black", "thatched", "wooden")
    name, surface = ROOFS.get(cover, ("pale wood", "planks"))
    turn = o.chance(0.4)
    kind = "soft" if cover == "thatched" else o.pick("gabled", "gabled", "gabled", "hipped")
    rise = o.between(0.38, 0.65) * (w if turn else d)
    roof(o, kind, w, d, h, rise, name, (timber, "planks"), surface=surface, over=o.between(0.1, 0.18), turn=turn)
    reach = 2 * r
    door(
        o,
        "front",
        w + reach,
        d + reach,
        o.pick(-0.22, 0.0, 0.2) * w,
        0.0,
        (0.24, 0.74 * h),
        o.pick("dark wood", "red", "green", "brown"),
        "pale wood",
    )
    places = [("left", 0.0), ("right", 0.0), ("back", 0.0), ("front", 0.36 * w)]
    for side, along in places + [("front", -0.36 * w)] * o.chance(0.5):
        window(o, side, w + reach, d + reach, along, 0.42 * h, (0.2, 0.2), "pale wood", o.pick("", "cross"))
    details = [f"a {cover} roof"]
    if o.chance(0.75):
        stack = o.pick("stone", "stone", "brick")
        if o.chance(0.5):
            side, size = o.pick(-1, 1), o.between(0.16, 0.24)
            chimney(
                o,
                side * (w / 2 + 0.6 * size + r),
                o.between(-0.1, 0.25) * d,
                0,
                h + rise * o.between(1.0, 1.3),
                size,
                stack,
            )
        else:
            chimney(o, o.pick(-1, 1) * 0.28 * w, 0.18 * d, h, h + 1.2 * rise + 0.08, o.between(0.14, 0.2), stack)
        details.append(f"a {stack} chimney")
    if o.chance(0.45):
        _porch(o, w, d, o.between(0.25, 0.42), 0.95 * h, "wood", (name, surface))
        details.append("a porch")
    o.describe(
        substance="wooden" if o.chance(0.5) else "", size="large" if w > 1.4 else "small" if w < 1.2 else "",
        details=details, roof=cover, roof_kind=kind,
        synonyms=("cabin", "log house", "wooden cabin", "cabin made of logs"),
    )  # fmt: skip


def barn(o: Toy) -> None:
    w, d, h = o.between(1.0, 1.5), o.between(1.1, 1.8), o.between(0.5, 0.8)
    word = o.pick("red", "red", "red", "brown", "white", "green", "wooden", "grey")
    wall = ("wood" if word == "wooden" else word, "boards")
    cover = o.pick(*(c for c in ("grey", "black", "brown", "white", "green", "red") if c != word))
    kind = o.pick("gambrel", "gambrel", "gabled")
    rise = o.between(0.42, 0.62) * w
    o.add(box(w, d, h), *wall)
    roof(o, kind, w, d, h, rise, cover, wall, surface="tiles" if cover != "white" else None, turn=True)
    trim = "white" if word != "white" else "red"
    gate = (o.between(0.36, 0.5) * w, 0.8 * h)
    o.add(on_wall(box(gate[0] + 0.1, 0.05, gate[1] + 0.05), "front", w, d), trim)
    o.add(on_wall(box(gate[0], 0.08, gate[1]), "front", w, d), *wall)
    a, b = gate[0] / 2, gate[1]
    for pair in (((-a, 0.03), (a, b - 0.03)), ((a, 0.03), (-a, b - 0.03))):
        (x0, z0), (x1, z1) = pair
        o.add(rod((x0, -d / 2 - 0.04, z0), (x1, -d / 2 - 0.04, z1), 0.035, 6), trim)
    window(o, "front", w, d, 0, h + 0.2 * rise, (0.24, 0.26), trim, o.pick("", "cross", "round"))
    for side in ("left", "right"):
        for k in range(count := o.whole(1, 3)):
            window(o, side, w, d, (k - (count - 1) / 2) * d / count, 0.4 * h, (0.2, 0.2), trim)
    details = [f"a {cover} roof", f"{trim} trim"]
    if o.chance(0.4):
        x, r, tall = o.pick(-1, 1) * (w / 2 + 0.28), o.between(0.2, 0.27), o.between(1.0, 1.5) * (h + rise)
        o.add(cylinder(r, tall).at(x, 0.1 * d), "metal", "planks")
        o.add(dome(1.04 * r, 0.8 * r).at(x, 0.1 * d, tall), cover)
        details.append("a silo")
    if o.chance(0.35):
        o.add(box(0.18, 0.18, 0.22).at(z=h + rise), trim)
        o.add(cone(0.18, 0.16, sides=4).at(z=h + rise + 0.22), cover)
        details.append("a cupola")
    if o.chance(0.35):
        side, reach = o.pick(-1, 1), o.between(0.3, 0.5)
        o.add(box(reach, 0.9 * d, 0.6 * h).at(side * (w + reach) / 2 * (-1 if "a silo" in details else 1)), *wall)
        x = side * (w / 2) * (-1 if "a silo" in details else 1)
        edge = x + (reach + 0.06) * (1 if x > 0 else -1)
        o.add(facing([(x, 0.9 * h), (edge, 0.58 * h), (edge, 0.66 * h), (x, 0.98 * h)], 0.95 * d), cover, "tiles")
    colour, substance = ("", "wooden") if word == "wooden" else (word, "")
    o.describe(
        colour=colour,
        substance=substance,
        details=details,
        roof=cover,
        roof_kind=kind,
        synonyms=("farm barn", "farm building"),
    )


BUILDERS = {
    "house": house,
    "cottage": cottage,
    "log cabin": log_cabin,
    "barn": barn,
}
