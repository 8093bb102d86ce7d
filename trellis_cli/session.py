"""What every batch command does the same: skip what is done, go on past a bad item, write whole files, keep a ledger.

Each finished item is kept at once in `<out>.parts/` beside the output, as a stage file of its own; a killed command
loses at most the item it was at. When all items are done the parts become the output and their folder goes.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trellis_cli import console, invocation, workers
from trellis_cli.errors import DiskError, FileError, MissingError, SomeFailed, TrellisError, UsageError
from trellis_cli.ledger import Item, Ledger, ledger_row

if TYPE_CHECKING:
    from trellis_cli.io.stage_files import Asset, Provenance, StageGroup

_log = logging.getLogger(__name__)
KEPT_BYTES = 256 << 20  # of each group, while an output is put together


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


def parse_shard(text: str | None) -> tuple[int, int]:
    """`i/n` with 0 <= i < n; None is this task's place in a SLURM array, and outside of one 0/1. Raises UsageError."""
    if text is None:
        return _array_task(os.environ)
    i, slash, n = text.partition("/")
    if not slash or not i.isdecimal() or not n.isdecimal() or not 0 <= int(i) < int(n):
        raise UsageError(f"--shard {text!r} is not i/n with 0 <= i < n", hint="for example --shard 0/8 to 7/8")
    return int(i), int(n)


