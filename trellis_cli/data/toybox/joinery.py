"""What wooden furniture shares: its finish and its legs."""

from trellis_cli.data.toybox.parts import Part, Real, box, cylinder, frustum, lathe, rod
from trellis_cli.data.toybox.toy import Toy

CLOTHS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "grey", "black", "brown")


def frame_finish(o: Toy) -> tuple[str, str, tuple[str, str | None]]:
    """How a piece of furniture is made: (colour word or "", substance word or "", material)."""
    style = o.pick("bare", "bare", "painted", "painted", "painted", "plain")
    if style == "bare":
        name = o.pick("wood", "wood", "dark wood", "pale wood")
        return "brown" if name == "dark wood" else "", "wooden", (name, None)
    colour = o.colour()
    if style == "painted":
        return colour, "wooden", (colour, "grain")
    return colour, "", (colour, None)


def legs(o: Toy, w: Real, d: Real, h: Real, kind: str, size: Real) -> list[Part]:
    """Four legs under a w x d seat or top at height h: "square", "round", "tapered", "turned" or "splayed"."""
    x, y, out = w / 2 - size / 2, d / 2 - size / 2, []
    for sx in (-1, 1):
        for sy in (-1, 1):
            if kind == "splayed":
                out.append(
                    rod((sx * x * 0.75, sy * y * 0.75, h), (sx * x * 1.1, sy * y * 1.1, 0), 0.55 * size, 8, 0.4 * size)
                )
            elif kind == "square":
                out.append(box(size, size, h).at(sx * x, sy * y))
            elif kind == "tapered":
                out.append(frustum(0.62 * size, 0.62 * size, 1.1 * size, 1.1 * size, h).at(sx * x, sy * y))
            elif kind == "turned":
                bulge = [
                    (0, 0),
                    (0.4, 0),
                    (0.55, 0.12),
                    (0.38, 0.3),
                    (0.65, 0.55),
                    (0.42, 0.7),
                    (0.6, 0.85),
                    (0.6, 1),
                    (0, 1),
                ]
                out.append(lathe([(r * size, z * h) for r, z in bulge], 10).at(sx * x, sy * y))
            else:
                out.append(cylinder(0.5 * size, h, 10).at(sx * x, sy * y))
    return out
