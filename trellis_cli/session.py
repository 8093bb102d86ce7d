"""What every batch command does the same: skip what is done, go on past a bad item, write whole files, keep a ledger.

Each finished item is kept at once in `<out>.parts/` beside the output, as a stage file of its own; a killed command
loses at most the item it was at. When all items are done the parts become the output and their folder goes.
"""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trellis_cli import console, workers
from trellis_cli.errors import FileError, SomeFailed, TrellisError, UsageError
from trellis_cli.ledger import Item, Ledger, ledger_row
from trellis_cli.parts import assemble, readable, remove_empty, write_part

if TYPE_CHECKING:
    from trellis_cli.io.stage_files import Asset, Provenance

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch came to."""

    out: Path
    done: int
    kept: int
    failed: int

    @property
    def text(self) -> str:
        if not self.done and not self.failed and self.kept:
            return f"{self.out}: done already ({self.kept} assets)"
        return f"{self.out}: {self.done + self.kept} assets" + (f", {self.failed} failed" if self.failed else "")


class Batch:
    """One output of a command, while its items are worked on: what is there, what is kept, what failed.

    Args:
        items: what to do; one that comes twice counts once.
        work: makes, for one item, one asset for each group of `attrs`.
        attrs: the groups to write, each with its attributes.
        bad_inputs: inputs that failed before they had an id: (name, error); they count as failed.
        in_order: the assets come as the items do, not sorted by id.
        shard: whose items these are. Of several shards each has an output, if only an empty one: the stages that
            follow wait for all of them.

    Raises:
        TrellisError: the error of the only input there was, as it came; not of a shard.
        UsageError: another file is in the way, or `out` is no .h5.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item], "Mapping[str, Asset]"],
        out: Path,
        provenance: "Provenance",
        attrs: Mapping[str, Mapping[str, Any]],
        *,
        overwrite: bool = False,
        retry_failed: bool = False,
        bad_inputs: Sequence[tuple[str, TrellisError]] = (),
        in_order: bool = False,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        if out.suffix.lower() != ".h5":
            raise UsageError(f"-o {out}: a stage file is a .h5", hint=f"for example -o {out.with_suffix('.h5').name}")
        self.items = list({item.id: item for item in items}.values())
        self.sharded = shard[1] > 1
        self.single = len(self.items) + len(bad_inputs) == 1 and not self.sharded
        if self.single and bad_inputs:
            raise bad_inputs[0][1]
        self.out, self.work, self.provenance, self.attrs, self.in_order = out, work, provenance, attrs, in_order
        ids = {item.id for item in self.items}
        key = _key(_work(provenance.attributes(), ids))
        self.folder = out.with_name(out.name + ".parts") / key
        self.ledger = Ledger.beside(out, key)
        before = {} if overwrite else self.ledger.read()
        self.failures = {} if self.single else {k: v for k, v in before.items() if k in ids}
        left_out = set() if retry_failed else set(self.failures)
        for name, error in bad_inputs:
            self.failures[name] = ledger_row(name, name, error)
        self.kept = None if overwrite else _finished(out, provenance, attrs, ids, set(before))
        for id_ in self.kept or ():
            self.failures.pop(id_, None)
        self.skip = left_out | (self.kept or set())
        self.done: set[str] = set()
        self.error: TrellisError | None = None  # of the only item

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *error: object) -> None:
        """Also after Ctrl-C: the ledger knows what failed so far."""
        self.ledger.write(self.failures)
        remove_empty(self.folder)

    def keep(self, item: Item) -> None:
        """Work on one item, unless its part is there."""
        part = self.folder / f"{item.id}.h5"
        if not readable(part, self.attrs):
            write_part(part, self.work(item), self.provenance, self.attrs)

    def begin(self, item: Item) -> None:
        self.failures.pop(item.id, None)

    def ended(self, item: Item, error: TrellisError | None) -> None:
        """Take note of an item that is kept, or why it is not."""
        if error is None:
            self.done.add(item.id)
        elif self.single:
            self.error = error
        else:
            _log.warning("%s: %s", item.name, error.problem)
            self.failures[item.id] = ledger_row(item.id, item.name, error)
            self.ledger.write(self.failures)  # a killed job must not pay for it again

    def finish(self) -> Summary:
        """Make the output of all that is kept.

        Raises:
            TrellisError: the error of the only item, as it came.
            SomeFailed: some of several failed; the output holds the others, the ledger the reasons.
        """
        self.ledger.write(self.failures)
        if self.error is not None:
            raise self.error
        kept = self.kept or set()
        if self.kept is None or self.done:
            self._assemble(kept)
            shutil.rmtree(self.folder.parent, ignore_errors=True)
        else:  # there all along; perhaps with parts of a run that was killed just before its end
            shutil.rmtree(self.folder, ignore_errors=True)
            remove_empty(self.folder)
        summary = Summary(self.out, len(self.done), len(kept), len(self.failures))
        if self.failures:
            console.note(summary.text)
            total = summary.failed + summary.done + summary.kept
            raise SomeFailed(f"{summary.failed} of {total} inputs failed", hint=self.ledger.hint)
        return summary

    def _assemble(self, kept: set[str]) -> None:
        held = self.done | kept
        if not held and self.failures and not self.sharded:
            first = next(iter(self.failures.values()))["reason"]
            raise SomeFailed(f"all {len(self.failures)} inputs failed, the first: {first}", hint=self.ledger.hint)
        order = [item.id for item in self.items if item.id in held] if self.in_order else sorted(held)
        assemble(self.out, order, kept, self.folder, self.provenance, self.attrs)


