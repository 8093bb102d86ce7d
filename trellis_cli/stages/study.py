"""A user study: which method's objects people prefer, asked by a page and counted from its answers.

Source: TRELLIS (arXiv:2412.01506), appendix C.2: a prompt on top, the candidates' turning objects in random order, "not
sure" allowed, 50 random trials a participant; reported as selections and per cent of each method (table 9).
"""

import base64
import csv
import hashlib
import io
import json
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from trellis_cli import console
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.aside import write_text
from trellis_cli.io.pictures import to_uint8
from trellis_cli.stages.made_objects import KINDS, read_made
from trellis_cli.stages.study_page import study_page
from trellis_cli.stages.view import turntable

SHOWN_AS_THEY_ARE = (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg")
FRAMES, SIZE, SECONDS = 40, 256, 4.0  # of a turn, where a file is an object
TRIALS = 50
Z = 1.96  # deviations of a normal distribution that hold 95 %


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt, a text or a picture, and each method's file for it."""

    name: str
    text: str
    image: Path | None
    files: dict[str, Path]


def read_cases(path: Path) -> list[Case]:
    """Of a table with the columns case, method, file and text or image; paths are relative to its folder.

    Raises:
        FileError: it is no such table, a case has no prompt or fewer than two methods, or files are missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        cases: dict[str, Case] = {}
        for row in rows:
            image = path.parent / row["image"] if row.get("image") else None
            case = cases.setdefault(row["case"], Case(row["case"], row.get("text") or "", image, {}))
            if row["method"] in case.files:
                raise FileError(f"{path}: case {case.name!r} has {row['method']!r} twice", hint="one file a method")
            case.files[row["method"]] = path.parent / row["file"]
    except OSError as error:
        raise FileError(f"{path}: no such file", hint="a .csv with case,method,file and text or image") from error
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(
            f"{path}: no table of cases: {error}", hint="a header with case,method,file and text or image"
        ) from error
    for case in cases.values():
        if not case.text and case.image is None:
            raise FileError(f"{path}: case {case.name!r} has no prompt", hint="give it a text or an image")
        if len(case.files) < 2:
            raise FileError(f"{path}: case {case.name!r} has one method alone", hint="a choice needs two")
        for needed in (*case.files.values(), *([case.image] if case.image else [])):
            if not needed.is_file():
                raise FileError(f"{path}: {needed} is not there", hint="paths are relative to the table")
    if not cases:
        raise FileError(f"{path} holds no case", hint="a header with case,method,file and text or image")
    return list(cases.values())


def build_study(cases: Sequence[Case], out: Path, *, trials: int = TRIALS, overwrite: bool = False) -> Path:
    """Write the page, and beside it the key, `<name>.key.json`, which alone says which method made what.

    Raises:
        UsageError: no .html, or other files in the way.
        FileError: a file that is no picture, video or object.
    """
    if out.suffix.lower() != ".html":
        raise UsageError(f"-o {out}: a study is an .html", hint="for example -o study.html")
    key_path = out.with_suffix(".key.json")
    for path in (out, key_path):
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists", hint="pass --overwrite to replace it, and its key with it")
    shown: list[dict[str, Any]] = []
    methods: dict[str, str] = {}
    whole = hashlib.sha256()
    for case in cases:
        candidates = []
        for method, path in sorted(case.files.items()):
            file = data_uri(path)
            id_ = hashlib.sha256(f"{case.name}\0{method}\0{file}".encode()).hexdigest()[:16]
            methods[id_] = method
            candidates.append({"id": id_, "file": file})
            whole.update(id_.encode())
        image = {"image": data_uri(case.image)} if case.image else {}
        candidates.sort(key=lambda candidate: candidate["id"])  # so that no order tells the methods
        shown.append({"id": case.name, "text": case.text, **image, "candidates": candidates})
    id_ = whole.hexdigest()[:16]
    write_text(key_path, json.dumps({"study": id_, "methods": methods}, indent=1, sort_keys=True) + "\n")
    write_text(out, study_page({"id": id_, "trials": min(trials, len(shown)), "cases": shown}))
    return key_path


def data_uri(path: Path) -> str:
    """A picture or video as it is, an object as a turning one. Raises FileError, UsageError."""
    suffix = path.suffix.lower()
    if suffix in SHOWN_AS_THEY_ARE:
        data, kind = path.read_bytes(), mimetypes.guess_type(f"x{suffix}")[0] or "image/webp"
    elif suffix in KINDS:
        data, kind = turning(path), "image/webp"
    else:
        raise UsageError(
            f"{path} is nothing that can be shown", hint=f"one of {', '.join((*SHOWN_AS_THEY_ARE, *KINDS))}"
        )
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def turning(path: Path, *, frames: int = FRAMES, size: int = SIZE) -> bytes:
    """A mesh or Gaussians once around, as an animated WebP on black. Raises FileError for points alone."""
    made = read_made(path)
    if not made.draw:
        raise FileError(f"{path}: points alone cannot be drawn", hint="give a mesh, or Gaussians")
    draw = next(iter(made.draw.values()))
    cameras = turntable(frames)
    pictures = [Image.fromarray(to_uint8(draw(cameras[i], size)[0].permute(1, 2, 0))) for i in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=int(1000 * SECONDS / frames), loop=0
    )
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Tally:
    """Selections and per cent of each method, most first; those who were not sure; answers and participants."""

    methods: dict[str, dict[str, int | float]]
    unsure: int
    answers: int
    participants: int

    @property
    def text(self) -> str:
        rows = [["method", "selections", "per cent", "95 % interval", "shown"]]
        for name, m in self.methods.items():
            interval = f"{100 * m['low']:.1f} to {100 * m['high']:.1f}"
            rows.append([name, f"{m['selections']:.0f}", f"{100 * m['share']:.1f}", interval, f"{m['shown']:.0f}"])
        rows.append(["not sure", str(self.unsure), f"{100 * self.unsure / max(1, self.answers):.1f}", "", ""])
        return f"{console.table(rows)}\n{self.answers} answers of {self.participants} participants"


def tally(key: Path, files: Sequence[Path]) -> Tally:
    """Count the answers of a study. A participant's file counts once, whatever it is called.

    Raises:
        FileError: a file that is no key or no answers, or answers to another study.
    """
    known = _read(key, ("study", "methods"))
    methods: dict[str, str] = known["methods"]
    selections, shown = (dict.fromkeys(sorted(set(methods.values())), 0) for _ in range(2))
    seen: set[str] = set()
    unsure = answers = 0
    for path in files:
        given = _read(path, ("study", "participant", "answers"))
        if given["study"] != known["study"]:
            raise FileError(f"{path} answers another study", hint=f"the key is of {known['study']}")
        if given["participant"] in seen:
            continue
        seen.add(given["participant"])
        for answer in given["answers"]:
            try:
                names = [methods[id_] for id_ in answer["shown"]]
                chosen = None if answer["chosen"] is None else methods[answer["chosen"]]
            except (KeyError, TypeError) as error:
                raise FileError(
                    f"{path}: an answer that the study does not know: {error}", hint="leave it out"
                ) from error
            answers += 1
            for name in names:
                shown[name] += 1
            if chosen is None:
                unsure += 1
            else:
                selections[chosen] += 1
    counts = {
        name: {"selections": n, "shown": shown[name], "share": n / max(1, answers), **_interval(n, answers)}
        for name, n in sorted(selections.items(), key=lambda item: (-item[1], item[0]))
    }
    return Tally(counts, unsure, answers, len(seen))


def _interval(n: int, total: int) -> dict[str, float]:
    """Wilson's 95 % interval of a share."""
    if not total:
        return {"low": 0.0, "high": 1.0}
    p, z2 = n / total, Z**2 / total
    centre, reach = p + z2 / 2, Z * (p * (1 - p) / total + z2 / (4 * total)) ** 0.5
    return {"low": max(0.0, (centre - reach) / (1 + z2)), "high": min(1.0, (centre + reach) / (1 + z2))}


def _read(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(
            f"{path}: no such file", hint="the study's page saves answers, and its key lies beside it"
        ) from error
    except ValueError as error:
        raise FileError(f"{path} is no JSON: {error}", hint="give what the study's page saved") from error
    if not isinstance(found, dict) or any(key not in found for key in keys):
        raise FileError(f"{path} lacks {', '.join(keys)}", hint="give what the study's page saved, and its key")
    return found
