"""The workbench a toy is built on: seeded choices, parts with materials, and the words that describe them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from zlib import crc32

import numpy as np

from trellis_cli.data.toybox.materials import COLOURS, SUBSTANCES, material
from trellis_cli.data.toybox.parts import Part, Real
from trellis_cli.data.toybox.words import Description, captions
from trellis_cli.representations.mesh import Material, TexturedMesh

T = TypeVar("T")
GREYS = frozenset(("white", "grey", "black", "snow", "paper", "cream", "metal"))  # a tint would give these another name
PERIOD = 0.3  # edge of a pattern's repeat, as a share of the object's longest extent


@dataclass(frozen=True, slots=True, eq=False)
class ToyObject:
    """One object. `captions` go from the plain name to the full text; objects of one `group` belong in one split."""

    mesh: TexturedMesh
    captions: tuple[str, ...]
    attributes: dict[str, str]
    category: str
    group: str
    seed: int


class Toy:
    """One object under construction. Front is -y, the ground z = 0; the unit is the builder's own."""

    def __init__(self, category: str, seed: int) -> None:
        self.category, self.seed = category, seed
        self.rng = np.random.default_rng([crc32(category.encode()), seed])
        self._parts: list[tuple[Part, int]] = []
        self._materials: dict[tuple[str, str | None], int] = {}
        self._list: list[Material] = []
        self._jitter: dict[str, tuple[float, float, float]] = {}
        self._description = Description(category)
        self._attributes: dict[str, str] = {}

    def between(self, low: Real, high: Real) -> float:
        return float(self.rng.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, p: Real) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, *options: T) -> T:
        return options[int(self.rng.integers(len(options)))]

    def colour(self, *but: str) -> str:
        """A colour name, none of `but`."""
        return self.pick(*(c for c in COLOURS if c not in but))

    def add(self, parts: Part | Sequence[Part], name: str, surface: str | None = None) -> None:
        """Add parts of one material: a colour or substance of materials.py, and perhaps another pattern."""
        key = (name, surface)
        if key not in self._materials:
            self._materials[key] = len(self._list)
            self._list.append(material(name, surface, self._shade(name)))
        for part in [parts] if isinstance(parts, Part) else parts:
            self._parts.append((part, self._materials[key]))

    def pieces(self) -> list[tuple[Part, tuple[str, str | None]]]:
        """The parts so far, each with the material it was added with."""
        keys = list(self._materials)
        return [(part, keys[m]) for part, m in self._parts]

    def clear(self) -> None:
        """Take all parts off the bench, to put them back turned or moved; materials keep their tints."""
        self._parts.clear()

    def _shade(self, name: str) -> tuple[float, float, float]:
        """This object's own tint of a colour or substance, close enough to keep its name."""
        if name not in self._jitter:
            spread = 0.0 if name in GREYS else 0.03 if name in COLOURS else 0.05
            level = self.rng.uniform(0.92, 1.06)
            r, g, b = level * self.rng.uniform(1 - spread, 1 + spread, 3)
            self._jitter[name] = (float(r), float(g), float(b))
        return self._jitter[name]

    def describe(
        self,
        *,
        colour: str = "",
        substance: str = "",
        size: str = "",
        style: str = "",
        details: Sequence[str] = (),
        synonyms: Sequence[str] = (),
        **attributes: str,
    ) -> None:
        """State what captions may say (see Description); `attributes` are further facts, by name."""
        self._description = Description(
            self.category, tuple(synonyms), size, style, colour, substance, tuple(d for d in details if d)
        )
        facts = {"colour": colour, "substance": substance, "size": size, "style": style, **attributes}
        self._attributes = {k: v for k, v in facts.items() if v}

    def finish(self) -> ToyObject:
        """Put the parts on the ground, centred, and write the captions."""
        sizes = [len(p.faces) for p, _ in self._parts]
        starts = np.cumsum([0] + [len(p.vertices) for p, _ in self._parts[:-1]])
        vertices = np.concatenate([p.vertices for p, _ in self._parts])
        faces = np.concatenate([p.faces + s for (p, _), s in zip(self._parts, starts, strict=True)]).astype(np.int32)
        owners = np.repeat(np.array([m for _, m in self._parts], dtype=np.int32), sizes)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        vertices = np.round(vertices - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], 6)
        uvs = _box_mapping(vertices, faces, period=PERIOD * float((high - low).max()))
        mesh = TexturedMesh(vertices, faces, owners, tuple(self._list), uvs=uvs)
        told = [self._attributes.get(k, "") for k in ("style", "colour", "substance", "roof", "shade")]
        group = "/".join(["toybox", self.category, *(t for t in told if t)])
        texts = captions(self._description, self.rng)
        return ToyObject(mesh, texts, dict(self._attributes), self.category, group, self.seed)


def _box_mapping(vertices: np.ndarray, faces: np.ndarray, *, period: Real) -> np.ndarray:
    """Texture coordinates float32 [f, 3, 2]: each face seen along its main axis, v upward or up the slope."""
    corners = vertices[faces]
    normal = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    main = normal.argmax(axis=1)
    steep = np.where(normal[:, 0] > normal[:, 1], 0, 1)  # which way a roof falls: its courses run across that
    v_axis = np.where(main == 2, steep, 2)
    u_axis = 3 - main - v_axis
    rows, corner = np.arange(len(faces))[:, None], np.arange(3)[None]
    uv = np.stack([corners[rows, corner, u_axis[:, None]], corners[rows, corner, v_axis[:, None]]], -1)
    return (uv / period).astype(np.float32)


def substance_word(name: str) -> str:
    """The adjective of a substance: "wooden" for wood."""
    if name not in SUBSTANCES:
        raise ValueError(f"no substance is called {name!r}")
    words = {"wood": "wooden", "dark wood": "dark wooden", "pale wood": "pale wooden", "thatch": "thatched"}
    return words.get(name, name)
