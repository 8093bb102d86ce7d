"""Extract a triangle mesh from a sparse grid of cubes: FlexiCubes, with gradients."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("isosurface", __name__, ("triton", "cpu", "reference"))


@dataclass(frozen=True, slots=True)
class Isosurface:
    """A mesh whose faces wind counter-clockwise seen from outside, and in training what its losses need.

    vertices [v, 3] in cube edges; faces [f, 3], int64; attributes [v, a] in [0, 1]. In training also: deviation [p],
    |d - mean d| of each (dual vertex, crossed edge), in cube edges; consistency, the mean squared difference between
    the values that cubes give a grid vertex and their mean; grid_positions [g, 3] (deformed) and grid_sdf [g] of
    the grid vertices that given cubes touch, in lexicographic order.

    The order is fixed: dual vertices by cube (lexicographic) and lowest edge, then, in training, the quads' centres;
    quads by axis and low end of their edge; deviations by cube and edge.
    """

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    attributes: Float[Tensor, "v a"]
    deviation: Float[Tensor, " p"] | None = None
    consistency: Float[Tensor, ""] | None = None
    grid_positions: Float[Tensor, "g 3"] | None = None
    grid_sdf: Float[Tensor, " g"] | None = None


def isosurface(
    coords: Int[Tensor, "n 3"],
    sdf: Float[Tensor, "n 8"],
    deform: Float[Tensor, "n 8 3"],
    weights: Float[Tensor, "n 21"],
    attributes: Float[Tensor, "n 8 a"],
    *,
    resolution: int,
    training: bool = False,
    backend: str | None = None,
) -> Isosurface:
    """The surface sdf = 0 of a grid of which only some cubes are given, as a mesh of dual vertices.

    All inputs are a network's raw output: activations and the bias of the sdf (-1 / resolution, added to every value)
    are part of this op. Corner j of a cube lies at the offset (j & 1, (j >> 1) & 1, (j >> 2) & 1) from its low corner.
    A grid vertex takes the mean of what the given cubes say of it. One that no given cube touches has sdf 1 (outside),
    no deformation and attributes 0, and a cube that is not given has weights 0; so the surface also closes between
    given and other cubes, and a solid of which only the skin's cubes are given gets an inner wall too. Crossed edges on
    the border of the whole grid make no faces, and may leave the mesh open.

    Args:
        coords: the given cubes, each once, in any order; vertex i of the grid lies at i / resolution - 0.5.
        sdf: signed distance at the corners, negative inside, in cube edges (before the bias).
        deform: shift of the corners, (1 - 1e-8) / (2 resolution) * tanh of it.
        weights: beta of the 12 edges and alpha of the 8 corners, each 1 + 0.99 tanh of it, and gamma of the cube,
            0.005 + 0.99 sigmoid of it. Edges are in the order of `cases.EDGES`.
        attributes: what vertices carry (colour and normal), through a sigmoid at the grid's vertices, then interpolated
            as positions are.
        resolution: cubes along one edge of the cube [-0.5, 0.5]^3.
        training: give each quad a centre vertex and four triangles instead of splitting it by gamma into two, so that
            gamma has a gradient; and return the terms of the regularising losses.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        The mesh, in the dtype of `sdf` (float32 if that is shorter). Without a surface it has no vertices. A dual
        vertex on the grid's border may belong to no face.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: a cube outside the grid, or one given twice.

    Gradients reach sdf, deform, weights and attributes; the connectivity is constant.

    Source: Shen et al., "Flexible Isosurface Extraction for Gradient-Based Mesh Optimization" (FlexiCubes, 2023), on
    the sparse cubes of TRELLIS (arXiv:2412.01506), section 3.2 and appendix A.
    """
    if coords.numel():
        low, high = int(coords.min()), int(coords.max())
        if low < 0 or high >= resolution:
            raise ValueError(f"coords must lie in [0, {resolution}), got values in [{low}, {high}]")
        flat = (coords[:, 0].long() * resolution + coords[:, 1]) * resolution + coords[:, 2]
        if (distinct := flat.unique().numel()) != len(flat):
            raise ValueError(f"coords must name each cube once, got {len(flat) - distinct} repeated")
    return _op(coords, sdf, deform, weights, attributes, resolution=resolution, training=training, backend=backend)
