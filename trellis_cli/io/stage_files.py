"""Stage files: HDF5 read with suspicion and written whole. The layout is io/schema.py's; this module only obeys it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trellis_cli import __version__
from trellis_cli.errors import FileError, SchemaError, first_line
from trellis_cli.io.aside import aside
from trellis_cli.io.canonical_command import canonical_command
from trellis_cli.io.checks import check_group, check_layout, content_digest, dataset_of, group_of
from trellis_cli.io.hdf5_file import Hdf5File
from trellis_cli.io.schema import AXES, CONTENT, FORMAT, FORMAT_VERSION, GROUPS, Group

Asset = dict[str, np.ndarray]  # scalars are 0-d


@dataclass(frozen=True)
class Provenance:
    """What made a file. Nothing that cannot change the result (paths, workers, device, clock, host) may enter."""

    command: str
    parameters: Mapping[str, Any]
    seed: int = 0
    inputs: Sequence[tuple[str, str]] = ()
    model: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()  # of the inputs; see io.history

    def attributes(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "program_version": __version__,
            "command": canonical_command(self.command, self.parameters, seed=self.seed, inputs=self.inputs),
            "seed": self.seed,
            "parameters": json.dumps(dict(self.parameters), sort_keys=True, default=str),
            "inputs": json.dumps(sorted(self.inputs)),
            "model": json.dumps(dict(self.model), sort_keys=True),
            "axes": AXES,
            **({"history": json.dumps(list(self.history), sort_keys=True)} if self.history else {}),
        }


class StageGroup:
    """One checked group of an open stage file; slices out single assets."""

    def __init__(self, h5: h5py.Group, spec: Group, path: Path) -> None:
        self.spec, self.path, self._first = spec, path, h5
        self.reopen: Callable[[], h5py.Group] | None = None  # gives the handle to read from; see OpenStages
        self.ids = [i.decode() for i in dataset_of(h5, "ids")[:]]
        self.attrs = {k: _plain(h5.attrs[k]) for k in spec.attrs}
        self._starts = {
            axis: np.concatenate([[0], np.cumsum(dataset_of(h5, name)[:])])
            for axis, name in spec.packed.items()
            if name in h5
        }

    @property
    def _h5(self) -> h5py.Group:
        return self._first if self.reopen is None else self.reopen()

    def __len__(self) -> int:
        return len(self.ids)

    def length(self, index: int) -> int:
        """`lengths` of one asset, which the group keeps in memory."""
        starts = next(self._starts[axis] for axis, name in self.spec.packed.items() if name == "lengths")
        return int(starts[index + 1] - starts[index])

    @property
    def lengths(self) -> np.ndarray:
        with _reading(self.path):
            return dataset_of(self._h5, "lengths")[:]

    @property
    def proven(self) -> bool:
        """Whether the file says the digest of its content; files from before such digests do not."""
        return CONTENT in self._h5.attrs

    def damaged(self) -> bool:
        """Whether anything differs from what was written, as far as the file says what that was: see `proven`.

        Raises FileError for what cannot be read at all.
        """
        with _reading(self.path):
            found, said = content_digest(self._h5, self.spec), self._h5.attrs.get(CONTENT)
        return said is not None and str(said) != found

    def datasets(self) -> list[tuple[str, h5py.Dataset]]:
        """Name and dataset of every field that is there, in the schema's order."""
        h5 = self._h5
        return [(name, dataset_of(h5, name)) for name in self.spec.fields if name in h5]

    def asset(self, index: int) -> Asset:
        """Everything of one asset; offsets into packed bytes start at 0 again."""
        with _reading(self.path):
            return self._asset(index)

    def _asset(self, index: int) -> Asset:
        out: Asset = {}
        for name, data in self.datasets():
            axis = self.spec.fields[name].shape[0]
            if axis == "b":
                out[name] = np.asarray(data[index])
            else:
                plus = 1 if str(axis).endswith("+1") else 0
                starts = self._starts[str(axis).removesuffix("+1")]
                out[name] = data[starts[index] : starts[index + 1] + plus]
                if plus:
                    out[name] = out[name] - out[name][0]
        return out

    def cameras(self, index: int) -> Asset:
        """The extrinsics and intrinsics of one asset's views."""
        with _reading(self.path):
            start, end = (int(self._starts["v"][i]) for i in (index, index + 1))
            return {name: dataset_of(self._h5, name)[start:end] for name in ("extrinsics", "intrinsics")}

    def views(self, index: int, rows: Sequence[int] | None = None, *, surfaces: bool = True) -> Asset:
        """Some of one asset's views, as an asset of /views that has no others; nothing else is read.

        surfaces: with depth and normals, where they are there.
        """
        with _reading(self.path):
            h5 = self._h5
            start, end = (int(self._starts["v"][i]) for i in (index, index + 1))
            chosen = list(range(end - start)) if rows is None else list(rows)
            images, ends = dataset_of(h5, "images"), dataset_of(h5, "image_offsets")[start : end + 1]
            pictures = [images[ends[v] : ends[v + 1]] for v in chosen]
            out: Asset = {"lengths": np.asarray(len(chosen)), "image_offsets": np.cumsum([0, *map(len, pictures)])}
            out["images"] = np.concatenate([np.zeros(0, np.uint8), *pictures])
            for name in ("extrinsics", "intrinsics", *(("depth", "normal") if surfaces else ())):
                if name in h5:
                    data = dataset_of(h5, name)
                    out[name] = np.stack([data[start + v] for v in chosen]) if chosen else data[:0]
            return out


