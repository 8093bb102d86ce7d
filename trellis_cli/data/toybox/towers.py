"""Castles, stone towers, lighthouses, windmills. Doors face -y."""

from math import cos, pi, sin

from trellis_cli.data.toybox.architecture import (
    arch,
    battlements,
    flag,
    on_wall,
    roof,
    round_battlements,
    round_tower,
)
from trellis_cli.data.toybox.parts import (
    QUARTER,
    ball,
    beam,
    box,
    cone,
    cylinder,
    dome,
    frustum,
    lathe,
    radial,
    ring,
    rod,
)
from trellis_cli.data.toybox.toy import Toy


def _stonework(o: Toy) -> tuple[str, str]:
    """(word for captions, substance) of a massive wall."""
    return o.pick(("grey", "stone"), ("grey", "stone"), ("dark", "dark stone"), ("yellow", "sandstone"))


def castle(o: Toy) -> None:
    _, name = _stonework(o)
    w, d, h = o.between(1.2, 1.7), o.between(1.0, 1.5), o.between(0.38, 0.6)
    t = 0.12
    for side, run in (("front", w), ("back", w), ("left", d), ("right", d)):
        o.add(on_wall(box(run, t, h), side, w, d), name)
    o.add([b.at(z=h) for b in battlements(w + t, d + t, t)], name)
    r, tall, top = o.between(0.16, 0.24), h + o.between(0.25, 0.6), o.pick("cone", "cone", "battlements")
    cover = o.pick("red", "blue", "green", "purple", "orange")
    square = o.chance(0.3)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * w / 2, sy * d / 2
            if square:
                o.add(box(2 * r, 2 * r, tall).at(x, y), name)
                if top == "cone":
                    o.add(cone(1.7 * r, 2.2 * r, sides=4).at(x, y, tall), cover, "tiles")
                else:
                    o.add(box(2.3 * r, 2.3 * r, 0.08).at(x, y, tall - 0.06), name)
                    o.add([b.at(x, y, tall) for b in battlements(2.3 * r, 2.3 * r, 0.5 * r)], name)
            else:
                round_tower(o, x, y, r, tall, name, top, cover)
    gate_w, gate_h = o.between(0.4, 0.55), h + o.between(0.08, 0.25)
    o.add(box(gate_w, 0.3, gate_h).at(0, -d / 2), name)
    o.add([b.at(0, -d / 2, gate_h) for b in battlements(gate_w, 0.3, 0.1)], name)
    o.add(arch(0.6 * gate_w, 0.66 * gate_h, 0.34).at(0, -d / 2), "dark wood", "boards")
    keep = o.pick("square", "square", "round", "none")
    details = [f"{cover} roofs" if top == "cone" else "battlements", "four towers"]
    if keep == "square":
        kw, kh = o.between(0.45, 0.65), h + o.between(0.35, 0.8)
        o.add(box(kw, kw, kh).at(0, 0.12 * d), name)
        if o.chance(0.5):
            o.add([b.at(0, 0.12 * d, kh) for b in battlements(kw, kw, 0.1)], name)
        else:
            o.add(frustum(kw + 0.1, kw + 0.1, 0.04, 0.04, 0.7 * kw).at(0, 0.12 * d, kh), cover, "tiles")
        for z in (0.62, 0.8):
            o.add([box(0.1, kw + 0.04, 0.14).at(x, 0.12 * d, z * kh) for x in (-0.14, 0.14)], "dark glass")
    elif keep == "round":
        round_tower(
            o, 0, 0.12 * d, o.between(0.25, 0.33), h + o.between(0.4, 0.9), name, o.pick("cone", "battlements"), cover
        )
    if o.chance(0.5):
        flag(o, 0, -d / 2, gate_h, 0.5, banner := o.colour("grey", "white"))
        details.append(f"a {banner} flag")
    o.describe(
        substance="stone",
        size={"none": "small"}.get(keep, "large" if w > 1.5 else ""),
        details=details,
        roof=cover if top == "cone" else "",
        keep=keep,
        stone=name,
        towers="square" if square else "round",
        synonyms=("fortress", "fort", "medieval castle"),
    )


