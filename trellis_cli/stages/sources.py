"""Mesh files as batch items: found, hashed, read, and put into the cube."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trellis_cli.errors import FileError, TrellisError
from trellis_cli.geometry.grid import CUBE_MARGIN, source_to_cube, transform_points
from trellis_cli.io.digests import source_digest
from trellis_cli.io.inputs import gather, require_file
from trellis_cli.io.mesh_files import READABLE, read_mesh
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.session import Item, in_shard

Bad = list[tuple[str, TrellisError]]


def mesh_items(inputs: Sequence[Path], shard: tuple[int, int] = (0, 1)) -> tuple[list[Item], Bad]:
    """One item a mesh file of this shard, in order; files that cannot be opened come back beside their errors."""
    items, bad = [], []
    for path in gather(inputs, READABLE, what="a mesh"):
        try:
            item = Item(source_digest(require_file(path)), path.name, path)
        except TrellisError as error:
            bad.append((str(path), error))
            continue
        if in_shard(item.id, shard):
            items.append(item)
    return items, bad


def into_cube(path: Path) -> tuple[TexturedMesh, np.ndarray]:
    """The mesh with its vertices in the cube, and the float64 4x4 transform that took them there."""
    mesh = read_mesh(path)
    try:
        matrix = source_to_cube(mesh.vertices)
    except ValueError as error:
        raise FileError(f"{path}: {error}", hint="repair the mesh and try again") from error
    limit = 0.5 - CUBE_MARGIN
    return replace(mesh, vertices=transform_points(matrix, mesh.vertices).clip(-limit, limit)), matrix


def input_pairs(items: Sequence[Item]) -> list[tuple[str, str]]:
    """(sha256, base name) of each item, for a file's provenance."""
    return [(item.id, item.name) for item in items]
