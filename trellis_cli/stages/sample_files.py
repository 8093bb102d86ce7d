"""A file for each sampled asset, and the pictures that an image encoder saw."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from trellis_cli import console
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import NO_ITEMS_FAULT, SomeFailed, TrellisError, UsageError
from trellis_cli.io.aside import aside
from trellis_cli.io.stage_files import Asset, Provenance
from trellis_cli.ledger import Ledger, ledger_row
from trellis_cli.session import Batch, Item, Summary, run_batches

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """One asset to be made: of which prompt, at which line of the list, from which seed."""

    prompt: Prompt
    line: int
    seed: int


def asset_name(prompt: Prompt, line: int, n: int | None) -> str:
    """The name of an asset's file, without extension: the prompt's own, else its line and what it says.

    `n` is None for a prompt with a single asset.
    """
    stem = prompt.name or "-".join(filter(None, [f"{line:04}", _slug(prompt)]))
    return stem if n is None else f"{stem}-{n + 1}"


def _slug(prompt: Prompt) -> str:
    words = prompt.images[0].stem if prompt.images else prompt.label
    return re.sub(r"[^a-z0-9]+", "-", words.lower())[:40].strip("-")


def write_each(
    items: Sequence[Item],
    work: Callable[[Item], Mapping[str, Asset]],
    folder: Path,
    names: Mapping[str, str],
    provenance: Provenance,
    attrs: Mapping[str, Mapping[str, Any]],
    *,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
    bad_inputs: Sequence[tuple[str, TrellisError]] = (),
) -> Summary:
    """As `run_batch`, but `<folder>/<name>.slat.h5` for each item; its parameters list its own prompt alone.

    The ledger is `<folder>.ledger.jsonl`, one a shard, so that jobs of one array do not write over each other's.

    Raises:
        UsageError: two assets of one name, or another file in the way.
        TrellisError: the error of the only item there was.
        SomeFailed: some of several failed.
    """
    targets = {item.id: folder / f"{names[item.id]}.slat.h5" for item in items}
    if len(set(targets.values())) < len(targets):
        twice = next(path for path in targets.values() if list(targets.values()).count(path) > 1)
        raise UsageError(f"two assets would be written to {twice}", hint="give one of their prompts another name")
    single = len(items) + len(bad_inputs) == 1 and shard[1] == 1
    if single and bad_inputs:
        raise bad_inputs[0][1]
    ledger = Ledger.beside(folder, "sample", shard)
    before = {} if overwrite or single else ledger.read()
    failures = {name: ledger_row(name, name, error) for name, error in bad_inputs}
    failures |= {id_: row for id_, row in before.items() if id_ in targets and not targets[id_].exists()}
    todo = [item for item in items if retry_failed or item.id not in failures]
    batches = {
        item.id: Batch([item], work, targets[item.id], _own(provenance, item), attrs, overwrite=overwrite)
        for item in todo
    }
    done = kept = 0
    with ledger.closing(failures):
        for batch in run_batches(list(batches.values()), what="trellis sample"):
            (item,) = batch.items
            failures.pop(item.id, None)
            try:
                summary = batch.finish()
                done, kept = done + summary.done, kept + summary.kept
            except NO_ITEMS_FAULT:
                raise
            except TrellisError as error:
                if single:
                    raise
                _log.warning("%s: %s", item.name, error.problem)
                failures[item.id] = ledger_row(item.id, item.name, error)
                ledger.write(failures)
    summary = Summary(folder, done, kept, len(failures))
    if failures:
        console.note(summary.text)
        raise SomeFailed(
            f"{len(failures)} of {len(items) + len(bad_inputs)} inputs failed, the first: "
            f"{next(iter(failures.values()))['reason']}",
            hint=ledger.hint,
        )
    return summary


def _own(provenance: Provenance, item: Item) -> Provenance:
    """That of one asset's file: of all prompts and their files, its own; given voxels are an input of each."""
    entries = provenance.parameters["prompts"]
    entry = entries[item.payload.line]
    others = {digest for other in entries for digest in other.get("files", ())} - set(entry.get("files", ()))
    inputs = [pair for pair in provenance.inputs if pair[0] not in others]
    return replace(provenance, parameters={**provenance.parameters, "prompts": [entry]}, inputs=inputs)


def save_prepared(folder: Path, line: int, prompt: Prompt, pictures: Sequence[Image.Image]) -> None:
    """Put pictures as the encoder sees them into `folder`: `<line>-<name>.png`, several as `-1`, `-2`, ...

    Raises:
        UsageError: one of the prompt's own pictures lies there by that name.
        DiskError: the folder cannot be written.
    """
    for i, picture in enumerate(pictures):
        path = folder / f"{asset_name(replace(prompt, name=''), line, i if len(pictures) > 1 else None)}.png"
        if path.exists() and any(path.samefile(own) for own in prompt.files):
            raise UsageError(f"--prepared would write over {path}", hint="choose another folder")
        with aside(path) as part:
            picture.save(part, "PNG")
