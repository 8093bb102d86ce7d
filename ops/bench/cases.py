"""What the benchmark times: one function an op, from a device to its cases.

To add an op: write a function that yields `Case`s at sizes that matter in the pipeline, and enter it in CASES. `small`
is the same call at a size that the reference does in a second; parity there comes before any timing.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trellis_ops.testing import assert_matches


def same_tensors(got: Any, want: Any, *, what: str, ratio: float | None = None) -> None:
    """The usual parity: every tensor of one answer matches its counterpart."""
    for i, (g, w) in enumerate(zip(tensors(got), tensors(want), strict=True)):
        assert_matches(g, w, what=f"{what}, output {i}", ratio=ratio)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call to time. `inputs` and `small` are keyword arguments of `call`; `call` takes `backend` too.

    gradients: names of inputs whose gradients are compared, and whose backward pass gets a row of its own.
    """

    op: str
    name: str
    call: Callable[..., Any]
    inputs: Mapping[str, Any]
    small: Mapping[str, Any]
    gradients: tuple[str, ...] = ()
    parity: Callable[..., None] = same_tensors
    gradient_ratio: float | None = None


def tensors(answer: Any) -> list[Tensor]:
    """The tensors of an op's answer: one, a tuple of them, or a dataclass that holds them."""
    if isinstance(answer, Tensor):
        return [answer]
    if dataclasses.is_dataclass(answer):
        answer = tuple(getattr(answer, f.name) for f in dataclasses.fields(answer))
    return [t for part in answer if part is not None for t in tensors(part)]


def torus(sections: int, device: str, *, large: float = 0.35, small: float = 0.14) -> dict[str, Tensor]:
    """2 sections^2 triangles about the z axis, in the cube."""
    angle = torch.arange(sections, device=device) * (2 * math.pi / sections)
    around, across = angle[:, None], angle[None, :]
    ring = (large + small * across.cos()).expand(sections, -1)
    vertices = torch.stack(
        [around.cos() * ring, around.sin() * ring, (small * across.sin()).expand(sections, -1)], dim=-1
    )
    i, j = torch.meshgrid(*[torch.arange(sections, device=device)] * 2, indexing="ij")
    a, b = i * sections + j, (i + 1) % sections * sections + j
    right = (j + 1) % sections - j
    faces = torch.stack([torch.stack([a, b, b + right], dim=-1), torch.stack([a, b + right, a + right], dim=-1)])
    return {"vertices": vertices.reshape(-1, 3), "faces": faces.reshape(-1, 3)}


def views(num: int, device: str, *, distance: float = 2.0) -> dict[str, Tensor]:
    """`num` cameras on a circle about the z axis, level, looking at the centre; 40 degrees wide."""
    yaw = torch.arange(num, device=device) * (2 * math.pi / num)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    right = torch.stack([-yaw.cos(), yaw.sin(), zero], dim=1)
    down = torch.stack([zero, zero, -one], dim=1)
    extrinsics = torch.eye(4, device=device).repeat(num, 1, 1)
    extrinsics[:, :3, :3] = torch.stack([right, down, torch.linalg.cross(right, down)], dim=1)
    extrinsics[:, 2, 3] = distance
    focal = 0.5 / math.tan(math.radians(20))
    intrinsics = torch.tensor([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]], device=device)
    return {"extrinsics": extrinsics, "intrinsics": intrinsics.repeat(num, 1, 1)}


def view(device: str) -> dict[str, Tensor]:
    """One of the cameras, where an op takes one."""
    return {name: x[0] for name, x in views(1, device).items()}


def shell(resolution: int, device: str, *, radius: float = 0.4) -> Tensor:
    """Coords of the voxels near a sphere's surface, sorted: about 22 (radius resolution)^2 of them."""
    axis = torch.arange(resolution, device=device)
    coords = torch.cartesian_prod(axis, axis, axis)
    distance = ((coords + 0.5) / resolution - 0.5).norm(dim=1)
    return coords[(distance - radius).abs() < 0.5 * math.sqrt(3) / resolution].int()


