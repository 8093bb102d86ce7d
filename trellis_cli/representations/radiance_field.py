"""A radiance field in voxels: what the march renders."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RadianceField:
    """n voxels of the cube [-0.5, 0.5]^3, each with a d x d x d volume of density and colour as sums of r products.

    coords [n, 3], voxel indices x, y, z, each voxel once; factors [n, r, 3, d], rank r's values along x, y and z;
    density [n, r] and colours [n, r, 3], the ranks' weights; resolution, voxels along the cube's edge. In cell
    (i, j, k) rank r's product is P = factors[r, 0, i] factors[r, 1, j] factors[r, 2, k]; the density is
    softplus(sum of density P) an edge, the colour sigmoid(0.28209479 sum of colours P): see `trellis_ops.march`.

    The published names: trivec (1 already added), density, features_dc.
    """

    coords: Int[Tensor, "n 3"]
    factors: Float[Tensor, "n r 3 d"]
    density: Float[Tensor, "n r"]
    colours: Float[Tensor, "n r 3"]
    resolution: int

    def __len__(self) -> int:
        return len(self.coords)
