"""The command that a stage file says it was made by, rebuilt from its other root attributes, in the words a user types.

Inputs go by their base names. Where there are too many to list, files stand for them: `inputs.txt`, a path a line, and
`prompts.jsonl`, the prompts as the attribute `parameters` has them.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

MANY = 8  # more inputs, or prompts, are not listed
LONG = 400  # letters of all texts; longer ones are not listed
SEEDED = ("render", "sample", "edit")
INPUTS, PROMPTS = "inputs.txt", "prompts.jsonl"
SAMPLER = ("steps", "guidance", "interval", "rescale_t")


def canonical_command(
    command: str, parameters: Mapping[str, Any], *, seed: int = 0, inputs: Sequence[tuple[str, str]] = ()
) -> str:
    """`trellis COMMAND` with its options, quoted as a shell wants it; without what cannot change the result.

    Args:
        parameters: those of the root attribute.
        inputs: sha256 and base name of each input.
    """
    if command == "sample":
        words, seed = _sample_words(parameters, seed, dict(sorted(inputs)))
    elif command == "edit":
        words = _edit_words(parameters, inputs)
    else:
        words = [name for _, name in sorted(inputs)] if len(inputs) <= MANY else [INPUTS]
        words += [word for key, value in sorted(parameters.items()) for word in _option(key, value)]
    if command in SEEDED:
        words += ["--seed", str(seed)]
    return shlex.join(["trellis", command, *words])


def _option(key: str, value: Any) -> list[str]:
    """A flag for True, nothing for what is off or empty, else name and value."""
    name = f"--{key.replace('_', '-')}"
    if value is True:
        return [name]
    return [] if value in (None, "", False) else [name, _number(value)]


def _number(value: Any) -> str:
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _sample_words(parameters: Mapping[str, Any], seed: int, names: Mapping[str, str]) -> tuple[list[str], int]:
    """All but the seed, and the seed: that of the asset's own draw, where a file holds one prompt of a longer list."""
    num, entries = int(parameters.get("num", 1)), list(parameters.get("prompts", ()))
    if len(entries) == 1 and len(parameters.get("voxels", ())) < 2:
        seed = entries[0].get("seed", seed + int(entries[0]["line"]) * num)
        entries = [{**entries[0], "line": 0}]
        entries[0].pop("seed", None)
    words = _prompt_words(entries, names) if _listable(entries) else ["--prompts", PROMPTS]
    if parameters.get("voxels"):
        pictures = {digest for entry in entries for digest in entry.get("files", ())}
        words += [w for digest, name in names.items() if digest not in pictures for w in ("--structure", name)]
    words += _stage_words([parameters[stage] for stage in ("structure", "slat") if stage in parameters], SAMPLER)
    for key in ("background", "dtype", "model", "multi"):
        words += _option(key, parameters.get(key))
    return words + (["--num", str(num)] if num > 1 else []), seed


def _edit_words(parameters: Mapping[str, Any], inputs: Sequence[tuple[str, str]]) -> list[str]:
    names = dict(sorted(inputs))
    sources = parameters.get("sources", ())  # none in a part of a batch
    files: list[str] = list(dict.fromkeys(str(names.get(source["file"], source["file"])) for source in sources))
    words = files if len(files) <= MANY else [INPUTS]
    mode, region = parameters.get("mode", "replace"), parameters.get("region", {})
    words += [f"--{mode}"] if mode != "replace" else _option("keep_structure", parameters.get("keep_structure"))
    for key in ("box", "sphere", "mask", "voxels"):
        words += [word for value in region.get(key, ()) for word in (f"--{key}", value)]
    words += [str(word) for key in ("units", "grow") for word in _option(key, region.get(key))]
    words += [w.replace("--mask", "--image-mask") for w in _prompt_words(parameters.get("prompts", ()), names)]
    words += _stage_words([parameters[stage] for stage in ("structure", "slat") if stage in parameters], SAMPLER)
    walks = [parameters[key] for key in ("resample_structure", "resample_slat") if key in parameters]
    words += _stage_words(walks, ("jump", "resample"))
    words += ["--feather", _number(parameters["feather"])] if "feather" in parameters else []
    for key in ("background", "dtype", "model", "multi"):
        words += _option(key, parameters.get(key))
    return words + (["--num", str(parameters["num"])] if parameters.get("num", 1) > 1 else [])


def _listable(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether options say the same as a list: texts come before images there, and seeds and negatives are shared."""
    texts = [entry for entry in entries if "text" in entry]
    return (
        len(entries) <= MANY
        and [entry["line"] for entry in entries] == list(range(len(entries)))
        and list(entries[: len(texts)]) == texts
        and not any("seed" in entry for entry in entries)
        and len({entry.get("negative") for entry in texts}) < 2
        and sum(len(entry["text"]) + len(entry.get("negative", "")) for entry in texts) <= LONG
        and (len(entries) - len(texts) < 2 or all(entry.get("images") == 1 for entry in entries[len(texts) :]))
        and len({entry.get("masks") == entry.get("images") for entry in entries[len(texts) :]}) < 2
    )


def _prompt_words(entries: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    words: list[str] = []
    for entry in entries:
        if "text" in entry:
            words += ["--text", entry["text"]]
            continue
        files = [names[digest] for digest in entry.get("files", ()) if digest in names] or [entry["image"]]
        for option, some in (("--image", files[: entry["images"]]), ("--mask", files[entry["images"] :])):
            words += [word for name in some for word in (option, name)]
    negative = next((entry["negative"] for entry in entries if "negative" in entry), None)
    return words + (["--negative", negative] if negative else [])


def _stage_words(stages: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """`--steps 25,12` and so on; one value where both stages have the same."""
    words: list[str] = []
    for key in keys:
        values = [of[key] for of in stages]
        texts = ["-".join(map(_number, v)) if key == "interval" else _number(v) for v in values]
        if texts:
            words += [f"--{key.replace('_', '-')}", ",".join(dict.fromkeys(texts))]
    return words
