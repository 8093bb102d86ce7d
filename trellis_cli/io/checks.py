"""What a foreign HDF5 file must satisfy before anything of it is read into memory."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import h5py
import numpy as np

from trellis_cli.errors import FileError, SchemaError
from trellis_cli.io.schema import FORMAT, FORMAT_VERSION, Field, Group

GZIP_LIMIT = 1100  # deflate cannot expand by more than about 1032
DIGEST_BYTES = 16 << 20  # and hashed in slices of about so many bytes
CHECK_ROWS = 1 << 20  # values are checked in slices of at most this many rows


def group_of(h5: h5py.File, name: str, path: Path) -> h5py.Group:
    """The group of a stage that the file names. Raises SchemaError where that is something else."""
    found = h5[name]
    if not isinstance(found, h5py.Group):
        raise SchemaError(f"{path}: /{name} is no group", hint="the file is damaged or of another kind")
    return found


def dataset_of(h5: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset of a group that `check_group` has found to have it."""
    found = h5[name]
    assert isinstance(found, h5py.Dataset), f"{h5.name}/{name} is no dataset"
    return found


def _names(h5: h5py.Group) -> list[str]:
    return [str(name) for name in h5]


def check_layout(h5: h5py.File, path: Path) -> None:
    """Refuse files that are not ours, newer than us, or that reach outside themselves."""
    if h5.userblock_size:
        raise FileError(f"{path} begins with a user block of {h5.userblock_size} bytes", hint="stage files have none")
    found = h5.attrs.get("format")
    if not isinstance(found, str) or found != FORMAT:
        raise FileError(
            f"{path} is HDF5 but not a stage file: its attribute 'format' is {found!r}",
            hint=f"stage files say {FORMAT!r}",
        )
    version = h5.attrs.get("version", 0)
    if not isinstance(version, np.integer | int) or int(version) != FORMAT_VERSION:
        raise SchemaError(
            f"{path} is format {version}, this program reads {FORMAT_VERSION}",
            hint="install a newer trellis-slat, or write the file anew",
        )
    for name in _names(h5):
        _check_links(h5, name, path, depth=0)


def _check_links(parent: h5py.Group, name: str, path: Path, *, depth: int) -> None:
    link = parent.get(name, getlink=True)
    where = f"{path}: {str(parent.name).rstrip('/')}/{name}"
    if not isinstance(link, h5py.HardLink):
        raise FileError(
            f"{where} is a {type(link).__name__}, which may lead anywhere", hint="stage files hold their own data only"
        )
    node = parent[name]
    if isinstance(node, h5py.Group):
        if depth:
            raise FileError(f"{where} is a group within a group", hint="a stage is one flat group")
        for child in _names(node):
            _check_links(node, child, path, depth=depth + 1)
    elif isinstance(node, h5py.Dataset):
        if node.is_virtual or node.external:
            raise FileError(f"{where} keeps its data in other files", hint="stage files hold their own data only")
        stored = node.id.get_storage_size()
        if node.nbytes > max(stored, 1) * GZIP_LIMIT + 65536:
            raise FileError(
                f"{where} claims {node.nbytes} bytes but stores {stored}", hint="the file is damaged or forged"
            )


