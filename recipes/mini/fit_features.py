"""Fit the fixed linear maps that reduce AlexNet's taps to a few channels, and store them with its weights.

    python recipes/mini/fit_features.py --data DATA [--weights trellis_cli/models/mini/ckpts] [--channels 32]

Principal components of each tap over the cells that show an object, in views of objects of DATA (a data folder made
with `trellis data export`), each component scaled to unit variance: one number for each direction in which what is seen
differs most. RGB is kept beside them, so colour is never lost. The same data gives the same maps.
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor

from trellis_cli.data.index import read_manifest
from trellis_cli.data.manifest import OBJECTS
from trellis_cli.geometry.cameras import orbit
from trellis_cli.networks.conv_trunks import imagenet_normalised
from trellis_cli.networks.image_encoders import AlexNetEncoder, load_image_encoder
from trellis_cli.renderers.mesh import render_views
from trellis_cli.stages.sources import into_cube

TAPS = (1, 2, 3, 5)
YAWS, PITCHES = (0.5, 2.1, 3.7, 5.2), (0.5, -0.2, 0.9, 0.1)


def views_of(path: Path, size: int) -> tuple[Tensor, Tensor]:
    """Images [v, 3, size, size] in [0, 1] on black, and which pixels show the object [v, 1, size, size]."""
    mesh, _ = into_cube(path)
    rgba = torch.from_numpy(render_views(mesh, orbit(YAWS, PITCHES, radius=2.0, fov=math.radians(40)), size=size).rgba)
    rgba = rgba.permute(0, 3, 1, 2).float() / 255
    return rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]


class Moments:
    """Running sum of outer products, for mean and covariance in float64."""

    def __init__(self, channels: int) -> None:
        self.count, self.total = 0, torch.zeros(channels, dtype=torch.float64)
        self.outer = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        rows = rows.double()
        self.count += len(rows)
        self.total += rows.sum(0)
        self.outer += rows.T @ rows

    def components(self, num: int) -> tuple[Tensor, Tensor, float]:
        """(weight [num, c], bias [num], share of the variance kept) of the whitened leading components."""
        mean = self.total / self.count
        values, vectors = torch.linalg.eigh(self.outer / self.count - torch.outer(mean, mean))
        values, vectors = values.flip(0)[:num].clamp(min=1e-8), vectors.flip(1)[:, :num]
        vectors = vectors * torch.where(vectors.sum(0) < 0, -1.0, 1.0)  # eigh leaves the sign open
        weight = (vectors / values.sqrt()).T
        kept = float(values.sum() / (self.outer / self.count - torch.outer(mean, mean)).diagonal().sum())
        return weight, -weight @ mean, kept


@torch.no_grad()
def fit(encoder: AlexNetEncoder, paths: list[Path], *, channels: int, size: int) -> dict[str, Tensor]:
    moments = {tap: Moments(encoder.trunk.tap_channels[tap - 1]) for tap in TAPS}
    for path in paths:
        images, mask = views_of(path, size)
        outputs = encoder.trunk(imagenet_normalised(images))
        for tap in TAPS:
            maps = outputs[tap - 1]
            shown = F.adaptive_avg_pool2d(mask, maps.shape[2:])[:, 0] > 0.3
            moments[tap].add(maps.permute(0, 2, 3, 1)[shown])
    state = {}
    for tap in TAPS:
        weight, bias, kept = moments[tap].components(channels)
        print(f"tap {tap}: {channels} of {weight.shape[1]} channels keep {kept:.1%} of the variance")  # noqa: T201
        state[f"reduce{tap}.weight"], state[f"reduce{tap}.bias"] = weight.float()[..., None, None], bias.float()
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data folder with objects and a manifest")
    parser.add_argument("--weights", type=Path, default=Path("trellis_cli/models/mini/ckpts"), help="folder to add to")
    parser.add_argument("--channels", type=int, default=32, help="of each tap")
    parser.add_argument("--num", type=int, default=240, help="objects to look at")
    parser.add_argument("--size", type=int, default=256, help="pixels along a view's edge")
    args = parser.parse_args()
    train = sorted(id_ for id_, row in read_manifest(args.data / "manifest.jsonl").items() if row["split"] == "train")
    paths = [args.data / OBJECTS / f"{id_}.glb" for id_ in train[:: max(1, len(train) // args.num)][: args.num]]
    reduced = fit(load_image_encoder(args.weights), paths, channels=args.channels, size=args.size)
    weights = args.weights / "image_encoder.safetensors"
    trunk = {key: value for key, value in load_file(weights).items() if key.startswith("conv")}
    weights.write_bytes(save(trunk | reduced))
    description = {"name": "AlexNetEncoder", "args": {"taps": list(TAPS), "reduced": args.channels}}
    (args.weights / "image_encoder.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
