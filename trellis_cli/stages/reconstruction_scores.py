"""How near an object that was encoded and decoded comes to the mesh it was: the paper's table 1."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.errors import TrellisError
from trellis_cli.geometry.cameras import Cameras, hammersley_cameras, orbit
from trellis_cli.geometry.packed import Packed
from trellis_cli.metrics.geometry import chamfer_distance, choose_points, f_score, points_from_depth
from trellis_cli.metrics.image import psnr, ssim
from trellis_cli.metrics.lpips import LPIPS
from trellis_cli.renderers import gaussians as gaussian_renderer
from trellis_cli.renderers import radiance_field as field_renderer
from trellis_cli.renderers.mesh import Views, render_views
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.object_suite import Generation, Reconstruction
from trellis_cli.stages.score_cache import Scores

MAX_PSNR = 100.0  # equal pictures would make a mean infinite
Pictures = Float[Tensor, "v 3 h w"]


def random_camera(
    protocol: Reconstruction | Generation, name: str, pitch_deg: tuple[float, float] = (-90.0, 90.0)
) -> Cameras:
    """One camera on the sphere, evenly at random by the suite's seed and the object's name, looking at the centre."""
    digest = hashlib.sha256(f"{protocol.seed}/{name}".encode()).digest()
    u, v = (int.from_bytes(digest[8 * k : 8 * k + 8], "big") / 2**64 for k in range(2))
    low, high = (math.sin(math.radians(pitch)) for pitch in pitch_deg)
    pitch = math.asin(low + (high - low) * u)
    return orbit([2 * math.pi * v], [pitch], radius=protocol.radius, fov=math.radians(protocol.fov_deg))


def on_black(rgba: np.ndarray) -> Pictures:
    """uint8 pictures with straight alpha as floats on black."""
    values = torch.from_numpy(rgba).float() / 255
    return (values[..., :3] * values[..., 3:]).permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """One object and what became of it, from its camera.

    by: kind to picture. normals, mesh: of the surface that was made, in [0, 1]; None where there is none.
    """

    truth: Pictures
    by: dict[str, Pictures]
    truth_normals: Pictures
    normals: Pictures | None
    mesh: TexturedMesh | None


def side_by_side(
    truth: TexturedMesh,
    draw: Mapping[str, Callable[[Cameras, int], Pictures]],
    surface: Callable[[], TexturedMesh] | None,
    protocol: Reconstruction,
    name: str,
) -> SideBySide:
    """Pictures of an object, in the cube, and of what was made of it.

    Raises:
        TrellisError: a decoder finds no surface.
    """
    camera = random_camera(protocol, name)
    views = render_views(truth, camera, size=protocol.size, normals=True)
    by = {kind: drawn(camera, protocol.size) for kind, drawn in draw.items()}
    made = None if surface is None else surface()
    normals = None
    if made is not None:
        normals = _normals(render_views(made, camera, size=protocol.size, normals=True, lit=False))
    return SideBySide(on_black(views.rgba), by, _normals(views), normals, made)


def _normals(views: Views) -> Pictures:
    assert views.normal is not None
    return torch.from_numpy(views.normal).float().permute(0, 3, 1, 2) / 255


def reconstruction_scores(truth: TexturedMesh, seen: SideBySide, lpips: LPIPS, protocol: Reconstruction) -> Scores:
    """PSNR, SSIM and LPIPS of one picture by each kind; of a surface PSNR-N, LPIPS-N, CD and F-score too."""
    scores: Scores = {kind: _alike(picture, seen.truth, lpips) for kind, picture in seen.by.items()}
    if seen.mesh is not None and seen.normals is not None:
        likeness = _alike(seen.normals, seen.truth_normals, lpips)
        scores["normals"] = {"psnr": likeness["psnr"], "lpips": likeness["lpips"]}
        clouds = [outer_points(mesh, protocol) for mesh in (seen.mesh, truth)]
        scores["mesh"] = {"chamfer": chamfer_distance(*clouds), "f_score": f_score(*clouds, radius=protocol.f_radius)}
    return scores


@torch.no_grad()
def shown(decoder: Decoder, latents: Packed, cameras: Cameras, size: int) -> Pictures:
    """Pictures of decoded latents on black, in [0, 1]."""
    if decoder.kind == "gaussians":
        images, _ = gaussian_renderer.render(decoder.gaussians(latents), cameras, size=size)
    else:
        images, _ = field_renderer.render(decoder.radiance_field(latents), cameras, size=size, supersample=2)
    return images.float().cpu().permute(0, 3, 1, 2).clamp(0, 1)


def outer_points(mesh: TexturedMesh, protocol: Reconstruction | Generation) -> Float[Tensor, "n 3"]:
    """Points of what can be seen of a mesh from all around. Raises TrellisError where nothing can."""
    cameras = hammersley_cameras(protocol.depth_views, radius=protocol.radius, fov=math.radians(protocol.fov_deg))
    views = render_views(mesh, cameras, size=protocol.depth_size, supersample=1, depth=True)
    assert views.depth is not None
    points = points_from_depth(torch.from_numpy(views.depth), cameras.extrinsics, cameras.intrinsics)
    if not len(points):
        raise TrellisError("no view shows a surface", hint="decode it and look: `trellis decode`, `trellis view`")
    return choose_points(points, protocol.points, torch.Generator().manual_seed(protocol.seed))


@torch.no_grad()
def _alike(images: Pictures, wanted: Pictures, lpips: LPIPS) -> Scores:
    return {
        "psnr": float(psnr(images, wanted).clamp(max=MAX_PSNR).mean()),
        "ssim": float(ssim(images, wanted, border="crop")),
        "lpips": float(lpips(images, wanted).mean()),
    }
