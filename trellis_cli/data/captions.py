"""Captions of a real object, from the plain name to a sentence; every word is of its source or measured."""

from collections.abc import Sequence

from trellis_cli.data.colour_words import WORDS
from trellis_cli.data.sources import SourceObject


def captions_of(item: SourceObject, colours: Sequence[str]) -> list[str]:
    """From short to long, without repeats: the name first, then with article, colours and synonyms.

    `colours` are the dominant ones, main first; a name that holds a colour word already takes no other.
    """
    if item.captions:
        return list(dict.fromkeys(item.captions))
    name = item.name
    out = [name, with_article(name), *item.synonyms]
    if colours and not set(name.split()) & set(WORDS):
        main = colours[0]
        out += [f"{main} {name}", with_article(f"{main} {name}")]
        out += [f"{main} {synonym}" for synonym in item.synonyms]
        if len(colours) > 1:
            out.append(with_article(f"{main} and {colours[1]} {name}"))
    fullest = max((name, *item.synonyms), key=len)
    if fullest != name:
        out.append(with_article(fullest))
    return list(dict.fromkeys(out))


def with_article(phrase: str) -> str:
    """ "an oak tree", "a house"; plurals and pairs as they are."""
    if phrase.split()[-1].endswith("s") and not phrase.endswith(("ss", "us", "is", "as")):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
