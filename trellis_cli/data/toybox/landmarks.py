"""Churches, skyscrapers, temples. Doors face -y."""

from trellis_cli.data.toybox.architecture import arch, battlements, on_wall, roof
from trellis_cli.data.toybox.parts import box, cone, cylinder, disc, dome, frustum, lathe
from trellis_cli.data.toybox.toy import Toy


def church(o: Toy) -> None:
    word = o.pick("white", "white", "stone", "brick", "yellow", "grey", "wooden")
    wall = {"stone": ("stone", None), "brick": ("brick", None), "wooden": ("wood", "planks")}.get(word, (word, None))
    cover = o.pick("red", "grey", "brown", "black", "blue", "green")
    w, d, h = o.between(0.6, 0.85), o.between(1.1, 1.7), o.between(0.45, 0.7)
    rise = o.between(0.5, 0.8) * w
    o.add(box(w, d, h).at(0, d / 2), *wall)
    roof(o, "gabled", w, d, h, rise, cover, wall, surface="tiles", over=0.07, turn=True, place=(0, d / 2))
    t, tall = o.between(0.34, 0.5), h + rise + o.between(0.1, 0.5)
    x = o.pick(0.0, 0.0, 0.0, -0.5, 0.5) * w
    y = -t / 2 + 0.06 if x == 0 else 0.2
    o.add(box(t, t, tall).at(x, y), *wall)
    o.add(box(1.12 * t, 1.12 * t, 0.07).at(x, y, 0.72 * tall), *wall)
    spire, kind = o.between(0.4, 0.9), o.pick("spire", "spire", "pyramid", "onion", "flat")
    if kind == "spire":
        o.add(cone(0.62 * t, spire, sides=8).at(x, y, tall), cover, "tiles")
        high = tall + spire
    elif kind == "pyramid":
        o.add(frustum(1.2 * t, 1.2 * t, 0.03, 0.03, 0.7 * spire).at(x, y, tall), cover, "tiles")
        high = tall + 0.7 * spire
    elif kind == "onion":
        q = 0.6 * t
        o.add(
            lathe(
                [
                    (0, 0),
                    (0.8 * q, 0),
                    (1.15 * q, 0.45 * q),
                    (0.95 * q, 0.95 * q),
                    (0.35 * q, 1.5 * q),
                    (0.08, 2.0 * q),
                    (0, 2.3 * q),
                ],
                18,
            ).at(x, y, tall),
            cover,
        )
        high = tall + 2.1 * q
    else:
        o.add([b.at(x, y, tall) for b in battlements(t, t, 0.09)], *wall)
        high = tall
    cross = "gold" if o.chance(0.6) else "dark metal"
    o.add([box(0.05, 0.05, 0.26).at(x, y, high - 0.04), box(0.17, 0.05, 0.05).at(x, y, high + 0.09)], cross)
    front = y - t / 2 if x == 0 else 0.0
    o.add(arch(0.22, 0.36, 0.1).at(0, front), "brown", "boards")
    o.add(disc(0.11, 0.08, 16).at(x, y - t / 2, 0.86 * tall), "white" if word != "white" else "black")
    o.add(disc(0.085, 0.12, 16).at(x, y - t / 2, 0.86 * tall), "lit glass")
    count = o.whole(2, 4)
    for s in ("left", "right"):
        for k in range(count):
            along = (k - (count - 1) / 2) * d / (count + 0.3)
            pane = arch(0.16, 0.55 * h, 0.06).at(z=0.25 * h)
            o.add(on_wall(pane, s, w, d, along).at(0, d / 2), "water" if o.chance(0.5) else "dark glass")
    details = [
        f"a {cover} roof",
        {"spire": "a tall spire", "pyramid": "a bell tower", "onion": "an onion dome", "flat": "a square tower"}[kind],
    ]
    if o.chance(0.3):
        o.add(box(1.7 * w, 0.4, 0.9 * h).at(0, 0.68 * d), *wall)
        roof(o, "gabled", 1.7 * w, 0.4, 0.9 * h, 0.26, cover, wall, surface="tiles", over=0.05, place=(0, 0.68 * d))
        details.append("a transept")
    colour, substance = ("", word) if word in ("stone", "brick", "wooden") else (word, "")
    o.describe(
        colour=colour,
        substance=substance,
        details=details,
        roof=cover,
        tower=kind,
        synonyms=("chapel", "village church"),
    )