def run_batches(batches: Sequence[Batch], *, what: str) -> Iterator[Batch]:
    """Do the items of several outputs, all by the same workers; each batch comes, to be finished, when its last item
    has ended.

    Raises:
        TrellisError: what is no fault of an item: a full disk, missing weights. What was finished is kept.
    """
    items = [Item(f"{k}/{i.id}", i.name, (batch, i)) for k, batch in enumerate(batches) for i in batch.items]
    skip = {item.id for item in items if item.payload[1].id in item.payload[0].skip}
    left = Counter(item.payload[0] for item in items if item.id not in skip)
    with ExitStack() as stack:
        for batch in batches:
            stack.enter_context(batch)
        ended = workers.each(
            items, lambda item: item.payload[0].keep(item.payload[1]), skip=skip, what=what,
            begin=lambda item: item.payload[0].begin(item.payload[1]),
        )  # fmt: skip
        yield from (batch for batch in batches if not left[batch])
        for item, _, error in ended:
            batch, own = item.payload
            batch.ended(own, error)
            left[batch] -= 1
            if not left[batch]:
                yield batch


def run_batch(
    items: Sequence[Item],
    work: Callable[[Item], "Mapping[str, Asset]"],
    out: Path,
    provenance: "Provenance",
    attrs: Mapping[str, Mapping[str, Any]],
    **options: Any,
) -> Summary:
    """Do the work for every item and write one stage file; arguments and errors as of `Batch` and its `finish`."""
    (batch,) = run_batches(
        [Batch(items, work, out, provenance, attrs, **options)], what=f"trellis {provenance.command}"
    )  # fmt: skip
    return batch.finish()


def in_the_way(path: Path) -> UsageError:
    """The error for an output that other work left where this one is to be written."""
    return UsageError(
        f"{path} exists and was not made by this very command",
        hint="pass --overwrite to replace it, or choose another -o",
    )


def _work(attributes: Mapping[str, Any], ids: set[str]) -> dict[str, Any]:
    """What the work is, whatever its items: root attributes without names, and of the inputs those that are no item.

    So a grown list of meshes or of prompts finds what is done already, while changed views (their assets' ids stay) do
    not pass for the old ones.
    """
    parameters = json.loads(attributes["parameters"])
    own = ids | {digest for prompt in parameters.pop("prompts", ()) for digest in prompt.get("files", ())}
    own |= {source["file"] for source in parameters.pop("sources", ())}
    others = sorted(digest for digest, _ in json.loads(attributes["inputs"]) if digest not in own)
    said = {"command": "", "history": ""}  # a command repeats parameters, a history what is said of the inputs
    return {**attributes, "inputs": others, "parameters": parameters, **said}


def _key(work: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]


def _finished(
    out: Path, provenance: "Provenance", attrs: Mapping[str, Any], ids: set[str], failed: set[str]
) -> set[str] | None:
    """The ids that an existing output holds by this very work, None without one; refuses to touch any other file.

    `failed` items of before are among the inputs it names; repaired since, they have other ids now.
    """
    from trellis_cli.io.stage_files import open_stage

    if not out.exists():
        return None
    wanted = provenance.attributes()
    try:
        with open_stage(out) as file:
            held = set(file.group(next(iter(attrs))).ids)
            there = {k: file.attrs.get(k, "[]") for k in wanted}
            if held <= ids and _work(there, ids | failed) == _work(wanted, ids):
                return held
    except (FileError, ValueError, TypeError):  # no stage file, or one whose provenance is not ours
        pass
    raise in_the_way(out)


def backend_choices(texts: Sequence[str]) -> dict[str, str]:
    """`["splat=gsplat"]` as {"splat": "gsplat"}. Raises UsageError for an unknown op or backend."""
    from importlib import import_module
    from pkgutil import iter_modules

    import trellis_ops
    from trellis_ops._dispatch import OPS

    chosen = {}
    folders = {m.name for m in iter_modules(trellis_ops.__path__) if m.ispkg}
    for text in texts:
        op, equals, name = text.partition("=")
        if op in folders:
            import_module(f"trellis_ops.{op}")
        if not equals or op not in OPS:
            raise UsageError(
                f"--backend {text!r} names no op", hint=f"write op=name with op one of {', '.join(sorted(folders))}"
            )
        if name not in OPS[op].backends:
            raise UsageError(
                f"--backend {text!r}: {op} has no backend {name!r}", hint=f"it has {', '.join(OPS[op].backends)}"
            )
        chosen[op] = name
    return chosen
