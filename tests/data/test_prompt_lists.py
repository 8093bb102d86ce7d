"""Lists of prompts: what each kind means, and that a bad line is named by its number."""

import json
from pathlib import Path

import pytest

from trellis_cli.data.prompt_lists import Prompt, read_prompts
from trellis_cli.errors import FileError, UsageError


def test_txt(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeff# things\nlog cabin\r\n\n  round table  \nénorme # not a comment\n".encode())
    assert [p.text for p in read_prompts(path)] == ["log cabin", "round table", "énorme # not a comment"]
    assert read_prompts(path)[1].place == "x.txt line 4"


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "name,text,image,mask,negative,seed\n"
        'hut,"a hut, with a roof",,,blurry,7\n\n'
        ",,pictures/a.png|pictures/b.png,m/a.png|m/b.png,,\n"
        '"","two\nlines",,,,\n'
    )
    hut, pair, lines = read_prompts(path)
    assert hut == Prompt("a hut, with a roof", negative="blurry", seed=7, name="hut", place="x.csv line 2")
    assert pair.images == (tmp_path / "pictures/a.png", tmp_path / "pictures/b.png") and pair.kind == "image"
    assert pair.masks == (tmp_path / "m/a.png", tmp_path / "m/b.png") and pair.label == "a.png+b.png"
    assert lines.text == "two\nlines"
    path.write_text("text;seed\nhut;3\n")  # as spreadsheets write it where the comma is the decimal point
    assert [(p.text, p.seed) for p in read_prompts(path)] == [("hut", 3)]


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"text": "hut", "seed": 0}, {"image": "a.png"}, {"image": ["/far/a.png", "b.png"], "name": "both"}]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    hut, one, two = read_prompts(path)
    assert (hut.seed, one.images, one.seed) == (0, (tmp_path / "a.png",), None)
    assert two.images == (Path("/far/a.png"), tmp_path / "b.png") and two.place == "x.jsonl line 5"


BAD = {
    "nothing": ("x.txt", "# only a comment\n", "lists no prompt"),
    "no text file": ("x.txt", bytes(range(256)), "is no text"),
    "a picture": ("x.txt", "hut\nchair.PNG\n", "line 2: 'chair.PNG' names a picture"),
    "no header": ("x.csv", "log cabin\nhut\n", "line 1: no such column 'log cabin'"),
    "header of nothing": ("x.csv", "seed,name\n1,a\n", "line 1: the header has neither"),
    "twice": ("x.csv", "text,text\na,b\n", "line 1: the header names a column twice"),
    "too many cells": ("x.csv", "text,seed\nhut,1\nhut, with a roof,1\n", "line 3: more cells"),
    "bad seed": ("x.csv", "text,seed\nhut,1\nhut,-1\n", "line 3: seed '-1'"),
    "large seed": ("x.csv", f"text,seed\nhut,{2**64}\n", "line 2: seed 18446744073709551616 is not from 0"),
    "both": ("x.csv", "text,image\nhut,a.png\n", "line 2: a prompt is a text or an image"),
    "neither": ("x.csv", "text,seed\n,1\n", "line 2: a prompt is a text or an image"),
    "open quotes": ("x.csv", 'text\nhut\n"hut\n', "line 3: unexpected end of data"),
    "negative picture": ("x.csv", "image,negative\na.png,blurry\n", "line 2: a negative text goes with a text"),
    "masks": ("x.csv", "image,mask\na.png|b.png,m.png\n", "line 2: 1 masks for 2 images"),
    "name with a path": ("x.csv", "text,name\nhut,../x\n", "line 2: '../x' names no file"),
    "no JSON": ("x.jsonl", '{"text": "hut"}\n{"text"\n', "line 2: no JSON"),
    "deep JSON": ("x.jsonl", "[" * 100_000, "line 1: no JSON"),
    "no object": ("x.jsonl", '"hut"\n', "line 1: it is no JSON object"),
    "no text": ("x.jsonl", '{"text": 3}\n', "line 1: `text` is 3"),
    "true as a seed": ("x.jsonl", '{"text": "hut", "seed": true}\n', "line 1: `seed` is True"),
    "image of numbers": ("x.jsonl", '{"image": ["a.png", 3]}\n', "line 1: `image` is"),
    "no images": ("x.jsonl", '{"image": []}\n', "line 1: `image` is"),
    "empty text": ("x.jsonl", '{"text": " "}\n', "line 1: an empty prompt says nothing"),
    "unknown key": ("x.jsonl", '{"prompt": "hut"}\n', "line 1: no such column 'prompt'"),
    "half a character": ("x.jsonl", '{"text": "\\ud83d"}\n', "line 1: .* is no Unicode text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists(tmp_path: Path, case: str) -> None:
    name, content, words = BAD[case]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(FileError, match=words) as caught:
        read_prompts(tmp_path / name)
    assert caught.value.hint


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no list of prompts"):
        read_prompts(tmp_path / "x.docx")
    with pytest.raises(FileError, match="no such file"):
        read_prompts(tmp_path / "x.csv")
