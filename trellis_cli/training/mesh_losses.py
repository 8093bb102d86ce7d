"""The losses of the mesh decoder: pictures of its mesh against those of the asset, and what keeps the grid sane.

L_M = L_geo + 0.1 L_color + L_reg, equations 10 to 12 of TRELLIS (arXiv:2412.01506); the weights inside L_reg are those
of the published training code. Its colour term differs (an accumulator is overwritten there); here it is the paper's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from trellis_cli.geometry.cameras import project
from trellis_cli.training.losses import ImageDistance, reconstruction

DEPTH_WEIGHT, COLOUR_WEIGHT, TSDF_WEIGHT = 10.0, 0.1, 0.01
DEVIATION_WEIGHT, MAGNITUDE_WEIGHT = 0.5, 0.2
TRUNCATION = 3.0  # of the signed distance, in cubes of the fine grid


@dataclass(frozen=True, slots=True, eq=False)
class MeshViews:
    """v views of a surface, zero where nothing is seen.

    mask in [0, 1]; depth along the camera's z axis, in cube edges; normals: unit vectors in the world, of the faces,
    turned towards the camera; colours in [0, 1]; predicted_normals: what a decoder said of them, in [-1, 1].
    """

    mask: Float[Tensor, "v h w"]
    depth: Float[Tensor, "v h w"]
    normals: Float[Tensor, "v 3 h w"]
    colours: Float[Tensor, "v 3 h w"] | None = None
    predicted_normals: Float[Tensor, "v 3 h w"] | None = None


def geometry(
    got: MeshViews, want: MeshViews, *, resolution: int, ssim: ImageDistance, lpips: ImageDistance | None
) -> dict[str, Tensor]:
    """L_geo = L1(mask) + 10 Huber(depth) + L_recon(normals), equation 11; its terms and their weighted sum `geometry`.

    Depth and normals count where both views see a surface: elsewhere the mask's term speaks. The Huber loss bends at
    half a cube of the fine grid, 1 / (2 resolution).
    """
    both = _both(got, want)
    depth = F.smooth_l1_loss(got.depth * both, want.depth * both, beta=1 / (2 * resolution))
    normals = _pictures(got.normals, want.normals, both, ssim, lpips)
    mask = F.l1_loss(got.mask, want.mask)
    return {"mask": mask, "depth": depth, "normal": normals, "geometry": mask + DEPTH_WEIGHT * depth + normals}


def colour(got: MeshViews, want: MeshViews, *, ssim: ImageDistance, lpips: ImageDistance | None) -> dict[str, Tensor]:
    """L_color = L_recon(colours) + L_recon(predicted normals), equation 11; its terms and their sum `appearance`.

    The predicted normals are held to the asset's. What `got` does not have counts nothing.

    Raises:
        ValueError: `got` has colours and `want` has not.
    """
    both, terms = _both(got, want), {}
    if got.colours is not None:
        if want.colours is None:
            raise ValueError("the views to compare with have no colours")
        picture = reconstruction(got.colours * both[:, None], want.colours * both[:, None], ssim=ssim, lpips=lpips)
        terms["colour"] = picture["image"].mean()
    if got.predicted_normals is not None:
        terms["predicted_normal"] = _pictures(got.predicted_normals, want.normals, both, ssim, lpips)
    return terms | {"appearance": sum(terms.values(), got.mask.new_zeros(()))}


def regularisation(
    *,
    deviation: Float[Tensor, " p"],
    consistency: Float[Tensor, ""],
    weights: Float[Tensor, "n 21"],
    tsdf: Float[Tensor, ""] | None = None,
) -> dict[str, Tensor]:
    """L_reg, equation 12: consistency + 0.5 mean deviation + 0.2 mean |alpha, beta before activation| + 0.01 tsdf.

    `deviation` and `consistency` are those of `trellis_ops.isosurface`; without a surface there is no deviation. The
    terms, and their weighted sum `regularisation`.
    """
    terms = {
        "consistency": consistency,
        "deviation": deviation.mean() if len(deviation) else deviation.sum(),
        "weights": weights[:, :20].abs().mean(),
    }
    total = terms["consistency"] + DEVIATION_WEIGHT * terms["deviation"] + MAGNITUDE_WEIGHT * terms["weights"]
    if tsdf is not None:
        terms["tsdf"] = tsdf
        total = total + TSDF_WEIGHT * tsdf
    return terms | {"regularisation": total}


def signed_distance(
    sdf: Float[Tensor, " n"], target: Float[Tensor, " n"], valid: Bool[Tensor, " n"], *, truncation: float
) -> Float[Tensor, ""]:
    """L_tsdf: mean squared difference to a truncated signed distance, over the points where that is known.

    A value past the truncation on the target's side is not pulled back: the target there is only a bound.
    """
    beyond = (target.abs() > 0.999 * truncation) & (sdf * target.sign() > truncation)
    error = (sdf - target).square() * (valid & ~beyond)
    return error.sum() / valid.sum().clamp_min(1)


def _both(got: MeshViews, want: MeshViews) -> Float[Tensor, "v h w"]:
    """1 where both see a surface at the pixel's centre."""
    return ((got.depth > 0) & (want.depth > 0)).to(got.depth)


