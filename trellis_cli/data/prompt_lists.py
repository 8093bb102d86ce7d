"""What a user asks for: one `Prompt` an object, and lists of them as .txt, .csv or .jsonl files."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.io.inputs import require_file
from trellis_cli.io.picture_files import SUFFIXES as PICTURES

COLUMNS = ("text", "image", "mask", "negative", "seed", "name")
BETWEEN = "|"  # several images in one cell of a .csv
MAX_SEED = 2**63 - 2**32  # seed + k has to fit 63 bits


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text, or one or several images of one object.

    `negative` (of a text) is what guidance leads away from. `seed` is the prompt's own: its assets draw from seed,
    seed + 1, ..., wherever it stands in a list. `name` names the asset's file where each has one. `place` says in
    messages where the prompt was given.
    """

    text: str | None = None
    images: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    negative: str = ""
    seed: int | None = None
    name: str = ""
    place: str = ""

    @property
    def kind(self) -> str:
        return "image" if self.text is None else "text"

    @property
    def files(self) -> tuple[Path, ...]:
        return self.images + self.masks

    @property
    def label(self) -> str:
        """The text itself, or the base names of the images."""
        return "+".join(path.name for path in self.images) if self.text is None else self.text

    def check(self) -> "Prompt":
        """The prompt itself. Raises UsageError for one that cannot be: what is wrong, without the place."""
        if (self.text is None) == (not self.images):
            raise UsageError("a prompt is a text or an image, one of the two", hint="give one of `text` and `image`")
        if self.text is not None and not self.text.strip():
            raise UsageError("an empty prompt says nothing", hint='for example --text "log cabin"')
        if self.images and self.negative:
            raise UsageError("a negative text goes with a text prompt, not with an image", hint="leave it out")
        if self.masks and len(self.masks) != len(self.images):
            raise UsageError(
                f"{len(self.masks)} masks for {len(self.images)} images", hint="give one mask for each image, in order"
            )
        for word in (self.text or "", self.negative):
            try:
                word.encode()
            except UnicodeEncodeError as error:
                raise UsageError(f"{word!r} is no Unicode text: {error.reason}", hint="write it in UTF-8") from error
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise UsageError(f"seed {self.seed} is not from 0 to {MAX_SEED}", hint="choose another")
        if self.name and (Path(self.name).name != self.name or "\\" in self.name or len(self.name.encode()) > 200):
            raise UsageError(f"{self.name!r} names no file", hint="a name has no / and at most 200 bytes")
        return self


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a list, in its order: blank lines and, in a .txt, lines that begin with # are none.

    A .txt has one text a line; a .csv has a header, a .jsonl one object a line, both with keys of COLUMNS, of which
    each line has a text or an image. Paths are relative to the list's own folder.

    Raises:
        UsageError: a file of another kind.
        FileError: it cannot be read, holds no prompt, or a line is no prompt; the message has the line's number.
    """
    readers = {".txt": _of_txt, ".csv": _of_csv, ".jsonl": _of_jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} is no list of prompts", hint=f"a list is one of {', '.join(readers)}")
    try:
        content = require_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is no text: {error}", hint="write it in UTF-8") from error
    prompts, number = [], 0
    try:
        for number, row in reader(content):
            prompts.append(_prompt(row, path.parent, f"{path.name} line {number}"))
    except csv.Error as error:
        raise FileError(f"{path} line {number + 1}: {error}", hint="write it as a plain CSV") from error
    except TrellisError as error:
        raise FileError(f"{path} line {getattr(error, 'line', number)}: {error.problem}", hint=error.hint) from error
    if not prompts:
        raise FileError(f"{path} lists no prompt", hint=f"one a line; a .csv begins with a header: {','.join(COLUMNS)}")
    return prompts


class _BadLine(TrellisError):
    def __init__(self, line: int, problem: str, hint: str) -> None:
        super().__init__(problem, hint=hint)
        self.line = line


def _of_txt(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if text.lower().endswith(PICTURES):
            raise _BadLine(
                number,
                f"{text!r} names a picture, and a .txt of --prompts holds words",
                "pass the list to --image, or write a .csv with a column `image`",
            )
        if text and not text.startswith("#"):
            yield number, {"text": text}


def _of_csv(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = content.splitlines(keepends=True)
    header = next((line for line in lines if line.strip()), "")
    delimiter = next((d for d in ",;\t" if d in header), ",")
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    _check_keys(1, names)
    if not {"text", "image"} & set(names):
        raise _BadLine(1, "the header has neither `text` nor `image`", f"for example: {','.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise _BadLine(1, "the header names a column twice", f"for example: {','.join(COLUMNS)}")
    for row in reader:
        if None in row:
            raise _BadLine(reader.line_num, "more cells than the header has", "put texts with commas in quotes")
        cells = {key: value.strip() for key, value in row.items() if value and value.strip()}
        for key in cells.keys() & {"image", "mask"}:
            cells[key] = [part.strip() for part in cells[key].split(BETWEEN)]
        if "seed" in cells:
            if not cells["seed"].isdecimal():
                raise _BadLine(reader.line_num, f"seed {cells['seed']!r} is not a whole number", "for example 7")
            cells["seed"] = int(cells["seed"])
        if cells:
            yield reader.line_num, cells


def _of_jsonl(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _BadLine(number, f"no JSON: {error}", 'for example {"text": "log cabin"}') from error
        if not isinstance(row, dict):
            raise _BadLine(number, "it is no JSON object", 'for example {"text": "log cabin"}')
        _check_keys(number, row)
        for key in ("image", "mask"):
            if isinstance(row.get(key), str):
                row[key] = [row[key]]
        for key, value in row.items():
            of_paths = isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)
            number_ = isinstance(value, int) and not isinstance(value, bool)
            if not (of_paths if key in ("image", "mask") else number_ if key == "seed" else isinstance(value, str)):
                kinds = {"image": "a path or a list of paths", "seed": "a whole number"}
                wanted = kinds.get("image" if key == "mask" else key, "a text")
                raise _BadLine(number, f"`{key}` is {value!r}", f"`{key}` is {wanted}")
        yield number, row


def _check_keys(number: int, keys: Any) -> None:
    if unknown := sorted(set(keys) - set(COLUMNS)):
        raise _BadLine(number, f"no such column {unknown[0]!r}", f"known are {', '.join(COLUMNS)}")


def _prompt(row: Mapping[str, Any], folder: Path, place: str) -> Prompt:
    images, masks = (tuple(folder / name for name in row.get(key, ())) for key in ("image", "mask"))
    return Prompt(
        row.get("text"), images, masks, row.get("negative", ""), row.get("seed"), row.get("name", ""), place
    ).check()
