"""Meshes and cameras to images: textured ones for data and for looking at, differentiable ones for training."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.renderers import lighting
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh
from trellis_ops.rasterize import Fragments, coverage, interpolate, rasterize

# Layers of cut-outs looked through, such as leaves in front of leaves; what lies behind more of them is not seen.
MAX_LAYERS = 12
MAX_WORKERS = 16  # views drawn at a time: each holds up to 80 MB while it is drawn at 512^2 with 4 x 4 samples


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """v views. What was not asked for is None.

    rgba: uint8 [v, h, w, 4], sRGB, straight alpha; colour zero where alpha is. depth: float32 [v, h, w] along z at the
    pixels' centres, 0 where nothing is. normal: uint8 [v, h, w, 3], (n + 1) / 2 of the faces' normals in the world,
    turned towards the camera; 128 where nothing is.
    """

    rgba: np.ndarray
    depth: np.ndarray | None = None
    normal: np.ndarray | None = None


def render_views(
    mesh: TexturedMesh,
    cameras: Cameras,
    *,
    size: int,
    supersample: int = 2,
    normals: bool = False,
    depth: bool = False,
    lit: bool = True,
) -> Views:
    """Square images of a mesh in the light of `lighting.py`; with lit=False, its base colours as they are.

    Both sides of faces are seen. Textures are sampled bilinearly from mip levels; each pixel is the mean, in linear
    light, of supersample^2 samples. Materials of alpha mode "mask" and "blend" are cut out, as `Material` says.

    Raises:
        ValueError: size or supersample is not positive, or a vertex is not finite.
    """
    from trellis_cli.renderers import _shading
    from trellis_cli.renderers._surface import surface_of

    if size < 1 or supersample < 1:
        raise ValueError(f"size and supersample must be positive, got {size} and {supersample}")
    surface = surface_of(mesh)
    arrays = tuple(getattr(surface, name) for name in _shading.SURFACE_FIELDS)
    light = lighting.as_array() if lit else np.zeros(0, np.float32)
    rgba = np.empty((len(cameras), size, size, 4), np.uint8)
    normal = np.empty((len(cameras) if normals else 0, size, size, 3), np.uint8)
    distance = np.empty((len(cameras) if depth else 0, size, size), np.float32)
    nothing = np.empty((0, 0, 3), np.uint8)
    eyes = cameras.centres.numpy().astype(np.float32)

    def draw(v: int) -> None:
        face_id, barycentrics, z, pixel = _visible(surface, arrays, cameras[v], size * supersample)
        wanted, side = normal[v] if normals else nothing, _shading.sides(arrays, eyes[v])
        _shading.shade(arrays, side, face_id, barycentrics, z, pixel, light, supersample, rgba[v], wanted)
        if depth:
            distance[v] = z if supersample == 1 else _visible(surface, arrays, cameras[v], size)[2]

    _each_on_one_thread(draw, len(cameras))
    return Views(rgba, distance if depth else None, normal if normals else None)


def _each_on_one_thread(draw: Callable[[int], None], count: int) -> None:
    """draw(0) to draw(count - 1), several at a time, each on one thread: no view has to wait for another."""
    import numba

    from trellis_ops._numba import PARALLEL, set_num_threads

    workers = min(numba.get_num_threads(), count, MAX_WORKERS) if PARALLEL else 1
    if workers < 2:
        for v in range(count):
            draw(v)
        return
    context = copy_context()  # which backends are forced
    with ThreadPoolExecutor(workers, initializer=set_num_threads, initargs=(1,)) as pool:
        for done in [pool.submit(context.copy().run, draw, v) for v in range(count)]:
            done.result()


def _visible(surface, arrays: tuple, view: Cameras, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.float32]:
    """(face_id, barycentrics, depth) seen through all cut-outs, and the width of a pixel at depth 1."""
    from trellis_cli.renderers import _shading

    vertices, faces = torch.from_numpy(surface.vertices), torch.from_numpy(surface.faces)
    camera = (vertices, faces, view.extrinsics[0], view.intrinsics[0])
    face_id, barycentrics, z = _numpy(rasterize(*camera, width=size, height=size))
    pixel = np.float32(1 / (float(view.intrinsics[0, 0, 0]) * size))
    if not surface.has_cutouts:
        return face_id, barycentrics, z, pixel
    beyond = np.empty_like(z)
    for _ in range(MAX_LAYERS):
        if not _shading.holes(arrays, face_id, barycentrics, z, pixel, beyond):
            return face_id, barycentrics, z, pixel
        deeper = _numpy(rasterize(*camera, width=size, height=size, beyond=torch.from_numpy(beyond)))
        _shading.merge(beyond, *deeper, face_id, barycentrics, z)
    if _shading.holes(arrays, face_id, barycentrics, z, pixel, beyond):
        face_id[beyond < np.inf], z[beyond < np.inf] = -1, 0
    return face_id, barycentrics, z, pixel


def _numpy(fragments: Fragments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fragments.face_id.numpy(), fragments.barycentrics.numpy(), fragments.depth.numpy()


def textured(mesh: Mesh) -> TexturedMesh:
    """A plain mesh as a textured one: its vertex colours, or the default grey."""
    vertices, faces = mesh.vertices.detach().cpu().double().numpy(), mesh.faces.cpu().to(torch.int32).numpy()
    materials = np.zeros(len(faces), np.int32)
    if mesh.colours is None:
        return TexturedMesh(vertices, faces, materials, (Material(),))
    rgb = mesh.colours.detach().cpu().float().clamp(0, 1).numpy()
    rgba = np.concatenate([rgb, np.ones((len(rgb), 1), np.float32)], 1)
    return TexturedMesh(vertices, faces, materials, (Material(colour=(1.0, 1.0, 1.0, 1.0)),), vertex_colours=rgba)


def render_mesh(
    mesh: Mesh,
    cameras: Cameras,
    *,
    size: int,
    supersample: int = 2,
    normals: bool = False,
    depth: bool = False,
    lit: bool = False,
) -> Views:
    """As `render_views`, for meshes that decoders make. Unlit by default: their colours were learned from lit views."""
    return render_views(
        textured(mesh), cameras, size=size, supersample=supersample, normals=normals, depth=depth, lit=lit
    )


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceImages:
    """One view of a mesh with gradients, zero where nothing is seen.

    mask: how much of each pixel is covered, antialiased; depth: along z; normals: of the faces, in the world, towards
    the camera; attributes: interpolated from the vertices; seen: where a pixel's centre sees the mesh.
    """

    mask: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    normals: Float[Tensor, "h w 3"]
    attributes: Float[Tensor, "h w a"]
    seen: Tensor


def render_differentiable(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    attributes: Float[Tensor, "v a"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    size: int,
) -> SurfaceImages:
    """One view for training: gradients reach the vertices through mask, depth, normals and interpolation, and the
    attributes; cameras get none. Memory and time grow with the pixels that see the mesh, not with its faces.

    Raises:
        ValueError: a vertex is not finite, or a face names none.
    """
    fragments = rasterize(vertices, faces, extrinsics, intrinsics, width=size, height=size)
    mask = coverage(vertices, faces, extrinsics, intrinsics, fragments)
    seen = fragments.face_id >= 0
    corners = vertices[faces[fragments.face_id[seen].long()].long()]  # [p, 3, 3]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = torch.nn.functional.normalize(normal, dim=1, eps=1e-12)
    eye = -extrinsics[:3, :3].T @ extrinsics[:3, 3]
    away = ((eye.to(corners) - corners[:, 0]) * normal).sum(1, keepdim=True) < 0
    normals = vertices.new_zeros(size, size, 3).index_put((seen,), torch.where(away, -normal, normal))
    return SurfaceImages(mask, fragments.depth, normals, interpolate(attributes, faces, fragments), seen)
