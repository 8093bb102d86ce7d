"""What of a folder's stage files is damaged, or was made of inputs that have changed since."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trellis_cli import console
from trellis_cli.errors import FileError, SomeFailed, TrellisError
from trellis_cli.io.digests import source_digest
from trellis_cli.io.inputs import unfinished
from trellis_cli.io.stage_files import open_stage
from trellis_cli.stages.merge import command_of, own_parameters


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that is not as it should be. state: damaged, stale or unfinished."""

    file: str
    state: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """files: how many were looked at; unproven: of these, older ones that do not say what was written."""

    folder: str
    files: int
    assets: int
    unproven: int
    findings: tuple[Finding, ...] = field(default=())

    @property
    def text(self) -> str:
        lines = []
        if self.findings:
            lines.append(
                console.table([["file", "state", "reason"], *([f.file, f.state, f.reason] for f in self.findings)])
            )
        said = f"{self.folder}: {self.files} stage files, {self.assets} assets, {len(self.findings)} findings"
        return "\n".join(
            [*lines, said + (f"; {self.unproven} files say no digest of their content" * bool(self.unproven))]
        )


def verify(folder: Path) -> Verdict:
    """Read every stage file below a folder whole and hold it to its schema, its digests and its inputs there.

    Of a single file, that one is read, and its inputs are looked for beside it and below. An input that is not there
    under its name cannot be judged, and is not.

    Raises:
        FileError: no such folder.
    """
    one = folder if folder.is_file() else None
    folder = folder.parent if one else folder
    if not folder.is_dir():
        raise FileError(f"{folder}: no such folder", hint="give the folder that holds the stage files, or one of them")
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not unfinished(p))
    files = [one] if one else [p for p in paths if p.suffix.lower() == ".h5"]
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.name, []).append(path)
    digests: dict[Path, str] = {}
    findings, assets, unproven = [], 0, 0
    for path in console.track(files, total=len(files), what="trellis verify"):
        name = path.relative_to(folder).as_posix()
        try:
            held, proven, inputs, reads = _read(path)
        except TrellisError as error:
            findings.append(Finding(name, "damaged", error.problem, error.hint))
            continue
        assets, unproven = assets + held, unproven + (not proven)
        findings += [
            Finding(name, "stale", f"made of another {other} than is there now", f"write {path.name} anew")
            for other in _changed(inputs, {n: [p for p in by_name.get(n, ()) if reads(p)] for _, n in inputs}, digests)
        ]
    stopped = [] if one else [p for p in folder.rglob("*.h5") if unfinished(p)]
    left = sorted({p.parent for p in stopped})
    findings += [
        Finding(p.relative_to(folder).as_posix(), "unfinished", "parts of a run that was stopped", "run it again")
        for p in left
    ]
    return Verdict(str(folder), len(files), assets, unproven, tuple(findings))


def complain(verdict: Verdict, *, as_json: bool = False) -> None:
    """Print a verdict. Raises SomeFailed where something is damaged or stale."""
    console.result(verdict.text, asdict(verdict), as_json=as_json)
    bad = [f for f in verdict.findings if f.state != "unfinished"]
    if bad:
        raise SomeFailed(f"{bad[0].file} is {bad[0].state}: {bad[0].reason}", hint=bad[0].hint)


def _changed(
    inputs: Sequence[tuple[str, str]], there: Mapping[str, Sequence[Path]], digests: dict[Path, str]
) -> list[str]:
    """Names of inputs that are there with another content. Of one that is gone only files of its name may be left, of
    other stages: where fewer are there than were read, none can be judged."""
    found = []
    for name in sorted({name for _, name in inputs}):
        read = [digest for digest, other in inputs if other == name]
        if len(there[name]) >= len(read):
            found += [name for digest in read if digest not in _digests(there[name], digests)]
    return found


def _may_read(command: str, groups: Sequence[str]) -> Callable[[Path], bool]:
    """Whether a file may be an input of a command that wrote these groups; of a stage file its groups tell."""
    wanted = {"featurize": {"voxels", "views"}, "encode": {"features"} if "slat" in groups else {"voxels"}}.get(command)

    def may(path: Path) -> bool:
        if wanted is None or path.suffix.lower() != ".h5":
            return True
        try:
            with open_stage(path) as file:
                return not wanted.isdisjoint(file.groups)
        except FileError:  # damaged: it may have been one
            return True

    return may


def _read(path: Path) -> tuple[int, bool, Sequence[tuple[str, str]], Callable[[Path], bool]]:
    """Assets, whether their content is proven, inputs, and what may be one of these. Raises FileError, SchemaError."""
    with open_stage(path) as file:
        groups = [file.group(name) for name in file.groups]
        for group in groups:
            if group.damaged():
                raise FileError(f"/{group.spec.name} is not what was written", hint=f"write {path.name} anew")
        inputs = own_parameters(file.attrs, path)[1]
        reads = _may_read(command_of(file.attrs), file.groups)
        return len(groups[0]) if groups else 0, all(group.proven for group in groups), sorted(inputs), reads


def _digests(paths: Sequence[Path], known: dict[Path, str]) -> set[str]:
    for path in paths:
        if path not in known:
            known[path] = source_digest(path)
    return {known[path] for path in paths}
