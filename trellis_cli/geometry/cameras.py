"""Cameras: where they stand, what they see. The one home of view directions and of the Hammersley sphere.

World: the cube [-0.5, 0.5]^3, z up. Extrinsics take the world to the camera (w2c), OpenCV axes: x right, y down,
z forward; lengths in cube edges. Intrinsics are pinhole, divided by the image's width (row 0) and height (row 1), so
that u, v in [0, 1] run from the image's top left corner. Angles in radians.

A direction is a yaw about the z axis and a pitch above the horizon: (sin yaw cos pitch, cos yaw cos pitch, sin pitch),
as in the published renderers. (The published scripts for Blender measure the yaw from x instead of y. That mirrors a
set of directions that already has a random offset, so one convention serves both here.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FOV = math.radians(40)  # of the published training views


@dataclass(frozen=True, slots=True, eq=False)
class Cameras:
    """v pinhole cameras; `cameras[i]`, `cameras[2:5]` and `cameras[indices]` are Cameras too."""

    extrinsics: Float[Tensor, "v 4 4"]
    intrinsics: Float[Tensor, "v 3 3"]

    def __len__(self) -> int:
        return len(self.extrinsics)

    def __getitem__(self, index: int | slice | Tensor) -> "Cameras":
        if isinstance(index, int):
            index = range(len(self))[index]  # an IndexError past the end, which also ends iteration
            index = slice(index, index + 1)
        return Cameras(self.extrinsics[index], self.intrinsics[index])

    def to(self, device: torch.device | str) -> "Cameras":
        return Cameras(self.extrinsics.to(device), self.intrinsics.to(device))

    @property
    def centres(self) -> Float[Tensor, "v 3"]:
        """Where the cameras stand, in the world."""
        rotation, translation = self.extrinsics[:, :3, :3], self.extrinsics[:, :3, 3]
        return -(rotation.transpose(1, 2) @ translation[..., None])[..., 0]


def intrinsics_from_fov(fov: float, num: int = 1) -> Float[Tensor, "v 3 3"]:
    """`num` times the intrinsics of a square image with the full angle `fov`: f = 0.5 / tan(fov / 2), centre 0.5.

    Raises:
        ValueError: fov is not between 0 and pi.
    """
    if not 0 < fov < math.pi:
        raise ValueError(f"fov must lie in (0, pi) radians, got {fov}")
    f = 0.5 / math.tan(fov / 2)
    return torch.tensor([[f, 0.0, 0.5], [0.0, f, 0.5], [0.0, 0.0, 1.0]]).repeat(num, 1, 1)


def fov_from_intrinsics(intrinsics: Float[Tensor, "v 3 3"]) -> Float[Tensor, " v"]:
    """The full horizontal angle of each camera, radians."""
    return 2 * torch.atan(0.5 / intrinsics[:, 0, 0])


def orbit(
    yaws: Sequence[float] | Float[Tensor, " v"],
    pitches: Sequence[float] | Float[Tensor, " v"],
    *,
    radius: float | Sequence[float] | Float[Tensor, " v"] = 2.0,
    fov: float | Sequence[float] | Float[Tensor, " v"] = FOV,
) -> Cameras:
    """Cameras that look at the cube's centre from yaw, pitch and radius, upright; one radius and fov, or one a camera.

    Straight above or below, where "upright" says nothing, the picture turns with the yaw as it does close by.

    Raises:
        ValueError: lengths disagree, a radius is not positive, or a fov is not in (0, pi).
    """
    yaw, pitch = (torch.as_tensor(angles, dtype=torch.float64) for angles in (yaws, pitches))
    num = len(yaw)
    distance, angle = (torch.as_tensor(x, dtype=torch.float64).expand(num) for x in (radius, fov))
    if len(pitch) != num:
        raise ValueError(f"as many yaws as pitches, please: got {num} and {len(pitch)}")
    if not bool((distance > 0).all()):
        raise ValueError(f"radius must be positive, got {distance.min().item()}")
    back = directions(yaw, pitch)
    right = torch.stack([-yaw.cos(), yaw.sin(), torch.zeros_like(yaw)], dim=1)
    down = torch.linalg.cross(-back, right)
    extrinsics = torch.eye(4, dtype=torch.float64).repeat(num, 1, 1)
    extrinsics[:, :3, :3] = torch.stack([right, down, -back], dim=1)
    extrinsics[:, 2, 3] = distance
    intrinsics = [intrinsics_from_fov(a) for a in angle.tolist()]
    return Cameras(extrinsics.float(), torch.cat(intrinsics) if num else torch.zeros(0, 3, 3))


def directions(yaws: Float[Tensor, " v"], pitches: Float[Tensor, " v"]) -> Float[Tensor, "v 3"]:
    """Unit vectors from the centre towards cameras at these angles."""
    level = pitches.cos()
    return torch.stack([yaws.sin() * level, yaws.cos() * level, pitches.sin()], dim=1)


def radical_inverse(i: int, base: int = 2) -> float:
    """The digits of i in `base`, mirrored about the point: van der Corput's sequence."""
    value, digit = 0.0, 1.0
    while i > 0:
        digit /= base
        value += digit * (i % base)
        i //= base
    return value


