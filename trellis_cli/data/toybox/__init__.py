"""Toybox: everyday objects made of parametric parts, with materials and words, from (category, seed) alone."""

from collections.abc import Callable

from trellis_cli.data.toybox import (
    aircraft,
    chairs,
    containers,
    creatures,
    dwellings,
    electronics,
    household,
    instruments,
    lamps,
    landmarks,
    plants,
    road_vehicles,
    shelters,
    ships,
    storage,
    street,
    structures,
    tables,
    tableware,
    tools,
    towers,
    trees,
    upholstery,
    vehicles,
)
from trellis_cli.data.toybox.toy import Toy, ToyObject

_FAMILIES = (
    dwellings,
    shelters,
    towers,
    landmarks,
    structures,
    chairs,
    upholstery,
    tables,
    storage,
    lamps,
    road_vehicles,
    vehicles,
    ships,
    aircraft,
    trees,
    plants,
    creatures,
    tableware,
    containers,
    household,
    electronics,
    instruments,
    tools,
    street,
)
BUILDERS: dict[str, Callable[[Toy], None]] = {name: build for f in _FAMILIES for name, build in f.BUILDERS.items()}

CATEGORIES: tuple[str, ...] = tuple(BUILDERS)


def make(category: str, seed: int) -> ToyObject:
    """The object of this category and seed: the same on every call and machine. ValueError for an unknown category."""
    if category not in BUILDERS:
        raise ValueError(f"toybox has no category {category!r}; it has {', '.join(CATEGORIES)}")
    toy = Toy(category, seed)
    BUILDERS[category](toy)
    return toy.finish()


__all__ = ["BUILDERS", "CATEGORIES", "ToyObject", "make"]
