"""How near two surfaces are, by points on them: chamfer distance and F-score, as in the paper's appendix C.1.

Points come from depth maps of views all around (the paper: 100K points of 100 views), so that what lies inside an
object, which no one sees, does not count.
"""

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor


def points_from_depth(
    depth: Float[Tensor, "v h w"], extrinsics: Float[Tensor, "v 4 4"], intrinsics: Float[Tensor, "v 3 3"]
) -> Float[Tensor, "n 3"]:
    """The points in the world that pixels' centres show, in the order of the pixels; a depth of 0 shows none.

    Args:
        depth: along the camera's z axis, in cube edges; finite.
        extrinsics: world to camera, OpenCV axes.
        intrinsics: normalised by the image's width and height.
    """
    height, width = depth.shape[1:]
    v = (torch.arange(height, dtype=depth.dtype, device=depth.device) + 0.5) / height
    u = (torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5) / width
    uv1 = torch.stack([*torch.meshgrid(u, v, indexing="xy"), torch.ones(height, width).to(depth)], dim=-1)
    K, w2c = intrinsics.to(depth), extrinsics.to(depth)
    rays = uv1.reshape(1, -1, 3) @ torch.linalg.inv(K).transpose(1, 2)  # [v, h * w, 3], z = 1
    points = rays * depth.reshape(len(depth), -1, 1) - w2c[:, None, :3, 3]
    points = points @ w2c[:, :3, :3]  # the inverse of a rotation is its transpose
    return points[depth.reshape(len(depth), -1) > 0]


def choose_points(points: Float[Tensor, "n 3"], num: int, generator: torch.Generator) -> Float[Tensor, "num 3"]:
    """`num` of the points at random, each at most once, or where there are fewer, with repeats.

    Raises:
        ValueError: there is no point to choose from.
    """
    if len(points) == 0:
        raise ValueError("there are no points to choose from: no view shows a surface")
    if num <= len(points):
        return points[torch.randperm(len(points), generator=generator)[:num]]
    return points[torch.randint(len(points), (num,), generator=generator)]


def chamfer_distance(reconstructed: Float[Tensor, "n 3"], truth: Float[Tensor, "m 3"]) -> float:
    """mean_x min_y |x - y| + mean_y min_x |x - y|: distances, not their squares, and a sum, not a mean.

    Raises:
        ValueError: one of the two holds no point.
    """
    to_truth, to_reconstructed = _nearest(reconstructed, truth)
    return float(to_truth.mean() + to_reconstructed.mean())


def f_score(reconstructed: Float[Tensor, "n 3"], truth: Float[Tensor, "m 3"], *, radius: float = 0.05) -> float:
    """Harmonic mean of precision and recall, counted as the paper does, with its radius.

    FN = true points farther than `radius` from the reconstruction, FP = reconstructed points farther than it from the
    truth, TP = m - FP; precision TP / (TP + FP), recall TP / (TP + FN). With more points on one side than on the other
    TP means little: give as many.

    Raises:
        ValueError: one of the two holds no point.
    """
    to_truth, to_reconstructed = _nearest(reconstructed, truth)
    false_positives, false_negatives = int((to_truth > radius).sum()), int((to_reconstructed > radius).sum())
    true_positives = len(truth) - false_positives
    if true_positives <= 0:
        return 0.0
    precision = true_positives / (true_positives + false_positives)
    recall = true_positives / (true_positives + false_negatives)
    return 2 * precision * recall / (precision + recall)


def surface_points(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], num: int, generator: torch.Generator
) -> tuple[Float[Tensor, "num 3"], Int[Tensor, " num"], Float[Tensor, "num 3"]]:
    """Points drawn evenly over a surface, inside ones too: with the face of each, and its weights of the corners.

    Raises:
        ValueError: no face with an area.
    """
    a, b, c = vertices.double()[faces.long()].unbind(1)
    areas = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    if not float(areas.sum()) > 0:
        raise ValueError("there are no points to choose from: the surface has no area")
    heads = areas.cumsum(0)
    places = torch.rand(num, generator=generator, dtype=torch.float64) * heads[-1]
    face = torch.searchsorted(heads, places).clamp(max=len(faces) - 1)
    u, v = torch.rand(2, num, generator=generator, dtype=torch.float64)
    root = u.sqrt()  # Osada et al. 2002: even over a triangle
    weights = torch.stack([1 - root, root * (1 - v), root * v], dim=1)
    points = torch.einsum("nk,nkd->nd", weights, vertices.double()[faces[face].long()])
    return points.to(vertices), face, weights.to(vertices)


def _nearest(reconstructed: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Each point's distance to the nearest of the other set, in float64."""
    if len(reconstructed) == 0 or len(truth) == 0:
        raise ValueError(f"distances need points on both sides, got {len(reconstructed)} and {len(truth)}")
    x, y = (p.detach().cpu().double().numpy() for p in (reconstructed, truth))
    return torch.from_numpy(cKDTree(y).query(x)[0]), torch.from_numpy(cKDTree(x).query(y)[0])
