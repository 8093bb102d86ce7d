"""Decoded assets as plain files: where each goes, which are there already, which failed."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli import __version__, console
from trellis_cli.errors import SomeFailed, TrellisError, UsageError
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.stage_files import StageGroup
from trellis_cli.io.stamps import is_stamped
from trellis_cli.ledger import Item, Ledger, ledger_row
from trellis_cli.session import in_the_way
from trellis_cli.workers import each

_log = logging.getLogger(__name__)
UNSTAMPED = (".splat",)  # no room for a stamp: decoded again, and the bytes compared


@dataclass(frozen=True, slots=True)
class Source:
    """One asset of an open file."""

    path: Path
    group: StageGroup
    index: int

    @property
    def id(self) -> str:
        return self.group.ids[self.index]

    @property
    def name(self) -> str:
        return self.path.name if len(self.group) == 1 else f"{self.path.name}:{self.index}"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a call came to: the files that are there now, and how many of their assets were made or there before."""

    files: tuple[Path, ...]
    done: int
    kept: int

    @property
    def text(self) -> str:
        if not self.files:
            return "no asset, nothing written"
        folders = {path.parent for path in self.files}
        many = f"{len(self.files)} files" + (f" in {folders.pop()}" if len(folders) == 1 else "")
        where = str(self.files[0]) if len(self.files) == 1 else many
        if not self.done:
            return f"{where}: done already"
        return where + (f" ({self.kept} done already)" if self.kept else "")


@dataclass(frozen=True, slots=True)
class _Job:
    source: Source
    target: Path
    work: str  # digest of everything that decides the file


def names_a_file(out: Path) -> bool:
    """Whether -o names one file; without an extension, or where a folder is, it names a folder."""
    return bool(out.suffix) and not out.is_dir()


def write_files(
    sources: Sequence[Source],
    content: Callable[[Source, str], bytes],
    parameters: Mapping[str, Any],
    inputs: Sequence[Path],
    out: Path | None,
    suffix: str,
    *,
    bad: Sequence[tuple[str, TrellisError]] = (),
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Decoded:
    """Write each asset's file whole, before the next is begun; what is there by the very same work is kept.

    Args:
        content: makes the file of one asset; the second argument is its work, to be stamped into it.
        parameters: all that decides the result beside the latents.
        bad: inputs that could not be opened.
        shard: whose sources these are; each has a ledger of its own.

    Raises:
        UsageError: one name for several assets, or another file in the way. Nothing is decoded then, but for .splat:
            that has no room for a stamp, so what is there is compared with the asset decoded anew.
        TrellisError: the error of the only asset there was.
        SomeFailed: some of several failed; `decode.ledger.jsonl` (or `<out>.ledger.jsonl`) has the reasons.
    """
    single = len(sources) + len(bad) == 1 and shard[1] == 1
    if single and bad:
        raise bad[0][1]
    jobs = _jobs(sources, parameters, out, suffix)
    place = (inputs[0].parent / "decode") if out is None else out
    ledger = Ledger.beside(place, "decode", shard)
    before = ledger.read()
    kept = [] if overwrite else [job for job in jobs if _is_there(job)]
    works = {job.work for job in jobs}
    # Of the rows before, those of the given inputs are written anew; what could not be opened is there by its path.
    of_others = {id_: row for id_, row in before.items() if id_ not in works | {str(path) for path in inputs}}
    failures = {name: ledger_row(name, name, error) for name, error in bad}
    if not (single or overwrite):
        failures |= {id_: row for id_, row in before.items() if id_ in works - {job.work for job in kept}}
    finished = {job.target for job in kept}
    skip = {str(job.target) for job in jobs if job.target in finished or (not retry_failed and job.work in failures)}
    done: list[_Job] = []
    rows = {**of_others, **failures}

    def put(item: Item) -> bool:
        return _put(item.payload.target, content(item.payload.source, item.payload.work), overwrite=overwrite)

    items = [Item(str(job.target), job.source.name, job) for job in jobs]
    with ledger.closing(rows):
        for item, new, error in each(
            items, put, skip=skip, begin=lambda item: rows.pop(item.payload.work, None), what="trellis decode"
        ):
            if error is None:
                (done if new else kept).append(item.payload)
                continue
            if single:
                raise error
            _log.warning("%s: %s", item.name, error.problem)
            rows[item.payload.work] = ledger_row(item.payload.work, item.name, error)
            ledger.write(rows)
    failures = {id_: row for id_, row in rows.items() if id_ not in of_others}
    summary = Decoded(tuple(job.target for job in jobs if job.work not in failures), len(done), len(kept))
    if failures:
        console.note(summary.text)
        raise SomeFailed(
            f"{len(failures)} of {len(jobs) + len(bad)} inputs failed, the first: "
            f"{next(iter(failures.values()))['reason']}",
            hint=ledger.hint,
        )
    return summary


def _jobs(sources: Sequence[Source], parameters: Mapping[str, Any], out: Path | None, suffix: str) -> list[_Job]:
    """Each asset with its file; an asset given twice counts once. Raises UsageError for two assets of one file."""
    if out is not None and names_a_file(out) and len(sources) > 1:
        raise UsageError(
            f"-o {out} names one file for {len(sources)} assets", hint="leave -o out, or name a folder or a .h5"
        )
    jobs: dict[Path, _Job] = {}
    for source in sources:
        job = _Job(source, _target(source, out, suffix), _work(source, parameters))
        if jobs.setdefault(job.target, job).work != job.work:
            raise UsageError(
                f"{source.path} and {jobs[job.target].source.path} would both be written to {job.target}",
                hint="decode them one by one, each with its own -o",
            )
    return list(jobs.values())


def _target(source: Source, out: Path | None, suffix: str) -> Path:
    if out is not None and names_a_file(out):
        return out
    stem = source.path.name.removesuffix(".h5").removesuffix(".slat")
    if len(source.group) == 1:
        return (source.path.parent if out is None else out) / f"{stem}{suffix}"
    return (source.path.with_name(stem) if out is None else out) / f"{source.id}{suffix}"


def _work(source: Source, parameters: Mapping[str, Any]) -> str:
    """By the latents themselves, so that a file split, merged or renamed since changes nothing."""
    asset = source.group.asset(source.index)
    whole = hashlib.sha256(json.dumps([__version__, dict(parameters)], sort_keys=True).encode())
    for name in ("coords", "feats"):
        whole.update(asset[name].tobytes())
    return whole.hexdigest()


def _is_there(job: _Job) -> bool:
    """Whether the file is there already. Raises UsageError for another one in its place."""
    if not job.target.exists() or job.target.suffix.lower() in UNSTAMPED:
        return False
    if job.target.is_file() and is_stamped(job.target.read_bytes(), job.work):
        return True
    raise in_the_way(job.target)


def _put(target: Path, data: bytes, *, overwrite: bool) -> bool:
    """Write the file and say True, or say False where it is there to the byte. Raises UsageError for another one."""
    if target.exists() and not overwrite:
        if target.is_file() and target.read_bytes() == data:
            return False
        raise in_the_way(target)
    write_bytes(target, data)
    return True
