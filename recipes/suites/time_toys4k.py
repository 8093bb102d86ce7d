"""How long an object takes through the pictures and features of `toys4k`: to plan with, on the machine that runs it.

    python recipes/suites/time_toys4k.py recipes/samples/chair.glb

Networks have their true sizes and random weights, so nothing has to be downloaded. A few views of each kind are timed
and scaled up to the protocol's number. What encodes, decodes and samples is not in it: docs/models.md has its times.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trellis_cli import console
from trellis_cli.geometry.cameras import hammersley_cameras, orbit
from trellis_cli.metrics.farthest import farthest_points
from trellis_cli.metrics.geometry import chamfer_distance, f_score
from trellis_cli.metrics.image import psnr, ssim
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.networks.inception import InceptionV3
from trellis_cli.networks.pointnet2 import PointNet2
from trellis_cli.renderers import gaussians as gaussian_renderer
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suites import read_suite

TYPICAL_GAUSSIANS = 16_000 * 32  # of a released model: 32 on each of an object's voxels


def seconds(work: Callable[[], Any]) -> float:
    """Of the second call: the first compiles kernels and touches memory."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def dinov2() -> nn.Module:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    return Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(
            hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518, patch_size=14
        )
    ).eval()


def clip() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=224,
            patch_size=14,
        )
    ).eval()  # fmt: skip


def ball(num: int) -> Gaussians:
    """Gaussians as small, and as many, as a decoded object's, on a sphere."""
    generator = torch.Generator().manual_seed(0)
    means = torch.nn.functional.normalize(torch.randn(num, 3, generator=generator), dim=1) * 0.4
    quats = torch.nn.functional.normalize(torch.randn(num, 4, generator=generator), dim=1)
    return Gaussians(means, quats, torch.full((num, 3), 0.004), torch.full((num,), 0.5), torch.ones(num, 1, 3))


@torch.no_grad()
def times(path: Path) -> dict[str, float]:
    """Part of the protocol -> seconds an object."""
    suite = read_suite("toys4k")
    assert isinstance(suite, ObjectSuite)
    again, anew = suite.reconstruction, suite.generation
    fov, size = math.radians(anew.fov_deg), anew.size
    mesh, gaussians, eye = into_cube(path)[0], ball(TYPICAL_GAUSSIANS), dinov2()
    generator = torch.Generator().manual_seed(0)
    pictures, clouds = torch.rand(2, 3, size, size, generator=generator), torch.rand(2, anew.points, 3)

    def views(num: int, size: int, **what: Any) -> Callable[[], Any]:
        return lambda: render_views(mesh, hammersley_cameras(num, radius=2.0, fov=fov), size=size, **what)

    def look(network: nn.Module, num: int, edge: int) -> Callable[[], Any]:
        return lambda: network(torch.rand(num, 3, edge, edge))

    lpips, camera, made = load_lpips(), orbit([0.3], [0.2], radius=2.0, fov=fov), len(anew.yaws_deg)
    drawn, kinds = 2 * made, len(again.representations)
    splat = seconds(lambda: gaussian_renderer.render(gaussians, camera, size=size))
    return {
        "reconstruction: views for the features": seconds(views(4, again.input_size)) * again.input_views / 4,
        "reconstruction: DINOv2 of them": seconds(look(eye, 1, 518)) * again.input_views,
        "reconstruction: depth of both surfaces": seconds(views(4, again.depth_size, supersample=1, depth=True))
        * 2 * again.depth_views / 4,
        "reconstruction: chamfer, F-score": seconds(lambda: (chamfer_distance(*clouds), f_score(*clouds))),
        "reconstruction: PSNR, SSIM, LPIPS": seconds(lambda: [f(*pictures.split(1)) for f in (psnr, ssim, lpips)])
        * (kinds + 1),
        "generation: pictures of the made": splat * (made + len(anew.clip_yaws_deg)),
        "generation: pictures of the real": seconds(views(4, size)) * made / 4,
        "generation: Inception-v3": seconds(look(InceptionV3().eval(), 1, 299)) * drawn,
        "generation: DINOv2": seconds(look(eye, 1, 224)) * drawn,
        "generation: CLIP": seconds(look(clip(), 1, 224)) * len(anew.clip_yaws_deg),
        "generation: farthest points": seconds(lambda: farthest_points(clouds[0], anew.cloud)) * 2,
        "generation: PointNet++": seconds(lambda: PointNet2().eval()(clouds[:1, : anew.cloud])) * 2,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", type=Path, help="a typical object")
    found = times(parser.parse_args().mesh)
    rows = [["part", "seconds an object", "objects an hour"]]
    rows += [[name, f"{s:.3g}", f"{3600 / s:.3g}"] for name, s in found.items()]
    console.result(console.table(rows), found)


if __name__ == "__main__":
    main()