def _pictures(
    got: Float[Tensor, "v 3 h w"],
    want: Float[Tensor, "v 3 h w"],
    both: Float[Tensor, "v h w"],
    ssim: ImageDistance,
    lpips: ImageDistance | None,
) -> Float[Tensor, ""]:
    """L_recon of normals as pictures in [0, 1], black where one of them has none."""
    pictures = ((normals + 1) / 2 * both[:, None] for normals in (got, want))
    return reconstruction(*pictures, ssim=ssim, lpips=lpips)["image"].mean()


@torch.no_grad()
def tsdf_from_depth(
    points: Float[Tensor, "n 3"],
    depth: Float[Tensor, "v h w"],
    mask: Float[Tensor, "v h w"],
    extrinsics: Float[Tensor, "v 4 4"],
    intrinsics: Float[Tensor, "v 3 3"],
    truncation: float,
) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """An estimate, from depth views alone, of the signed distance of points to the surface; ours.

    A point is outside if some view looks past it: all four pixels round its projection show background, or something
    deeper. (All four, as one alone would eat half a pixel off every outline.) Else it is inside; so what no camera can
    look into is solid. The distance is the least over the views of that along the ray to the surface seen there, an
    upper bound that is good where some view looks at the surface squarely.

    Args:
        points: in the cube; depth: along each camera's z axis at the pixels' centres, in cube edges.
        mask: where depth holds (over 0.5); elsewhere the view shows background.
        truncation: the largest absolute value given, in cube edges.

    Returns:
        Signed distances, positive outside, and whether any view has the point in its frame.
    """
    num_views, height, width = depth.shape
    distance = torch.full_like(points[:, 0], truncation)
    outside, valid = (torch.zeros(len(points), dtype=torch.bool, device=points.device) for _ in range(2))
    deep = torch.where((mask > 0.5) & (depth > 0), depth, torch.inf)
    for view in range(num_views):
        (uv,), (z,) = project(points, extrinsics[view : view + 1], intrinsics[view : view + 1])
        column, row = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
        framed = (z > 0) & (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
        left = column.nan_to_num().floor().clamp(0, max(width - 2, 0)).long()
        top = row.nan_to_num().floor().clamp(0, max(height - 2, 0)).long()
        right, bottom = (left + 1).clamp_max(width - 1), (top + 1).clamp_max(height - 1)
        taps = torch.stack([deep[view, r, c] for r in (top, bottom) for c in (left, right)], 1)
        outside |= framed & (taps > z[:, None]).all(1)
        valid |= framed
        across, down = (column - left)[:, None], (row - top)[:, None]
        share = torch.cat([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across], dim=1)
        # Where the four span a step in depth, their mean is no surface.
        smooth = framed & (taps.amax(1) - taps.amin(1) < truncation)
        ray = torch.sqrt(1 + _slope(uv, intrinsics[view]).square().sum(1))
        along = ((taps * share).sum(1) - z).abs() * ray
        distance = torch.where(smooth, torch.minimum(distance, along), distance)
    return torch.where(outside, distance, -distance), valid


def _slope(uv: Float[Tensor, "n 2"], intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "n 2"]:
    """x / z and y / z of the rays through image points."""
    focal = torch.stack([intrinsics[0, 0], intrinsics[1, 1]])
    return (uv - intrinsics[:2, 2]) / focal
