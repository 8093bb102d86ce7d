"""Captions by a model that sees: a description from views, one caption of it, ten shorter ones; the answers checked.

The three steps are the paper's (appendix B.2); the words they are asked in are ours.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from PIL import Image

from trellis_cli.errors import TrellisError

T = TypeVar("T")
MOST_WORDS, NUM_SHORT, FIRST_WORDS, LAST_WORDS = 40, 10, 16, 5
TRIES = 3  # answers to a question before the object is given up
DESCRIBE = (
    "The {num} pictures show one object from {num} sides. Describe it for a craftsman who must build it without seeing"
    " it: what it is, of which parts, their shapes and proportions, materials, colours and patterns, and its style."
    " Speak of the object alone, not of pictures, views, background or light. One paragraph of plain sentences."
)
SHORTEN = (
    "Here is a description of an object:\n\n{description}\n\nWrite one caption of it in at most 40 words: first what it"
    " is, then what tells it from others of its kind. Answer with the caption alone."
)
VARY = (
    "Here is a caption of an object:\n\n{caption}\n\nWrite ten captions of the same object, the first of about 12"
    " words, each as long as the one before or shorter, the last of at most 5 words. What the object is must stay; its"
    " details may go. Answer with a JSON list of ten strings and nothing else."
)
PROMPTS = hashlib.sha256("\n".join((DESCRIBE, SHORTEN, VARY)).encode()).hexdigest()[:12]  # which these are
REFUSAL = re.compile(
    r"\W*(i['’]?m (sorry|unable|not able)|i am (sorry|unable|not able)|sorry\b|i can(['’]?t|not)\b|as an ai\b)", re.I
)
AGAIN = "\n\nYour last answer could not be used: {problem}. Please keep to what is asked."


class BadAnswer(TrellisError):
    """A model's answer that is not what was asked for."""


@runtime_checkable
class Describer(Protocol):
    """A model that answers a question, perhaps about pictures."""

    name: str

    def ask(self, question: str, pictures: Sequence[Image.Image] = ()) -> str:
        """Its answer. Raises TrellisError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Captions:
    """What came of the three steps: a long description, a caption of at most 40 words, ten from long to short."""

    description: str
    caption: str
    short: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """As a manifest has them: from short to long, without repeats and without the description."""
        return list(dict.fromkeys([*reversed(self.short), self.caption]))


def caption_views(model: Describer, views: Sequence[Image.Image]) -> Captions:
    """Ask the three questions. Raises BadAnswer after TRIES answers that cannot be used."""
    description = _asked(model, DESCRIBE.format(num=len(views)), checked_description, views)
    caption = _asked(model, SHORTEN.format(description=description), checked_caption)
    return Captions(description, caption, _asked(model, VARY.format(caption=caption), checked_short))


def _asked(model: Describer, question: str, check: Callable[[str], T], pictures: Sequence[Image.Image] = ()) -> T:
    problem = ""
    for _ in range(TRIES):
        try:
            return check(model.ask(question + (AGAIN.format(problem=problem) if problem else ""), pictures))
        except BadAnswer as error:
            problem = error.problem
    raise BadAnswer(f"no answer of {TRIES} could be used: {problem}", hint="try --retry-failed, or another model")


def checked_description(answer: str) -> str:
    """A paragraph. Raises BadAnswer."""
    text = " ".join(answer.split())
    if REFUSAL.match(text):
        raise BadAnswer("a refusal")
    if len(text.split()) < 5:
        raise BadAnswer(f"a description of {len(text.split())} words")
    return text


def checked_caption(answer: str) -> str:
    """One caption, without quotation marks round it. Raises BadAnswer."""
    text = " ".join(answer.split()).strip("\"'“”")
    if REFUSAL.match(text):
        raise BadAnswer("a refusal")
    if not 1 <= len(text.split()) <= MOST_WORDS:
        raise BadAnswer(f"a caption of {len(text.split())} words, not of 1 to {MOST_WORDS}")
    return text


def checked_short(answer: str) -> tuple[str, ...]:
    """Ten captions, from long to short. Raises BadAnswer."""
    found = re.search(r"\[.*\]", answer, re.DOTALL)  # some models put it in a block of code
    try:
        texts = json.loads(found[0]) if found else None
    except ValueError as error:
        raise BadAnswer(f"not JSON: {error}") from error
    if (
        not isinstance(texts, list)
        or len(texts) != NUM_SHORT
        or not all(isinstance(t, str) and t.strip() for t in texts)
    ):
        raise BadAnswer(f"not a JSON list of {NUM_SHORT} texts")
    if len({text.strip().lower() for text in texts}) < NUM_SHORT // 2 or any(map(REFUSAL.match, texts)):
        raise BadAnswer("ten captions that say the same, or refuse")
    short = sorted((" ".join(text.split()) for text in texts), key=lambda text: -len(text.split()))
    longest, shortest = len(short[0].split()), len(short[-1].split())
    if longest > FIRST_WORDS or shortest > LAST_WORDS:
        raise BadAnswer(f"captions of {shortest} to {longest} words, not from at most {LAST_WORDS} to {FIRST_WORDS}")
    return tuple(short)


@dataclass(frozen=True, slots=True)
class Cost:
    """What captioning would take: requests, and tokens by an estimate of what a question and an answer have.

    A picture of 512 pixels counts 255 tokens, as OpenAI counts it at high detail (85 and 170 a tile).
    """

    objects: int
    requests: int
    tokens_in: int
    tokens_out: int
    dollars: float | None

    @property
    def text(self) -> str:
        money = "give --price-in and --price-out for a price" if self.dollars is None else f"about ${self.dollars:,.2f}"
        return (
            f"{self.objects} objects: {self.requests} requests, about {self.tokens_in:,} tokens in and"
            f" {self.tokens_out:,} out; {money}"
        )


PICTURE_TOKENS, DESCRIPTION_TOKENS, CAPTION_TOKENS, SHORT_TOKENS = 255, 220, 55, 160


def cost(objects: int, views: int, *, price_in: float | None = None, price_out: float | None = None) -> Cost:
    """The estimate for so many objects; prices are of a million tokens."""
    asked = sum(len(question) for question in (DESCRIBE, SHORTEN, VARY)) // 4  # about four letters a token
    tokens_in = objects * (views * PICTURE_TOKENS + asked + DESCRIPTION_TOKENS + CAPTION_TOKENS)
    tokens_out = objects * (DESCRIPTION_TOKENS + CAPTION_TOKENS + SHORT_TOKENS)
    dollars = None
    if price_in is not None and price_out is not None:
        dollars = (tokens_in * price_in + tokens_out * price_out) / 1e6
    return Cost(objects, 3 * objects, tokens_in, tokens_out, dollars)