def stone_tower(o: Toy) -> None:
    _, name = _stonework(o)
    shape = o.pick("round", "round", "square", "octagonal")
    r, h = o.between(0.26, 0.42), o.between(1.0, 1.7)
    taper, sides = o.between(0.78, 1.0), {"round": 22, "square": 4, "octagonal": 8}[shape]
    grow = 2**0.5 if shape == "square" else 1.0
    top, cover = o.pick("battlements", "battlements", "cone", "dome"), o.pick("red", "blue", "grey", "brown", "green")
    o.add(cone(r * grow, h, taper * r * grow, sides), name)
    o.add(cone(1.16 * r * grow, 0.12, 1.05 * r * grow, sides), name)
    for k in range(o.whole(0, 2)):
        z = (k + 1) * h / 3
        o.add(cylinder((r + (taper - 1) * r * z / h) * 1.06 * grow, 0.06, sides).at(z=z), name)
    head = taper * r * o.between(1.15, 1.3)
    o.add(
        [cone(taper * r * grow, 0.12, head * grow, sides).at(z=h - 0.12), cylinder(head * grow, 0.14, sides).at(z=h)],
        name,
    )
    if top == "battlements":
        merlons = (
            battlements(2 * head, 2 * head, 0.36 * head)
            if shape == "square"
            else round_battlements(head * (0.96 if sides == 8 else 1), 0.36 * head, 8)
        )
        o.add([m.at(z=h + 0.14) for m in merlons], name)
    elif top == "cone":
        o.add(cone(1.15 * head * grow, o.between(1.1, 2.0) * head, sides=sides).at(z=h + 0.14), cover, "tiles")
    else:
        o.add(dome(head * grow, 1.0 * head, sides).at(z=h + 0.14), cover)
        o.add(cone(0.06, 0.2, sides=8).at(z=h + 0.1 + head), "gold")
    o.add(arch(0.5 * r, 0.32, 0.2).at(0, -r * 0.98), "dark wood", "boards")
    o.add(arch(0.68 * r, 0.38, 0.16).at(0, -r * 0.98), "dark stone" if name != "dark stone" else "stone")
    count = o.whole(2, 4)
    for k in range(count):
        z = 0.36 * h + 0.5 * h * k / count
        a = o.pick(0.0, QUARTER, -QUARTER, pi)
        reach = r + (taper - 1) * r * z / h
        o.add(box(0.1, 0.12, 0.17).at(0, -reach, z).turned("z", a), "black")
        o.add(box(0.15, 0.09, 0.05).at(0, -reach, z - 0.05).turned("z", a), name)
    details = [{"battlements": "battlements", "cone": f"a pointed {cover} roof", "dome": f"a {cover} dome"}[top]]
    if o.chance(0.2):
        x = r + 0.22
        o.add(box(0.55, 0.5, 0.4 * h).at(x), name)
        o.add([m.at(x, 0, 0.4 * h) for m in battlements(0.55, 0.5, 0.1)], name)
        details.append("an annex")
    if o.chance(0.3):
        high = h + 0.14 + {"battlements": 0.0, "cone": 1.0 * head, "dome": head}[top]
        flag(o, 0, 0, high, 0.4, banner := o.colour("grey"))
        details.append(f"a {banner} flag")
    o.describe(
        style="" if shape == "round" else shape,
        size="tall" if h > 1.4 else "short" if h < 1.15 else "",
        details=details,
        roof=cover if top != "battlements" else "",
        stone=name,
        shape=shape,
        synonyms=("tower", "castle tower", "watchtower"),
    )


def lighthouse(o: Toy) -> None:
    first = o.pick("white", "white", "red", "blue", "yellow")
    second = o.pick("red", "red", "blue", "black") if first == "white" else "white"
    r, h, n = o.between(0.24, 0.36), o.between(1.1, 1.7), o.pick(1, 3, 4, 5, 6)
    taper = o.between(0.55, 0.75)
    sides = o.pick(20, 20, 8)
    for k in range(n):
        a, b = (1 + (taper - 1) * s / n for s in (k, k + 1))
        o.add(cone(r * a, h / n, r * b, sides).at(z=k * h / n), (first, second)[k % 2])
    o.add(lathe([(0, 0), (1.5 * r, 0), (1.4 * r, 0.1), (1.0 * r, 0.14), (0, 0.14)], 20), "stone")
    top = taper * r
    o.add(cylinder(1.45 * top, 0.06, sides).at(z=h), "dark metal")
    o.add(ring(1.38 * top, 0.025, 20).at(z=h + 0.16), "dark metal")
    o.add(radial(cylinder(0.025, 0.16, 6).at(1.38 * top, 0, h), 8), "dark metal")
    lamp = o.between(0.2, 0.3)
    o.add(cylinder(0.75 * top, lamp, 12).at(z=h + 0.05), "lit glass")
    o.add(radial(box(0.04, 0.04, lamp).at(0.76 * top, 0, h + 0.05), 6), "dark metal")
    cover = second if n > 1 else o.pick("red", "black", "green")
    o.add(o.pick(cone(1.05 * top, 0.2), dome(1.0 * top, 0.18), cone(1.0 * top, 0.3)).at(z=h + 0.05 + lamp), cover)
    o.add(ball(0.05).at(z=h + lamp + 0.28), cover)
    o.add(arch(0.2, 0.32, 0.2).at(0, -r * 0.98), "brown", "boards")
    o.add([box(0.1, 0.1, 0.14).at(0, -r * (1 + (taper - 1) * z), z * h) for z in (0.42, 0.68)], "dark glass")
    details = [f"{second} stripes" if n > 1 else f"a {cover} roof"]
    if o.chance(0.4):
        s = o.pick(-1, 1)
        w, d = 0.6, 0.5
        o.add(box(w, d, 0.3).at(s * (r + 0.25), 0.1), first)
        roof(
            o,
            "gabled",
            w,
            d,
            0.3,
            0.25,
            "red" if first != "red" else "grey",
            (first, None),
            surface="tiles",
            place=(s * (r + 0.25), 0.1),
        )
        details.append("a small house")
    if o.chance(0.4):
        for k in range(o.whole(3, 6)):
            a = 2 * pi * k / 6 + o.between(-0.3, 0.3)
            s = o.between(0.1, 0.2)
            o.add(ball(s, s, 0.7 * s, 8, 6).at(1.5 * r * cos(a), 1.5 * r * sin(a), 0.3 * s), "dark stone")
        details.append("rocks")
    o.describe(
        colour=first,
        size="tall" if h > 1.45 else "",
        details=details,
        stripes=str(n),
        synonyms=("light tower", "beacon"),
    )


