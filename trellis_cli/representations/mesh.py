"""Triangle meshes: the plain one that decoders make, and the textured one that mesh files hold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mesh:
    """A triangle mesh in the cube, z up. Faces wind counter-clockwise seen from outside.

    vertices [v, 3] in cube edges; faces [f, 3]; colours [v, 3] in [0, 1] (sRGB), or None; normals [v, 3], unit
    vectors predicted with the surface, or None.
    """

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    colours: Float[Tensor, "v 3"] | None = None
    normals: Float[Tensor, "v 3"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A surface's base colour: `colour` times the texture, if any, both sRGB-encoded.

    colour: RGBA in [0, 1]; texture: uint8 [h, w, 4] or None, row 0 at v = 1 (the glTF/OBJ picture's top row);
    alpha_mode: "opaque" (alpha ignored), "mask" (cut out below alpha_cutoff) or "blend" (cut out below 0.5 here).
    """

    name: str = ""
    colour: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)
    texture: np.ndarray | None = None
    alpha_mode: str = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class TexturedMesh:
    """What a mesh file holds, as numpy arrays, z up.

    vertices float64 [v, 3]; faces int32 [f, 3]; uvs float32 [f, 3, 2] a corner each (v = 0 at the texture's bottom) or
    None; vertex_colours float32 [v, 4] RGBA in [0, 1] (sRGB) or None, multiplied in; face_materials int32 [f], an
    index into `materials`, which has at least one entry.
    """

    vertices: np.ndarray
    faces: np.ndarray
    face_materials: np.ndarray
    materials: tuple[Material, ...]
    uvs: np.ndarray | None = None
    vertex_colours: np.ndarray | None = None