def sphere_hammersley(
    i: int, num: int, *, offset: tuple[float, float] = (0.0, 0.0), remap: bool = False
) -> tuple[float, float]:
    """Point i of `num` spread evenly over the sphere, as (yaw, pitch) in radians; the yaw is not wrapped to 2 pi.

    `offset`: two numbers in [0, 1), drawn once an object, that shift the whole set. `remap` puts a quarter of the
    points below the horizon and the rest above it, where objects are looked at from; used for the views that
    features are averaged over. Source: the published `sphere_hammersley_sequence` of data preparation.
    """
    u = (i + offset[0]) / num
    v = radical_inverse(i) + offset[1]
    if remap:
        u = 2 * u if u < 0.25 else 2 * u / 3 + 1 / 3
    return 2 * math.pi * v, math.acos(max(-1.0, min(1.0, 1 - 2 * u))) - math.pi / 2


def hammersley_cameras(
    num: int,
    *,
    radius: float = 2.0,
    fov: float = FOV,
    offset: tuple[float, float] = (0.0, 0.0),
    remap: bool = False,
) -> Cameras:
    """`num` cameras on a sphere about the cube, evenly spread, looking at its centre. See `sphere_hammersley`."""
    angles = [sphere_hammersley(i, num, offset=offset, remap=remap) for i in range(num)]
    return orbit([yaw for yaw, _ in angles], [pitch for _, pitch in angles], radius=radius, fov=fov)


def condition_cameras(
    num: int, *, fovs: tuple[float, float], offset: tuple[float, float], generator: torch.Generator
) -> Cameras:
    """`num` cameras of pictures that a model is conditioned on: each with its own angle of view, and as far away as the
    cube's sphere then fills the picture.

    1 / distance^2 is even between the two extremes, so that the wide angles of near cameras are not rare. Directions
    are those of `hammersley_cameras`. Source: the published data preparation.
    """
    near, far = (math.sqrt(3) / 2 / math.sin(angle / 2) for angle in (max(fovs), min(fovs)))
    share = torch.rand(num, generator=generator, dtype=torch.float64)
    distance = (far**-2 + share * (near**-2 - far**-2)).rsqrt()
    angles = [sphere_hammersley(i, num, offset=offset, remap=True) for i in range(num)]
    fov = 2 * torch.asin(math.sqrt(3) / 2 / distance)
    return orbit([yaw for yaw, _ in angles], [pitch for _, pitch in angles], radius=distance, fov=fov)


def project(
    points: Float[Tensor, "n 3"], extrinsics: Float[Tensor, "v 4 4"], intrinsics: Float[Tensor, "v 3 3"]
) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n"]]:
    """Where each camera sees each point: (u, v) in [0, 1] from the top left, and depth along the camera's z axis.

    Points at depth 0 get infinite or NaN uv; points behind (depth < 0) get finite ones that mean nothing: ask depth.
    """
    in_camera = points @ extrinsics[:, :3, :3].transpose(1, 2) + extrinsics[:, None, :3, 3]
    homogeneous = in_camera @ intrinsics.transpose(1, 2)
    return homogeneous[..., :2] / homogeneous[..., 2:], in_camera[..., 2]


def projection_matrix(intrinsics: Float[Tensor, "v 3 3"], *, near: float, far: float) -> Float[Tensor, "v 4 4"]:
    """Camera space to clip space as the published renderers have it: y down, depth in [0, 1] from near to far."""
    matrix = intrinsics.new_zeros(len(intrinsics), 4, 4)
    matrix[:, 0, 0] = 2 * intrinsics[:, 0, 0]
    matrix[:, 1, 1] = 2 * intrinsics[:, 1, 1]
    matrix[:, 0, 2] = 2 * intrinsics[:, 0, 2] - 1
    matrix[:, 1, 2] = -2 * intrinsics[:, 1, 2] + 1
    matrix[:, 2, 2] = far / (far - near)
    matrix[:, 2, 3] = near * far / (near - far)
    matrix[:, 3, 2] = 1
    return matrix