def windmill(o: Toy) -> None:
    word = o.pick("white", "stone", "brick", "wooden", "red", "blue", "green", "yellow")
    wall = {"stone": ("stone", None), "brick": ("brick", None), "wooden": ("wood", "planks")}.get(
        word, (word, "planks")
    )
    cover = o.pick("red", "brown", "grey", "thatch", "blue")
    r, h, taper, sides = o.between(0.32, 0.42), o.between(0.9, 1.3), o.between(0.6, 0.8), o.pick(20, 8, 8, 6)
    o.add(cone(r, h, taper * r, sides), *wall)
    o.add(cylinder(1.1 * r, 0.07, sides), "stone")
    top = taper * r
    cap = o.pick(
        dome(1.15 * top, 1.1 * top),
        cone(1.25 * top, 1.3 * top),
        lathe([(0, 0), (1.2 * top, 0), (1.1 * top, 0.5 * top), (0.5 * top, 0.9 * top), (0, 1.2 * top)], 16),
    )
    o.add(cap.at(z=h), cover, "tiles" if cover != "thatch" else None)
    hub_z, hub_y = h + 0.25 * top, -top - 0.2
    o.add(rod((0, 0, hub_z), (0, hub_y - 0.04, hub_z), 0.05), "dark wood")
    o.add(ball(0.09, sides=12, levels=8).at(0, hub_y, hub_z), "dark wood")
    reach, blades, start = (
        o.between(0.6, 0.8) * min(1.0, 0.95 * hub_z / 0.7),
        o.pick(4, 4, 4, 3, 6),
        o.between(0, pi / 2),
    )
    cloth = o.pick("white", "white", "pale wood", "red")
    kind = o.pick("lattice", "cloth", "cloth")
    for k in range(blades):
        a = start + 2 * pi * k / blades
        arm = beam((0, hub_y, 0), (0, hub_y, reach), 0.05)
        o.add(arm.turned("y", a).at(z=hub_z), "dark wood")
        wide = o.between(0.2, 0.2)
        if kind == "cloth":
            o.add(box(wide, 0.045, 0.74 * reach).at(0.5 * wide, hub_y, 0.24 * reach).turned("y", a).at(z=hub_z), cloth)
        else:
            bars = [box(wide, 0.045, 0.05).at(0.3 * wide, hub_y, (0.24 + 0.18 * j) * reach) for j in range(5)]
            bars.append(box(0.045, 0.045, 0.76 * reach).at(0.75 * wide, hub_y, 0.24 * reach))
            o.add([b.turned("y", a).at(z=hub_z) for b in bars], cloth)
    o.add(box(0.2, 0.16, 0.34).at(0, -r * 0.93), "brown" if word != "wooden" else "red", "boards")
    o.add([box(0.13, 2.1 * r * (1 + (taper - 1) * z), 0.15).at(0, 0, z * h) for z in (0.5,)], "dark glass")
    details = [
        f"{ {3: 'three', 4: 'four', 6: 'six'}[blades] } {cloth if cloth != 'pale wood' else 'wooden'} blades",
        f"a {cover if cover != 'thatch' else 'thatched'} roof",
    ]
    if o.chance(0.35):
        z = 0.36 * h
        o.add(cylinder(1.35 * r, 0.05, 16).at(z=z), "wood", "planks")
        o.add(radial(rod((0, -0.9 * r, z - 0.2), (0, -1.3 * r, z), 0.03, 6), 8), "wood")
        details.append("a balcony")
    colour, substance = ("", word) if word in ("stone", "brick", "wooden") else (word, "")
    o.describe(
        colour=colour,
        substance=substance,
        details=details,
        roof=cover,
        blades=str(blades),
        synonyms=("wind mill", "old mill"),
    )


BUILDERS = {
    "castle": castle,
    "stone tower": stone_tower,
    "lighthouse": lighthouse,
    "windmill": windmill,
}