class StageFile:
    """An open stage file: its root attributes and its checked groups."""

    def __init__(self, h5: h5py.File, path: Path) -> None:
        self.path, self._h5 = path, h5
        self.attrs = {k: _plain(v) for k, v in h5.attrs.items()}
        self.groups = [name for name in GROUPS if name in h5]

    def group(self, name: str, *, values: bool = True) -> StageGroup:
        """A group, checked. Without `values` only names, types and sizes are, not every number: see `check_asset`."""
        spec = GROUPS[name]
        if name not in self._h5:
            held = ", ".join(f"/{g}" for g in self.groups) or "no stage"
            raise SchemaError(f"{self.path} has no /{name}, it holds {held}", hint=f"write it with `{spec.command}`")
        with _reading(self.path):
            h5 = group_of(self._h5, name, self.path)
            check_group(h5, spec, self.path, values=values)
            return StageGroup(h5, spec, self.path)

    def raw(self, name: str) -> h5py.Group:
        """A group's handle, for a StageGroup that was made of the same file before."""
        return group_of(self._h5, name, self.path)


@contextmanager
def open_stage(path: Path) -> Iterator[StageFile]:
    """Open a stage file for reading.

    Raises:
        FileError: no such file, not HDF5, not ours, truncated, or with links that leave the file.
        SchemaError: of a newer format version.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file", hint="check the path")
    try:
        with path.open("rb"):
            pass
    except OSError as error:  # is_hdf5 would say no, whatever it is
        raise FileError(f"{path} could not be read: {error.strerror}", hint="look after its permissions") from error
    if not h5py.is_hdf5(path):
        raise FileError(
            f"{path} is not a stage file (HDF5)", hint=f"look at meshes and pictures with `trellis view {path}`"
        )
    try:
        h5 = h5py.File(path, "r")
    except OSError as error:
        raise FileError(f"{path} is damaged: {first_line(error)}", hint="write it anew with --overwrite") from error
    with h5:
        with _reading(path):
            _check_layout(h5, path)
            file = StageFile(h5, path)
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Around every read, and nothing else: what h5py or the system says of data that cannot be read, as a FileError.

    Reads happen within the block of `aside` too, where an OSError would be taken for one of the file written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            why = os.strerror(error.errno)
            raise FileError(f"{path} could not be read: {why}", hint="look after the disk it lies on") from error
        raise FileError(f"{path} is damaged: {first_line(error)}", hint="write it anew with --overwrite") from error


def _check_layout(h5: h5py.File, path: Path) -> None:
    try:
        check_layout(h5, path)
    except (KeyError, TypeError, ValueError) as error:  # objects that h5py can list but not open
        raise FileError(f"{path} is damaged: {first_line(error)}", hint="write it anew with --overwrite") from error


def write_stage(
    path: Path,
    groups: Mapping[str, tuple[Sequence[Asset], Mapping[str, Any]]],
    provenance: Provenance,
) -> None:
    """Write a stage file: aside, flushed, checked against the schema, renamed.

    Args:
        groups: for each group its assets (without `ids` a KeyError) and its attributes. Assets are visited twice, so a
            sequence, lazy or not.
    Raises:
        DiskError: the disk is full or the folder cannot be written.
    """
    with aside(path) as part, Hdf5File(part) as file:
        with h5py.File(file, "w", libver=("v110", "v110")) as h5:
            h5.attrs.update(provenance.attributes())
            for name, (assets, attrs) in groups.items():
                _write_group(h5.create_group(name), GROUPS[name], assets, attrs, file)
            h5.flush()
            file.check()  # before anything is read back
            for name in groups:
                written = group_of(h5, name, path)
                check_group(written, GROUPS[name], path)
                written.attrs[CONTENT] = content_digest(written, GROUPS[name])
        file.check()


def _write_group(
    h5: h5py.Group, spec: Group, assets: Sequence[Asset] | Iterator[Asset], attrs: Mapping[str, Any], file: Hdf5File
) -> None:
    h5.attrs.update({"version": spec.version, "command": spec.command.split("`")[0], **attrs})
    sizes: dict[str, int] = {"b": 0}
    first: Asset | None = None
    for asset in assets:
        first = first if first is not None else asset
        sizes["b"] += 1
        for axis, name in spec.packed.items():
            sizes[axis] = sizes.get(axis, 0) + int(asset[name])
    for axis in spec.packed:
        sizes.setdefault(axis, 0)
    at = dict.fromkeys([*spec.packed, "b"], 0)
    data = {name: _create(h5, name, spec, first, sizes) for name in spec.fields if first is None or name in first}
    data = {k: v for k, v in data.items() if v is not None}
    byte_base = 0
    for asset in assets:
        file.check()
        steps = {axis: int(asset[name]) for axis, name in spec.packed.items()} | {"b": 1}
        for name, dataset in data.items():
            axis = str(spec.fields[name].shape[0])
            if axis.endswith("+1"):
                start = at[axis[:-2]]
                dataset[start : start + steps[axis[:-2]] + 1] = asset[name] + byte_base
            elif steps[axis]:
                dataset[at[axis] : at[axis] + steps[axis]] = (
                    asset[name] if axis != "b" else np.asarray(asset[name])[None]
                )
        byte_base += steps.get("m", 0)
        for axis, step in steps.items():
            at[axis] += step


def _create(h5: h5py.Group, name: str, spec: Group, first: Asset | None, sizes: dict[str, int]) -> h5py.Dataset | None:
    field_ = spec.fields[name]
    if first is None and field_.optional:
        return None
    axis = str(field_.shape[0])
    lead = sizes[axis[:-2]] + 1 if axis.endswith("+1") else sizes[axis]
    if first is not None:
        rest = np.shape(first[name])[(0 if axis == "b" else 1) :]
    else:
        rest = tuple(s if isinstance(s, int) else 0 for s in field_.shape[1:])
    shape = (lead, *rest)
    packable = lead and field_.compressed and int(np.prod(shape)) > 4096
    row = max(int(np.prod(rest, dtype=np.int64)), 1)
    chunks = (min(lead, max(1, 65536 // row)), *rest) if packable else None
    extra = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if packable else {}
    return h5.create_dataset(name, shape, field_.dtype, chunks=chunks, **extra)


def with_ids(id_: str, **arrays: Any) -> Asset:
    """An asset from its id and arrays; `ids` in the dtype of the file."""
    return {"ids": np.asarray(np.bytes_(id_)), **{k: np.asarray(v) for k, v in arrays.items()}}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
