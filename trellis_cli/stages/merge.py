"""Stage files of one work put together, as shards leave them: to the bytes of the same work done in one go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.inputs import gather
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import Asset, Provenance, StageFile, open_stage, write_stage
from trellis_cli.session import Summary, in_the_way
from trellis_cli.stages.prompts import asset_ids

OWN = ("command", "inputs", "parameters")  # root attributes that tell of a shard's own items too
Place = tuple[Path, int]


def merge(inputs: Sequence[Path], out: Path, *, overwrite: bool = False) -> Summary:
    """Write one stage file with every asset of the inputs, an asset that several hold once.

    Ids are sorted, those of samples by the lines of their prompts, as the command itself would have written them.

    Raises:
        UsageError: the inputs are of different work, or another file is in the way.
        FileError: an input is no stage file, or does not say what made it.
    """
    if out.suffix.lower() != ".h5":
        raise UsageError(f"-o {out}: a stage file is a .h5", hint=f"for example -o {out.with_suffix('.h5').name}")
    inputs = gather(inputs, (".h5",), what="a stage file")
    first, rest = inputs[0], inputs[1:]
    with open_stage(first) as file:
        attributes, names = dict(file.attrs), list(file.groups)
        attrs = {name: file.group(name).attrs for name in names}
    parameters, files = own_parameters(attributes, first)
    if "sources" in parameters:
        raise UsageError(f"{first} holds edits, which are not merged", hint="edit all sources with one command")
    places: dict[str, Place] = {}
    for path in inputs:
        with open_stage(path) as file:
            if path in rest:
                _check_alike(file, first, attributes, attrs)
            more, its = own_parameters(file.attrs, path)
            parameters, files = _together(parameters, more), files | its
            for index, id_ in enumerate(file.group(names[0]).ids):
                places.setdefault(id_, (path, index))
    provenance = Provenance(
        command_of(attributes), parameters, seed=int(attributes["seed"]), inputs=sorted(files),
        model=json.loads(attributes["model"]), history=json.loads(attributes.get("history", "[]")),
    )  # fmt: skip
    return write_together(out, places, _order(places, provenance), attrs, provenance, overwrite=overwrite)


def write_together(
    out: Path,
    places: Mapping[str, Place],
    order: Sequence[str],
    attrs: Mapping[str, Mapping[str, Any]],
    provenance: Provenance,
    *,
    overwrite: bool = False,
) -> Summary:
    """Write the assets at these places, in this order, as one stage file of the groups of `attrs`.

    Raises:
        UsageError: another file is in the way.
        FileError: a file of `places` cannot be read.
        DiskError: the disk is full.
    """
    if out.exists() and not overwrite:
        if _holds(out, provenance, next(iter(attrs)), order):
            return Summary(out, 0, len(order), 0)
        raise in_the_way(out)
    with OpenStages() as opened:
        assets = [places[id_] for id_ in order]
        write_stage(out, {name: (_Assets(opened, assets, name), each) for name, each in attrs.items()}, provenance)
    return Summary(out, len(order), 0, 0)


class _Assets(Sequence[Asset]):
    """The assets of one group at their places, read when asked for."""

    def __init__(self, opened: OpenStages, places: Sequence[Place], name: str) -> None:
        self.opened, self.places, self.name = opened, places, name

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Asset:  # type: ignore[override]
        path, place = self.places[index]
        return self.opened.group(path, self.name).asset(place)


def own_parameters(attributes: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Parameters and inputs of a file. Raises FileError where they are none."""
    try:
        inputs = json.loads(attributes["inputs"])
        return dict(json.loads(attributes["parameters"])), {(str(digest), str(name)) for digest, name in inputs}
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(f"{path}: its root attributes do not say what made it", hint="make it anew") from error


def command_of(attributes: Mapping[str, Any]) -> str:
    """The command that made a file, by the name that it is called by."""
    return str(attributes["command"]).split()[1]


def _together(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of both: a shard lists every prompt, but has read the files of its own alone."""
    if "prompts" not in a:
        return dict(a)
    prompts: dict[int, dict[str, Any]] = {}
    for entry in (*a["prompts"], *b.get("prompts", ())):
        prompts[entry["line"]] = {**prompts.get(entry["line"], {}), **entry}
    return {**a, "prompts": [prompts[line] for line in sorted(prompts)]}


def _check_alike(file: StageFile, first: Path, attributes: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
    """Raises UsageError where a file is of other work than the first."""
    here, there = ({k: v for k, v in a.items() if k not in OWN} for a in (file.attrs, attributes))
    for each, whole in ((here, file.attrs), (there, attributes)):
        each["command"] = command_of(whole)
        each["parameters"] = {k: v for k, v in json.loads(whole["parameters"]).items() if k != "prompts"}
    here["groups"], there["groups"] = {name: file.group(name).attrs for name in file.groups}, dict(attrs)
    different = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    if different:
        key = different[0]
        raise UsageError(
            f"{file.path} is of other work than {first}: {key} is {here.get(key)!r}, not {there.get(key)!r}",
            hint="merge shards of one command",
        )


def _order(places: Mapping[str, Place], provenance: Provenance) -> list[str]:
    if "prompts" not in provenance.parameters:
        return sorted(places)
    digest = str(provenance.model.get("digest", ""))
    return [id_ for _, _, id_ in asset_ids(provenance.parameters, digest, provenance.seed) if id_ in places]


def _holds(out: Path, provenance: Provenance, name: str, order: Sequence[str]) -> bool:
    """Whether a file is this very result."""
    try:
        with open_stage(out) as file:
            wanted = provenance.attributes()
            return {k: file.attrs.get(k) for k in wanted} == wanted and file.group(name).ids == list(order)
    except FileError:
        return False
