"""A stage file taken apart into what the shards of an array job would have written, to the byte; `merge` undoes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trellis_cli.errors import UsageError
from trellis_cli.io.stage_files import Provenance, open_stage
from trellis_cli.shards import in_shard
from trellis_cli.stages.merge import Place, command_of, own_parameters, write_together
from trellis_cli.stages.prompts import asset_ids

PART_ASSETS = 1000  # about so many in a part
ITEMS = ("voxelize", "render")  # commands each of whose inputs is an asset


def split(path: Path, out: Path, *, parts: int | None = None, overwrite: bool = False) -> list[Path]:
    """Write `out`/part-00000.h5 and so on: part i of n is what `--shard i/n` of the same command writes.

    Args:
        parts: by default so many that each holds about PART_ASSETS assets.

    Raises:
        UsageError: edits, which are not sharded by id, or another file in the way.
        FileError: no stage file, or one that does not say what made it.
    """
    with open_stage(path) as file:
        attributes, names = dict(file.attrs), list(file.groups)
        attrs = {name: file.group(name).attrs for name in names}
        ids = file.group(names[0]).ids
    parameters, inputs = own_parameters(attributes, path)
    if "sources" in parameters:
        raise UsageError(f"{path} holds edits, which are not split", hint="split what they are edits of")
    num = parts or max(1, -(-len(ids) // PART_ASSETS))
    others = sorted(p for p in out.glob("part-*.h5") if p.stem not in {f"part-{i:05d}" for i in range(num)})
    if others:  # a data folder would take these assets for variants
        raise UsageError(
            f"{others[0]} is there, and none of these {num} parts", hint="choose another folder, or remove it first"
        )
    written = []
    for i in range(num):
        own, files = _shard(parameters, inputs, command_of(attributes), (i, num))
        provenance = Provenance(
            command_of(attributes), own, seed=int(attributes["seed"]), inputs=sorted(files),
            model=json.loads(attributes["model"]), history=json.loads(attributes.get("history", "[]")),
        )  # fmt: skip
        if "prompts" in parameters:
            digest = str(provenance.model.get("digest", ""))
            made = asset_ids(own, digest, provenance.seed)
            kept = {id_ for line, _, id_ in made if line % num == i}
        else:
            kept = {id_ for id_ in ids if in_shard(id_, (i, num))}
        places: dict[str, Place] = {id_: (path, k) for k, id_ in enumerate(ids) if id_ in kept}
        written.append(out / f"part-{i:05d}.h5")
        write_together(written[-1], places, list(places), attrs, provenance, overwrite=overwrite)
    return written


def _shard(
    parameters: Mapping[str, Any], inputs: set[tuple[str, str]], command: str, shard: tuple[int, int]
) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """A shard's own parameters and inputs: of prompts the files of its lines alone, of meshes its own."""
    if command in ITEMS:
        return dict(parameters), {pair for pair in inputs if in_shard(pair[0], shard)}
    if "prompts" not in parameters:
        return dict(parameters), inputs
    entries = [
        entry if entry["line"] % shard[1] == shard[0] else {k: v for k, v in entry.items() if k != "files"}
        for entry in parameters["prompts"]
    ]
    everyone, own = (
        {digest for entry in some for digest in entry.get("files", ())} for some in (parameters["prompts"], entries)
    )
    return {**parameters, "prompts": entries}, {pair for pair in inputs if pair[0] in own or pair[0] not in everyone}