def voxelize(device: str) -> Iterator[Case]:
    from trellis_ops.voxelize import voxelize

    for resolution in (64, 256):
        yield Case(
            op="voxelize",
            name=f"51200 faces, {resolution}^3",
            call=voxelize,
            inputs=torus(160, device) | {"resolution": resolution},
            small=torus(7, device) | {"resolution": 9},
        )


def view_average(device: str) -> Iterator[Case]:
    from trellis_ops.view_average import view_average

    def inputs(n: int, v: int, c: int, side: int) -> dict[str, Any]:
        maps = torch.randn(v, c, side, side, device=device)
        coords = torch.randint(0, 64, (n, 3), device=device)
        return views(v, device) | {"coords": coords, "feature_maps": maps, "resolution": 64}

    for num_views, channels, side in ((24, 256, 13), (24, 384, 37)):
        yield Case(
            op="view_average",
            name=f"2500 voxels, {num_views} maps of {channels} x {side} x {side}",
            call=view_average,
            inputs=inputs(2500, num_views, channels, side),
            small=inputs(50, 3, channels, side),
        )


def splat(device: str) -> Iterator[Case]:
    from trellis_ops.splat import splat, splat_views

    def inputs(num: int, side: int, scale: float) -> dict[str, Any]:
        """Gaussians on a sphere of radius 0.4, as a decoded asset has them: on the surface, thin, mostly opaque."""
        return view(device) | {
            "means": 0.4 * torch.nn.functional.normalize(torch.randn(num, 3, device=device), dim=1),
            "quats": torch.randn(num, 4, device=device),
            "scales": scale * (0.5 + torch.rand(num, 3, device=device)),
            "opacities": 0.1 + 0.9 * torch.rand(num, device=device),
            "colours": torch.rand(num, 3, device=device),
            "background": torch.zeros(3, device=device),
            "width": side,
            "height": side,
        }

    yield Case(
        op="splat",
        name="100k Gaussians, 512^2",
        call=splat,
        inputs=inputs(100_000, 512, 0.004),
        small=inputs(60, 20, 0.04),
        gradients=("means", "quats", "scales", "opacities", "colours"),
        gradient_ratio=1e-3,
    )
    yield Case(
        op="splat",
        name="20k Gaussians, 4 views of 128^2",
        call=splat_views,
        inputs=inputs(20_000, 128, 0.004) | views(4, device),
        small=inputs(60, 20, 0.04) | views(2, device),
        gradients=("means", "quats", "scales", "opacities", "colours"),
        gradient_ratio=1e-3,
    )


def march(device: str) -> Iterator[Case]:
    from trellis_ops.march import march, march_views

    def inputs(resolution: int, ranks: int, d: int, side: int) -> dict[str, Any]:
        """A shell as thick as a decoded asset's; most rays that meet it go through the front, and end in the back."""
        coords = shell(resolution, device, radius=0.365)
        n = len(coords)
        return view(device) | {
            "coords": coords,
            "factors": 1 + 0.3 * torch.randn(n, ranks, 3, d, device=device),
            "density": resolution / 6 * torch.randn(n, ranks, device=device),
            "colours": torch.randn(n, ranks, 3, device=device),
            "background": torch.zeros(3, device=device),
            "resolution": resolution,
            "width": side,
            "height": side,
        }

    for num_views, side in ((1, 512), (4, 128)):
        yield Case(
            op="march",
            name=f"64^3 shell ({len(shell(64, device, radius=0.365))} voxels), 16 ranks, 8^3, {num_views} x {side}^2",
            call=march if num_views == 1 else march_views,
            inputs=inputs(64, 16, 8, side) | ({} if num_views == 1 else views(num_views, device)),
            small=inputs(6, 5, 4, 20) | ({} if num_views == 1 else views(2, device)),
            gradients=("factors", "density", "colours"),
            gradient_ratio=1e-3,
        )