def check_group(h5: h5py.Group, spec: Group, path: Path, *, values: bool = True) -> None:
    """Version, names, dtypes, shapes, lengths that add up; with `values` numbers too. Raises SchemaError."""
    again = f"write it anew with `{spec.command} --overwrite`"
    version = h5.attrs.get("version", 0)
    if not isinstance(version, np.integer | int) or int(version) != spec.version:
        raise SchemaError(f"{path}: /{spec.name} is format {version}, this program reads {spec.version}", hint=again)
    for name, kind in spec.attrs.items():
        value = h5.attrs.get(name)
        if not isinstance(value, np.integer | int if kind is int else kind):
            raise SchemaError(f"{path}: /{spec.name} lacks the attribute {name!r} ({kind.__name__})", hint=again)
    sizes: dict[str, int] = {}
    for name, field in spec.fields.items():
        where = f"{path}: /{spec.name}/{name}"
        if name not in h5:
            if field.optional:
                continue
            raise SchemaError(f"{where} is missing", hint=again)
        data = h5[name]
        if not isinstance(data, h5py.Dataset) or data.dtype != field.dtype or not _fits(data.shape, field, sizes):
            wanted = f"{field.dtype} {_named(field.shape)}"
            found = f"{data.dtype} {data.shape}" if isinstance(data, h5py.Dataset) else "a group"
            raise SchemaError(f"{where} is {found}, expected {wanted}", hint=again)
    for axis, name in spec.packed.items():
        if name in h5 and (total := int(dataset_of(h5, name)[:].sum())) != sizes.get(axis, total):
            raise SchemaError(f"{path}: /{spec.name}/{name} add up to {total}, but there are {sizes[axis]}", hint=again)
    resolution = int(cast(int, h5.attrs["resolution"])) if "resolution" in spec.attrs else None
    for name, field in spec.fields.items():
        if name in h5 and values:
            limit = resolution if name == "coords" else None
            _check_values(dataset_of(h5, name), field, f"{path}: /{spec.name}/{name}", limit)
    if "faces" in spec.fields and values:
        _check_faces(h5, path, again)
    if "image_offsets" in spec.fields:
        offsets = dataset_of(h5, "image_offsets")[:]
        if (np.diff(offsets) < 0).any() or int(offsets[0]) != 0 or int(offsets[-1]) != sizes["m"]:
            raise SchemaError(
                f"{path}: /{spec.name}/image_offsets do not cover the {sizes['m']} bytes of images", hint=again
            )


def content_digest(h5: h5py.Group, spec: Group) -> str:
    """sha256 over every dataset of a group in the schema's order: name, type, shape and little-endian values."""
    whole = hashlib.sha256()
    for name in spec.fields:
        if name in h5:
            data = dataset_of(h5, name)
            whole.update(f"{name} {data.dtype.str} {data.shape}\0".encode())
            rows = max(1, DIGEST_BYTES * len(data) // max(data.nbytes, 1))
            for start in range(0, len(data), rows):
                whole.update(np.ascontiguousarray(data[start : start + rows]).tobytes())
    return whole.hexdigest()


def _check_faces(h5: h5py.Group, path: Path, again: str) -> None:
    """Every face must name vertices of its own asset."""
    start, data = 0, dataset_of(h5, "faces")
    for vertices, faces in zip(dataset_of(h5, "lengths")[:], dataset_of(h5, "face_lengths")[:], strict=True):
        if faces and (last := int(data[start : start + faces].max())) >= vertices:
            raise SchemaError(f"{path}: {h5.name}/faces name vertex {last} of {vertices}", hint=again)
        start += faces


def check_asset(asset: Mapping[str, np.ndarray], spec: Group, resolution: int | None, where: str) -> None:
    """Numbers of one asset that was read from a group checked without its values. Raises SchemaError."""
    for name, field in spec.fields.items():
        if name in asset:
            _check_values(
                np.atleast_1d(asset[name]), field, f"{where}/{name}", resolution if name == "coords" else None
            )


def _check_values(data: h5py.Dataset | np.ndarray, field: Field, where: str, resolution: int | None) -> None:
    low, high = field.bounds or (-np.inf, np.inf)
    high = min(high, resolution - 1) if resolution is not None else high
    floats = data.dtype.kind == "f"
    if not floats and field.bounds is None:
        return
    for start in range(0, len(data), CHECK_ROWS):
        block = data[start : start + CHECK_ROWS]
        if not block.size:
            continue
        if floats and not np.isfinite(block).all():
            raise SchemaError(
                f"{where} holds numbers that are not finite", hint="the stage that wrote it went wrong; write it anew"
            )
        if block.min() < low or block.max() > high:
            raise SchemaError(
                f"{where} holds values in [{block.min()}, {block.max()}], allowed are [{low:g}, {high:g}]",
                hint="the file is damaged or of another kind",
            )


def _fits(shape: tuple[int, ...], field: Field, sizes: dict[str, int]) -> bool:
    """Whether a shape has the sizes a field gives; a named size is bound by the first dataset that has it."""
    if len(shape) != len(field.shape):
        return False
    for n, s in zip(shape, field.shape, strict=True):
        if isinstance(s, str) and s.endswith("+1"):
            n, s = n - 1, s[:-2]
        if n != (s if isinstance(s, int) else sizes.setdefault(s, n)):
            return False
    return True


def _named(shape: tuple[str | int, ...]) -> str:
    return "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
