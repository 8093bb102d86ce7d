"""Captions of a toy, from the bare name to a full description."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Description:
    """What a caption may say; every word of it is true of the object.

    name: the plain name; synonyms: other plain names; size: an adjective before the colour; style: one just before the
    name ("picket" fence); colour: that of the part the name stands for; substance: an adjective such as "wooden";
    details: phrases such as "a red roof".
    """

    name: str
    synonyms: tuple[str, ...] = ()
    size: str = ""
    style: str = ""
    colour: str = ""
    substance: str = ""
    details: tuple[str, ...] = ()


def with_article(phrase: str) -> str:
    """ "an oak tree", "a house"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def captions(what: Description, rng: np.random.Generator) -> tuple[str, ...]:
    """From short to long, without repeats: the plain name first, the full description last."""
    short = " ".join(w for w in (what.colour, what.substance, what.name) if w)
    full = " ".join(w for w in (what.size, what.colour, what.substance, what.style, what.name) if w)
    out = [what.name, with_article(what.name)]
    if what.synonyms:
        out.append(what.synonyms[int(rng.integers(len(what.synonyms)))])
    if what.colour:
        out.append(f"{what.colour} {what.name}")
    if what.style:
        out.append(f"{what.style} {what.name}")
    out += [short, with_article(short)]
    if what.details:
        detail = what.details[int(rng.integers(len(what.details)))]
        out += [f"{what.name} with {what.details[0]}", with_article(f"{what.name} with {detail}")]
        out.append(with_article(f"{full} with {listed(what.details)}"))
    else:
        out.append(with_article(full))
    last = out[-1]
    return tuple(re.sub(r"\ba (?=[aeiou])", "an ", c) for c in (*dict.fromkeys(c for c in out if c != last), last))