def packed_attention(device: str) -> Iterator[Case]:
    from trellis_ops.packed_attention import packed_attention, windowed_attention

    def qkv(n: int, heads: int) -> dict[str, Tensor]:
        return {name: torch.randn(n, heads, 64, device=device) for name in "qkv"}

    def full(lengths: list[int]) -> dict[str, Any]:
        offsets = torch.tensor([0, *lengths], device=device).cumsum(0)
        return qkv(sum(lengths), 8) | {"offsets": offsets}

    def windowed(resolution: int) -> dict[str, Any]:
        coords = shell(resolution, device)
        offsets = torch.tensor([0, len(coords)], device=device)
        return qkv(len(coords), 4) | {"coords": coords, "offsets": offsets, "window": 8, "shift": 4}

    yield Case(
        op="packed_attention",
        name="full, 2 x 1024 tokens, 8 heads of 64",
        call=packed_attention,
        inputs=full([1024, 1024]),
        small=full([5, 0, 33]),
        gradients=("q", "k", "v"),
    )
    yield Case(
        op="packed_attention",
        name=f"windows of 8^3 on a 64^3 shell ({len(shell(64, device))} tokens), 4 heads of 64",
        call=windowed_attention,
        inputs=windowed(64),
        small=windowed(5),
        gradients=("q", "k", "v"),
    )


def submanifold_conv(device: str) -> Iterator[Case]:
    from trellis_ops.submanifold_conv import neighbour_table, submanifold_conv

    def inputs(resolution: int, channels: int) -> dict[str, Any]:
        coords = shell(resolution, device)
        table = neighbour_table(coords, torch.tensor([0, len(coords)], device=device))
        return {
            "feats": torch.randn(len(coords), channels, device=device),
            "weight": torch.randn(channels, 3, 3, 3, channels, device=device) / (27 * channels) ** 0.5,
            "bias": torch.randn(channels, device=device),
            "table": table,
        }

    yield Case(
        op="submanifold_conv",
        name=f"64^3 shell ({len(shell(64, device))} voxels), 128 to 128 channels",
        call=submanifold_conv,
        inputs=inputs(64, 128),
        small=inputs(8, 8),
        gradients=("feats", "weight", "bias"),
    )


def isosurface(device: str) -> Iterator[Case]:
    from trellis_ops.isosurface import isosurface

    corners = torch.tensor([[j & 1, j >> 1 & 1, j >> 2 & 1] for j in range(8)], device=device)

    def inputs(resolution: int, *, training: bool) -> dict[str, Any]:
        coords = shell(resolution, device)
        n = len(coords)
        distance = ((coords[:, None] + corners) / resolution - 0.5).norm(dim=2)
        return {
            "coords": coords,
            "sdf": distance - 0.4 + 1 / resolution,
            "deform": 0.1 * torch.randn(n, 8, 3, device=device),
            "weights": 0.1 * torch.randn(n, 21, device=device),
            "attributes": torch.randn(n, 8, 6, device=device),
            "resolution": resolution,
            "training": training,
        }

    for training in (False, True):
        yield Case(
            op="isosurface",
            name=f"128^3 shell ({len(shell(128, device))} cubes){', training' if training else ''}",
            call=isosurface,
            inputs=inputs(128, training=training),
            small=inputs(5, training=training),
            gradients=("sdf", "deform", "weights", "attributes") if training else (),
            gradient_ratio=1e-4,
        )


def rasterize(device: str) -> Iterator[Case]:
    from trellis_ops.rasterize import rasterize

    def inputs(sections: int, side: int) -> dict[str, Any]:
        mesh = torus(sections, device)
        # The ring faces the camera, a little uneven: what a ray through an exact edge sees is for rounding to decide.
        positions = mesh["vertices"][:, [0, 2, 1]] + 0.1 / sections * torch.rand(sections**2, 3, device=device)
        return view(device) | {"positions": positions, "faces": mesh["faces"], "width": side, "height": side}

    yield Case(
        op="rasterize",
        name="51200 faces, 512^2",
        call=rasterize,
        inputs=inputs(160, 512),
        small=inputs(8, 16),
        gradients=("positions",),
        gradient_ratio=1e-3,
    )


CASES: dict[str, Callable[[str], Iterator[Case]]] = {
    "voxelize": voxelize,
    "view_average": view_average,
    "packed_attention": packed_attention,
    "submanifold_conv": submanifold_conv,
    "splat": splat,
    "march": march,
    "isosurface": isosurface,
    "rasterize": rasterize,
}
