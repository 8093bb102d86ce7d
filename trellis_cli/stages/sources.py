"""Mesh files as batch items: found, hashed, read, and put into the cube."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trellis_cli.data.index import read_manifest
from trellis_cli.data.manifest import OBJECTS
from trellis_cli.errors import FileError, TrellisError, first_line
from trellis_cli.geometry.grid import CUBE_MARGIN, source_to_cube, transform_points
from trellis_cli.io.digests import source_digest
from trellis_cli.io.inputs import gather, require_file
from trellis_cli.io.mesh_files import READABLE, read_mesh
from trellis_cli.io.zipped import unpacked
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.session import Item
from trellis_cli.shards import in_shard

_AGAIN = "index or export the objects anew, or give the file itself"
_ELSEWHERE = "where a manifest names objects without files of their own, `trellis data export` writes those"
Bad = list[tuple[str, TrellisError]]


def mesh_items(inputs: Sequence[Path], shard: tuple[int, int] = (0, 1)) -> tuple[list[Item], Bad]:
    """One item a mesh of this shard, in order; files that cannot be opened come back beside their errors.

    A manifest (.jsonl) says its meshes' ids, so that a shard reads its own files alone, and each when its turn comes:
    an item's payload is what `into_cube` takes, which holds the mesh to its id.
    """
    items, bad = [], []
    for path, id_ in _meshes(inputs):
        try:
            found = source_digest(require_file(path)) if id_ is None else id_
        except (TrellisError, OSError, ValueError) as error:
            told = error if isinstance(error, TrellisError) else FileError(f"{path}: {first_line(error)}")
            bad.append((str(path), told))
            continue
        if in_shard(found, shard):
            items.append(Item(found, path.name, (path, id_)))
    return items, bad


def _meshes(inputs: Sequence[Path]) -> Iterator[tuple[Path, str | None]]:
    """Each mesh file, with its id where a manifest says it."""
    for argument in inputs:
        if argument.suffix.lower() != ".jsonl":
            yield from ((path, None) for path in gather([argument], READABLE, what="a mesh"))
            continue
        for row in read_manifest(require_file(argument)).values():
            yield argument.parent / str(row.get("path") or f"{OBJECTS}/{row['id']}.glb"), str(row["id"])


def into_cube(path: Path, id_: str | None = None) -> tuple[TexturedMesh, np.ndarray]:
    """The mesh with its vertices in the cube, and the float64 4x4 transform that took them there.

    Args:
        id_: the digest that a manifest says the mesh has.

    Raises:
        FileError: no such mesh, or one that is not what it should be.
    """
    with unpacked(path) as there:
        if id_ is not None:
            _check_id(path, there, id_)
        mesh = read_mesh(there)
    try:
        matrix = source_to_cube(mesh.vertices)
    except ValueError as error:
        raise FileError(f"{path}: {error}", hint="repair the mesh and try again") from error
    limit = 0.5 - CUBE_MARGIN
    return replace(mesh, vertices=transform_points(matrix, mesh.vertices).clip(-limit, limit)), matrix


def _check_id(path: Path, there: Path, id_: str) -> None:
    if not there.is_file():
        raise FileError(f"{path}: no such file", hint=_ELSEWHERE)
    if (found := source_digest(require_file(there))) != id_:
        raise FileError(f"{path} is not what its manifest says: {found[:12]}, not {id_[:12]}", hint=_AGAIN)


def input_pairs(items: Sequence[Item]) -> list[tuple[str, str]]:
    """(sha256, base name) of each item, for a file's provenance."""
    return [(item.id, item.name) for item in items]