def skyscraper(o: Toy) -> None:
    word = o.pick("blue", "grey", "brown", "white", "black", "green")
    pane = o.pick("glass", "dark glass", "lit glass")
    steps = o.whole(1, 3)
    w, d, z = o.between(0.55, 0.8), o.between(0.5, 0.75), 0.1
    o.add(box(1.35 * w, 1.35 * d, 0.1), "concrete")
    rounded = o.chance(0.2)
    for _ in range(steps):
        h = o.between(0.5, 0.9) if steps > 1 else o.between(1.2, 1.8)
        floors = max(3, round(h / 0.16))
        o.add(cylinder(w / 2, h, 24).scaled(1, d / w, 1).at(z=z) if rounded else box(w, d, h).at(z=z), word)
        for f in range(floors):
            level = z + (f + 0.3) * h / floors
            if rounded:
                o.add(cylinder(w / 2 + 0.01, 0.5 * h / floors, 24).scaled(1, d / w, 1).at(z=level), pane)
            else:
                n = max(2, round(w / 0.17))
                o.add(
                    [
                        box(0.6 * w / n, d + 0.02, 0.55 * h / floors).at((c - (n - 1) / 2) * w / n, 0, level)
                        for c in range(n)
                    ],
                    pane,
                )
                o.add(
                    [
                        box(w + 0.02, 0.6 * d / n, 0.55 * h / floors).at(0, (c - (n - 1) / 2) * d / n, level)
                        for c in range(n)
                    ],
                    pane,
                )
        z += h
        w, d = w * 0.72, d * 0.72
    w, d = w / 0.72, d / 0.72
    top = o.pick("mast", "pyramid", "flat")
    if top == "mast":
        o.add(cone(0.05, o.between(0.3, 0.5), 0.025, 8).at(z=z), "metal")
        o.add(box(0.5 * w, 0.5 * d, 0.08).at(z=z), "concrete")
    elif top == "pyramid":
        o.add(frustum(w, d, 0.02, 0.02, 0.7 * w).at(z=z), word)
    else:
        o.add([box(w + 0.04, d + 0.04, 0.06).at(z=z), box(0.4 * w, 0.4 * d, 0.12).at(0.1 * w, 0, z)], "concrete")
    o.add(box(0.24, 1.4 * 0.5, 0.16).at(0, -0.12, 0.02), "dark glass")
    o.describe(
        colour=word,
        size="tall",
        style="round" if rounded else "",
        details=[{"mast": "an antenna", "pyramid": "a pointed top", "flat": "a flat top"}[top], "many windows"],
        steps=str(steps),
        synonyms=("office tower", "high-rise building", "tower block"),
    )


def temple(o: Toy) -> None:
    name, word = o.pick(("white", "white"), ("sandstone", "sandstone"), ("stone", "stone"))
    n, deep = o.pick(4, 5, 6), o.pick(4, 6)
    step, h, r = o.between(0.22, 0.28), o.between(0.55, 0.85), 0.06
    w, d = (n - 1) * step, (deep - 1) * step
    base = o.whole(2, 4)
    for k in range(base):
        grow = 0.3 + 0.12 * (base - k)
        o.add(box(w + grow, d + grow, 0.055).at(z=0.055 * k), name)
    z = 0.055 * base
    column = lathe(
        [
            (0, 0),
            (1.5 * r, 0),
            (1.5 * r, 0.03),
            (r, 0.05),
            (0.85 * r, h - 0.06),
            (1.5 * r, h - 0.03),
            (1.5 * r, h),
            (0, h),
        ],
        12,
    )
    for i in range(n):
        for j in range(deep):
            if i in (0, n - 1) or j in (0, deep - 1):
                o.add(column.at(i * step - w / 2, j * step - d / 2, z), name)
    o.add(box(w + 0.24, d + 0.24, 0.1).at(z=z + h), name)
    cover = o.pick(name, name, "red", "terracotta")
    top = o.pick("gabled", "gabled", "dome", "flat")
    rise = o.between(0.25, 0.38) * (w + 0.24)
    if top == "gabled":
        roof(o, "gabled", w + 0.24, d + 0.24, z + h + 0.1, rise, cover, (name, None), over=0.05, turn=True)
    elif top == "dome":
        o.add(dome(0.4 * min(w, d), 0.32 * min(w, d)).at(z=z + h + 0.1), cover)
    else:
        o.add(box(w + 0.32, d + 0.32, 0.06).at(z=z + h + 0.1), cover)
    if o.chance(0.6):
        o.add(box(w - step, d - step, h).at(z=z), name)
        o.add(box(0.2, d - step + 0.04, 0.6 * h).at(z=z), "black")
    roofed = {"gabled": "a gabled roof", "dome": "a dome", "flat": "a flat roof"}[top]
    o.describe(
        colour="white" if name == "white" else "",
        substance=word if name != "white" else "",
        details=[f"{ {4: 'four', 5: 'five', 6: 'six'}[n] } columns in front", roofed],
        roof=top,
        synonyms=("greek temple", "building with columns"),
    )


BUILDERS = {
    "church": church,
    "skyscraper": skyscraper,
    "temple": temple,
}
