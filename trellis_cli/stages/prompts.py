"""Prompts from a command's options, in one order, and the digests that tell one from another."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from trellis_cli.data.prompt_lists import Prompt, read_prompts
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.digests import file_digest
from trellis_cli.io.inputs import gather, require_file
from trellis_cli.io.picture_files import SUFFIXES
from trellis_cli.stages.image_prompts import check_background
from trellis_cli.stages.pipeline import Multi


def gather_prompts(
    texts: Sequence[str] = (),
    images: Sequence[Path] = (),
    lists: Sequence[Path] = (),
    *,
    masks: Sequence[Path] = (),
    negative: str | None = None,
    multi: str | None = None,
    background: str = "auto",
) -> tuple[list[Prompt], Multi | None]:
    """All prompts: texts, then images (files, folders, or .txt lists of them), then those of lists; and `multi`.

    Args:
        masks: one for each of `images`, in the same order.
        negative: for every text that has none of its own.
        multi: how several images make one asset; `images` are then one prompt.
        background: only looked at whether it is one, be there images or not.

    Raises:
        UsageError: nothing to make, or options that do not fit each other.
        FileError: a list or folder that is not what it should be; not: a picture that is bad.
    """
    check_background(background)
    if multi is not None and multi not in get_args(Multi):
        raise UsageError(f"--multi {multi!r} is not known", hint=f"one of: {', '.join(get_args(Multi))}")
    prompts = [Prompt(text, place="--text").check() for text in texts]
    pictures = gather(images, SUFFIXES, what="a picture", others=True)
    outlines = gather(masks, SUFFIXES, what="a picture", others=True)
    if outlines and len(outlines) != len(pictures):
        raise UsageError(
            f"{len(outlines)} --mask for {len(pictures)} --image", hint="give one mask for each image, in order"
        )
    if multi is not None and pictures:
        prompts.append(Prompt(images=tuple(pictures), masks=tuple(outlines), place="--image"))
    else:
        alone = (tuple(outlines[i : i + 1]) for i in range(len(pictures)))
        prompts += [Prompt(images=(p,), masks=m, place="--image") for p, m in zip(pictures, alone, strict=True)]
    prompts += [prompt for path in lists for prompt in read_prompts(path)]
    if not prompts:
        raise UsageError(
            "there is nothing to make: no prompt is given", hint="--text WORDS, --image FILE or --prompts LIST"
        )
    return _with_negative(_checked(prompts, multi), negative), cast(Multi | None, multi)


def _checked(prompts: list[Prompt], multi: str | None) -> list[Prompt]:
    several = [prompt for prompt in prompts if len(prompt.images) > 1]
    if several and multi is None:
        raise FileError(
            f"{several[0].place} has {len(several[0].images)} images of one object",
            hint=f"say how they are to be one: --multi {' or '.join(get_args(Multi))}",
        )
    if multi is not None and not several:
        raise UsageError("--multi is of several images of one object, and there are none", hint="leave it out")
    names = [prompt.name for prompt in prompts if prompt.name]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FileError(f"two prompts have the name {twice[0]!r}", hint="names name the files of -o DIR/")
    return prompts


def _with_negative(prompts: list[Prompt], negative: str | None) -> list[Prompt]:
    if negative is None:
        return prompts
    if not any(prompt.kind == "text" for prompt in prompts):
        raise UsageError("--negative goes with text prompts, and there are none", hint="leave it out")
    return [replace(p, negative=p.negative or negative).check() if p.kind == "text" else p for p in prompts]


def entry_of(prompt: Prompt, line: int) -> dict[str, Any]:
    """A prompt as a file's parameters list it; images and masks by base names and the sha256 of each file.

    Raises FileError for a file that is not there or may not be read.
    """
    entry = named_entry(prompt, line)
    if prompt.images:
        for path in prompt.files:
            if path.is_dir():
                raise FileError(f"{path} is a folder, not a picture", hint="name a picture in it")
        entry["files"] = [file_digest(require_file(path)) for path in prompt.files]
    return entry


def named_entry(prompt: Prompt, line: int) -> dict[str, Any]:
    """What can be said of a prompt without its files."""
    entry: dict[str, Any] = {"line": line, "seed": prompt.seed, "negative": prompt.negative or None}
    if prompt.text is not None:
        entry |= {"text": prompt.text}
    else:
        entry |= {"image": prompt.label, "images": len(prompt.images), "masks": len(prompt.masks)}
    return {key: value for key, value in entry.items() if value is not None}


def named_files(prompt: Prompt, entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """sha256 and base name of each file of a prompt, as its entry has them."""
    return [(sha, path.name) for sha, path in zip(entry.get("files", ()), prompt.files, strict=True)]


def content_digest(entry: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """What an id is made of beside weights, samplers, seed and line: all else that changes this prompt's asset.

    The digest of a plain text is sha256 of it. None for an entry whose files could not be read.
    """
    if "text" in entry:
        whole = json.dumps([entry["text"], entry["negative"]]) if "negative" in entry else entry["text"]
    elif "files" not in entry:
        return None
    else:
        found = None if entry["masks"] else parameters["background"]
        multi = parameters["multi"] if entry["images"] > 1 else None
        whole = json.dumps([entry["files"], entry["images"], found, multi])
    return hashlib.sha256(whole.encode()).hexdigest()


def asset_ids(parameters: Mapping[str, Any], weights: str, seed: int) -> Iterator[tuple[int, int, str]]:
    """(line, which of the prompt's assets, id) of everything that work of these parameters makes.

    An id is sha256 of (weights digest, prompt digest, resolved parameters, seed, number in the list).
    """
    named = ("structure", "slat", "dtype")  # not the model: the weights say which
    shared = json.dumps({key: parameters[key] for key in named if key in parameters}, sort_keys=True)
    num, given = int(parameters["num"]), parameters.get("voxels", ())
    for entry in parameters["prompts"]:
        content = content_digest(entry, parameters)
        for n in range(num) if content is not None else ():
            number = int(entry["line"]) * num + n
            voxels = given[int(entry["line"]) if len(given) > 1 else 0 :][:1]
            parts = [weights, content, *voxels, shared, str(entry.get("seed", seed)), str(number)]
            yield int(entry["line"]), n, hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prompts_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """id -> prompt of each asset that a file of `sample` with these root attributes may hold.

    An image prompt goes by its file's name. By the ids, not by the order: a shard holds only some of the prompts that
    its parameters list.
    """
    parameters = json.loads(attributes["parameters"])
    by_line = {entry["line"]: entry.get("text", entry.get("image")) for entry in parameters["prompts"]}
    ids = asset_ids(parameters, json.loads(attributes["model"])["digest"], int(attributes["seed"]))
    return {id_: by_line[line] + (f" ({n + 1})" if int(parameters["num"]) > 1 else "") for line, n, id_ in ids}