def _array_task(environment: Mapping[str, str]) -> tuple[int, int]:
    """The shard of a task of a SLURM array 0-<n - 1>; (0, 1) outside of an array.

    An array of other numbers, as when a few tasks are submitted again, does not say how many shards there are: guessing
    would do another part of the work, and no one would notice. Raises UsageError.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return 0, 1
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT")
    try:
        task, low, high, count = (int(environment[name]) for name in names)
    except (KeyError, ValueError):
        task, low, high, count = -1, -1, -1, -1
    if low != 0 or high != count - 1 or not 0 <= task < count:
        raise UsageError(
            "this task's SLURM array is not 0-<n - 1>, so its shard is not known",
            hint="pass --shard $SLURM_ARRAY_TASK_ID/<n>, n as in the whole array",
        )
    return task, count


def in_shard(id_: str, shard: tuple[int, int]) -> bool:
    """Whether an id belongs to this shard: by a stable hash of the id, whatever else is in the set."""
    return int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) % shard[1] == shard[0]


class _Lazy(Sequence["dict[str, Any]"]):
    """The assets of one group: some in parts, files of one asset each, the others at a place in the old output."""

    def __init__(self, sources: "Sequence[Path | int]", name: str, old: "StageGroup | None") -> None:
        self.sources, self.name, self.old = sources, name, old
        self._read: dict[int, dict[str, Any]] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> "dict[str, Any]":  # type: ignore[override]
        from trellis_cli.io.stage_files import open_stage

        if index in self._read:
            return self._read[index]
        source = self.sources[index]
        if isinstance(source, int):
            assert self.old is not None
            asset = self.old.asset(source)
        else:
            with open_stage(source) as file:
                asset = file.group(self.name).asset(0)
        self._room -= sum(a.nbytes for a in asset.values())
        if self._room > 0:  # writing takes two visits, and opening a part costs more than reading it
            self._read[index] = asset
        return asset


def run_batch(
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
) -> Summary:
    """Do the work for every item and write one stage file, its assets sorted by id or, `in_order`, as the items come.

    Args:
        work: makes, for one item, one asset for each group of `attrs`.
        attrs: the groups to write, each with its attributes.
        bad_inputs: inputs that failed before they had an id: (name, error); they count as failed.

    Raises:
        TrellisError: the error of the only input there was, as it came.
        SomeFailed: some of several failed; the output holds the others, `<out>.ledger.jsonl` the reasons.
        UsageError: another file is in the way, or `out` is no .h5.
    """
    if out.suffix.lower() != ".h5":
        raise UsageError(f"-o {out}: a stage file is a .h5", hint=f"for example -o {out.with_suffix('.h5').name}")
    items = list({item.id: item for item in items}.values())
    single = len(items) + len(bad_inputs) == 1
    if single and bad_inputs:
        raise bad_inputs[0][1]
    ids = {item.id for item in items}
    key = _key(_work(provenance.attributes(), ids))
    folder = out.with_name(out.name + ".parts") / key
    ledger = Ledger(out.with_name(out.name + ".ledger.jsonl"), key)
    failed_before = {} if overwrite else ledger.read()
    failures = {} if single else {k: v for k, v in failed_before.items() if k in ids}
    left_out = set() if retry_failed else set(failures)
    for name, error in bad_inputs:
        failures[name] = ledger_row(name, name, error)
    kept = None if overwrite else _finished(out, provenance, attrs, ids, set(failed_before))
    for id_ in kept or ():
        failures.pop(id_, None)
    todo = [i for i in items if i.id not in (kept or ()) and i.id not in left_out]
    if kept is not None and not todo:
        ledger.write(failures)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed just before its end
        _remove_empty(folder)
        return _close(Summary(out, 0, len(kept), len(failures)), ledger)
    done = set(kept or ())

    def keep(item: Item) -> None:
        """Work on one item, unless its part is there."""
        part = folder / f"{item.id}.h5"
        if not _readable(part, attrs):
            _write_part(part, work(item), provenance, attrs)

    if invocation.role():
        workers.serve(todo, keep, lambda item, error: ledger_row(item.id, item.name, error))
    with ledger.closing(failures):

        def begin(item: Item) -> None:
            failures.pop(item.id, None)

        for item, row in _worked(todo, begin, keep, single=single, what=f"trellis {provenance.command}", folder=folder):
            failures.pop(item.id, None)
            if row is None:
                done.add(item.id)
            else:
                _log.warning("%s: %s", item.name, row["reason"])
                failures[item.id] = row
    if not done and failures:
        _remove_empty(folder)
        raise SomeFailed(
            f"all {len(failures)} inputs failed, the first: {next(iter(failures.values()))['reason']}",
            hint=ledger.hint,
        )
    order = [i.id for i in items if i.id in done] if in_order else sorted(done)
    _assemble(out, order, kept or set(), folder, provenance, attrs)
    shutil.rmtree(folder.parent, ignore_errors=True)
    kept_count = len(kept or ())
    return _close(Summary(out, len(done) - kept_count, kept_count, len(failures)), ledger)


def _worked(
    todo: Sequence[Item],
    begin: Callable[[Item], None],
    keep: Callable[[Item], None],
    *,
    single: bool,
    what: str,
    folder: Path,
) -> "Iterator[tuple[Item, dict[str, str] | None]]":
    """Each item with None once it is kept, or with what the ledger says of it. Raises what is no fault of one item."""
    if workers.asked().apart:
        yield from console.track(workers.work_apart(todo), total=len(todo), what=what)
        return
    for item in console.track(todo, total=len(todo), what=what):
        begin(item)
        try:
            keep(item)
        except TrellisError as error:
            if single or isinstance(error, UsageError | MissingError | DiskError):
                _remove_empty(folder)
                raise
            yield item, ledger_row(item.id, item.name, error)
        else:
            yield item, None


def in_the_way(path: Path) -> UsageError:
    """The error for an output that other work left where this one is to be written."""
    return UsageError(
        f"{path} exists and was not made by this very command",
        hint="pass --overwrite to replace it, or choose another -o",
    )


def _close(summary: Summary, ledger: Ledger) -> Summary:
    if summary.failed:
        console.note(summary.text)
        raise SomeFailed(
            f"{summary.failed} of {summary.failed + summary.done + summary.kept} inputs failed",
            hint=ledger.hint,
        )
    return summary


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


def _write_part(part: Path, assets: "Mapping[str, Asset]", provenance: "Provenance", attrs: Mapping[str, Any]) -> None:
    """Without the parameters: with a long list of prompts in each, the parts would fill a disk."""
    from trellis_cli.io.stage_files import Provenance, write_stage

    short = Provenance(provenance.command, {}, seed=provenance.seed)
    write_stage(part, {name: ([assets[name]], attrs[name]) for name in attrs}, short)


def _readable(part: Path, attrs: Mapping[str, Any]) -> bool:
    from trellis_cli.io.stage_files import open_stage

    if not part.exists():
        return False
    try:
        with open_stage(part) as file:
            return all(len(file.group(name)) == 1 for name in attrs)
    except FileError:
        return False


def _assemble(
    out: Path,
    order: Sequence[str],
    kept: set[str],
    folder: Path,
    provenance: "Provenance",
    attrs: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the output anew from what it holds already and the parts of all else; until it is whole, nothing goes."""
    from trellis_cli.io.stage_files import open_stage, write_stage

    with ExitStack() as stack:
        old: dict[str, StageGroup] = {}
        if kept:
            file = stack.enter_context(open_stage(out))
            old = {name: file.group(name) for name in attrs}
        groups = {}
        for name in attrs:
            places = {id_: k for k, id_ in enumerate(old[name].ids)} if kept else {}
            sources = [places[i] if i in kept else folder / f"{i}.h5" for i in order]
            groups[name] = (_Lazy(sources, name, old.get(name)), attrs[name])
        write_stage(out, groups, provenance)


def _remove_empty(folder: Path) -> None:
    for path in (folder, folder.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def iter_groups(paths: Sequence[Path], group: str) -> "Iterator[tuple[Path, int, Any]]":
    """Every asset of `group` in the given stage files: (path, index, group)."""
    from trellis_cli.io.stage_files import open_stage

    for path in paths:
        with open_stage(path) as file:
            opened = file.group(group)
            for index in range(len(opened)):
                yield path, index, opened


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
