"""What mini is worth: its contact sheets, its nearest training objects, its reconstructions. Figures go to stdout as
Markdown tables, pictures to --out.

    python recipes/mini/report.py sheets WORK/mini --out docs/mini --scratch WORK/report
    python recipes/mini/report.py pictures WORK/mini --pictures WORK/report/pictures --out docs/mini
    python recipes/mini/report.py nearest WORK/data --scratch WORK/report
    python recipes/mini/report.py reconstruction WORK/mini WORK/data --num 24 --scratch WORK/report
    python recipes/mini/report.py credits WORK/data > trellis_cli/models/mini/CREDITS.md

`pictures` takes those that picture_prompts.py made; `nearest` reads the latents that `sheets` left in --scratch.

Reconstruction is measured on SweetHome3D, train and held out: PSNR and LPIPS (AlexNet) of Gaussians at four views of
256 pixels (yaw 45, 135, 225, 315, pitch 20 degrees, radius 2, 40 degrees) on black, none of them a view that features
were taken from; the same of radiance fields, 4 x 4 rays a pixel, in the row "field", where the model has them; chamfer
distance and F-score (radius 0.05) of meshes on 100,000 points of 100 depth views. The row "voxels" is the ground truth
against its own active voxels, drawn as cubes in the mean colour that the views show there.
"""

import argparse
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trellis_cli import console
from trellis_cli.data.index import read_manifest
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, TrellisError
from trellis_cli.geometry.cameras import hammersley_cameras, orbit
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.io.stage_files import open_stage
from trellis_cli.metrics.geometry import chamfer_distance, choose_points, f_score, points_from_depth
from trellis_cli.metrics.image import psnr
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.networks.conv_trunks import IMAGENET_MEAN, IMAGENET_STD
from trellis_cli.networks.image_encoders import load_image_encoder
from trellis_cli.renderers.gaussians import render
from trellis_cli.renderers.mesh import render_mesh, render_views, textured
from trellis_cli.renderers.radiance_field import render as render_field
from trellis_cli.representations.mesh import Mesh, TexturedMesh
from trellis_cli.stages.decode import NETWORKS, Decoder
from trellis_cli.stages.encode import slat_latent
from trellis_cli.stages.featurize import features
from trellis_cli.stages.image_prompts import prepared
from trellis_cli.stages.prompts import prompts_of
from trellis_cli.stages.render import render as render_stage
from trellis_cli.stages.sample import sample
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.view import Row, gaussian_row, sheet_cameras, view
from trellis_cli.stages.voxelize import voxelize_file
from trellis_cli.training.loop import torso_dtype

PROMPTS = (
    "log cabin", "a red wooden chair", "round table", "sofa", "bed", "blue car", "pine tree", "table lamp",
    "house with a thatched roof", "bookshelf", "stone tower", "ship",
)  # fmt: skip
SIZE = 256
CAMERAS = orbit([math.radians(a) for a in (45, 135, 225, 315)], [math.radians(20)] * 4)
AROUND = hammersley_cameras(100)
DTYPE = torso_dtype("auto", "cpu")
SCRATCH = Path(tempfile.gettempdir()) / "mini-report"


def sheets(model: ModelFolder, out: Path, scratch: Path) -> None:
    """Latents of every prompt, seed 0, and of each six a sheet of Gaussians and one of meshes, a row a prompt."""
    files = [latents_of(prompt, scratch) for prompt in PROMPTS]
    for prompt, path in zip(PROMPTS, files, strict=True):
        sample([prompt], path, model, seed=0, dtype=DTYPE, overwrite=True)
    for kind in ("gaussians", "mesh"):
        for number, half in enumerate((files[:6], files[6:]), 1):
            picture = out / f"{kind}-{number}.png"
            view(half, picture, str(model.path), num_views=4, size=160, kind=kind, dtype=DTYPE, overwrite=True)


def pictures(model: ModelFolder, folder: Path, out: Path, scratch: Path) -> None:
    """Latents of every picture, seed 0; a sheet of six rows: the prompt as the encoder sees it, and four views."""
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg"))
    file = scratch / "pictures.slat.h5"
    sample([Prompt(images=(p,)) for p in paths], file, model, seed=0, dtype=DTYPE, overwrite=True)
    decoder, cameras = Decoder(model, "gaussians", dtype=DTYPE), sheet_cameras(4)
    rows: list[Row] = []
    with open_stage(file) as opened:
        group, names = opened.group("slat"), prompts_of(opened.attrs)
        of_name = {names[id_]: index for index, id_ in enumerate(group.ids)}
        for path in paths:
            seen = prepared(path, size=160)
            shown = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
            gaussians = decoder.gaussians(decoder.latents(group, of_name[path.name]))
            rows.append((path.stem, [np.asarray(shown), *gaussian_row(gaussians, cameras, 160)]))
    for number, half in enumerate((rows[:6], rows[6:]), 1):
        save_picture(out / f"pictures-{number}.png", labelled(half))


def latents_of(prompt: str, scratch: Path) -> Path:
    return scratch / f"{prompt.replace(' ', '-')}.slat.h5"


def nearest(data: Path, scratch: Path) -> None:
    """For each prompt's latents, as `sheets` left them: the training object, or its mirror image, with the highest IoU
    of active voxels."""
    rows = read_manifest(data / "manifest.jsonl")
    ids: list[str] = []
    grids: list[np.ndarray] = []
    with open_stage(data / "voxels.h5") as file:
        group = file.group("voxels")
        resolution = int(group.attrs["resolution"])
        for index, id_ in enumerate(group.ids):
            if rows[id_]["split"] == "train":
                ids.append(id_)
                grids.append(np.packbits(_flat(group.asset(index)["coords"], resolution)))
    if not ids:
        raise FileError(
            f"{data} has no voxels of training objects", hint="give the data folder that mini was made from"
        )
    bits = np.stack(grids)
    sizes = _bits(bits)
    console.result("| prompt | nearest training object | source | IoU |\n|---|---|---|---|")
    for prompt in PROMPTS:
        with open_stage(latents_of(prompt, scratch)) as file:
            coords = file.group("slat").asset(0)["coords"].astype(np.int64)
        best: tuple[float, str] = (0.0, "")
        for flipped in (False, True):
            own = coords.copy()
            if flipped:
                own[:, 0] = resolution - 1 - own[:, 0]
            mine = np.packbits(_flat(own, resolution))
            both = _bits(bits & mine)
            iou = both / np.maximum(sizes + len(coords) - both, 1)
            best = max(best, (float(iou.max()), ids[int(iou.argmax())]))
        row = rows[best[1]]
        console.result(f"| {prompt} | {max(row['captions'], key=len)} | {row['source']} | {best[0]:.2f} |")


def _bits(rows: np.ndarray) -> np.ndarray:
    """How many bits are set in each row of bytes. (NumPy 1 has no bitwise_count.)"""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)[rows].sum(1)


def _flat(coords: np.ndarray, resolution: int) -> np.ndarray:
    grid = np.zeros((resolution,) * 3, bool)
    grid[tuple(coords.astype(np.int64).T)] = True
    return grid.ravel()


class Truth:
    """One object: its pictures at CAMERAS, its points, its voxels and features."""

    def __init__(self, path: Path, scratch: Path, resolution: int, encoder: Any) -> None:
        self.mesh, _ = into_cube(path)
        self.pictures = _on_black(render_views(self.mesh, CAMERAS, size=SIZE).rgba)
        self.points = _points(self.mesh)
        self.coords = torch.from_numpy(voxelize_file(path, "0" * 64, resolution=resolution)["coords"])
        views = scratch / f"{path.stem}.views.h5"
        if not views.exists():
            render_stage([path], views, num_views=24, size=128)
        with open_stage(views) as file:
            self.feats = features(encoder, self.coords.int(), file.group("views").asset(0), resolution)


def _on_black(rgba: np.ndarray) -> Tensor:
    """[v, 3, h, w] in [0, 1]."""
    pixels = torch.from_numpy(rgba).float() / 255
    return (pixels[..., :3] * pixels[..., 3:]).permute(0, 3, 1, 2)


def _points(mesh: TexturedMesh) -> Tensor:
    depth = render_views(mesh, AROUND, size=128, supersample=1, depth=True).depth
    points = points_from_depth(torch.from_numpy(depth).double(), AROUND.extrinsics, AROUND.intrinsics)
    return choose_points(points, 100_000, torch.Generator().manual_seed(0))


def cubes(coords: Tensor, colours: Tensor, resolution: int) -> Mesh:
    """Active voxels as cubes, each of one colour."""
    corner = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))])
    vertices = (coords[:, None].float() + corner) / resolution - 0.5
    all_faces = faces[None] + 8 * torch.arange(len(coords))[:, None, None]
    return Mesh(vertices.reshape(-1, 3), all_faces.reshape(-1, 3), colours.repeat_interleave(8, 0).clamp(0, 1))


Scores = dict[str, float]


def picture_scores(got: Tensor, want: Tensor, lpips: Callable[[Tensor, Tensor], Tensor]) -> Scores:
    """Means over the views."""
    got = got.clamp(0, 1)
    return {"psnr": float(psnr(got, want).mean()), "lpips": float(lpips(got, want).mean())}


def mesh_scores(mesh: Mesh, truth: Truth) -> Scores:
    points = _points(textured(mesh))
    return {"cd": chamfer_distance(points, truth.points), "f": f_score(points, truth.points)}


def voxel_scores(truth: Truth, lpips: Any, resolution: int) -> Scores:
    colours = truth.feats[:, :3] * torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN)
    solid = cubes(truth.coords, colours, resolution)
    pictures = _on_black(render_mesh(solid, CAMERAS, size=SIZE).rgba)
    return picture_scores(pictures, truth.pictures, lpips) | mesh_scores(solid, truth)


@torch.no_grad()
def model_scores(truth: Truth, encoder: Any, decoders: dict[str, Decoder], lpips: Any) -> Scores:
    packed = _latents(truth, encoder)
    gaussians = decoders["gaussians"].gaussians(packed)
    images, _ = render(gaussians, CAMERAS, size=SIZE)
    scores = picture_scores(images.permute(0, 3, 1, 2), truth.pictures, lpips)
    return scores | mesh_scores(decoders["mesh"].mesh(packed), truth)


@torch.no_grad()
def field_scores(truth: Truth, encoder: Any, decoder: Decoder, lpips: Any) -> Scores:
    field = decoder.radiance_field(_latents(truth, encoder))
    images = torch.cat([render_field(field, camera, size=SIZE, supersample=4)[0] for camera in CAMERAS])
    return picture_scores(images.permute(0, 3, 1, 2), truth.pictures, lpips)


def _latents(truth: Truth, encoder: Any) -> Packed:
    latent = slat_latent(encoder, truth.coords, truth.feats.half().float())
    return Packed(latent, truth.coords.int(), torch.tensor([0, len(latent)]))


def reconstruction(model: ModelFolder, data: Path, num: int, scratch: Path, ids: list[str]) -> None:
    rows = read_manifest(data / "manifest.jsonl")
    encoder = model.load("slat_encoder", dtype=DTYPE)
    decoders = {
        kind: Decoder(model, kind, dtype=DTYPE)
        for kind, network in NETWORKS.items()
        if network in model.pipeline["models"]
    }
    images, lpips = load_image_encoder(), load_lpips()
    resolution = int(encoder.resolution)  # type: ignore[arg-type]
    scratch.mkdir(parents=True, exist_ok=True)
    console.result("| objects | row | PSNR | LPIPS | CD | F-score |\n|---|---|---|---|---|---|")
    chosen = {
        split: sorted(i for i, r in rows.items() if r["source"] == "sweethome3d" and r["split"] == split)
        for split in ("train", "test")
    }
    sets = {"given": ids} if ids else {k: v[:: max(1, len(v) // num)][:num] for k, v in chosen.items()}
    for name, members in sets.items():
        truths = [Truth(data / "objects" / f"{i}.glb", scratch, resolution, images) for i in members]
        measures = {
            "voxels": lambda t: voxel_scores(t, lpips, resolution),
            "model": lambda t: model_scores(t, encoder, decoders, lpips),
        }
        if "radiance-field" in decoders:
            measures["field"] = lambda t: field_scores(t, encoder, decoders["radiance-field"], lpips)
        for row, measure in measures.items():
            _print_row(f"{len(truths)} {name}", row, [measure(t) for t in truths])


def _print_row(objects: str, row: str, scores: list[Scores]) -> None:
    mean = {k: float(np.mean([s[k] for s in scores])) for k in scores[0]}
    cells = f"{mean['psnr']:.2f} | {mean['lpips']:.3f} | "
    cells += f"{mean['cd']:.4f} | {mean['f']:.3f}" if "cd" in mean else "- | -"  # a field has no mesh to measure
    console.result(f"| {objects} | {row} | {cells} |")


def credits(data: Path) -> None:
    """Everyone whose objects a model saw in training, with the licence and the objects' names."""
    names: dict[tuple[str, str], set[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in read_manifest(data / "manifest.jsonl").values():
        if row["split"] == "train":
            counts[row["credit"], row["licence"]] += 1
            names.setdefault((row["credit"], row["licence"]), set()).add(row["name"])
    console.result("# Credits\n\nThe objects that mini was trained on, by author.\n")
    console.result("| author (collection) | licence | objects | their names |\n|---|---|---|---|")
    for (credit, licence), num in sorted(counts.items()):
        listed = ", ".join(sorted(names[credit, licence]))
        console.result(f"| {credit} | {licence} | {num} | {listed} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    commands = {name: what.add_parser(name) for name in ("sheets", "pictures", "nearest", "reconstruction", "credits")}
    for name in ("sheets", "pictures", "reconstruction"):
        commands[name].add_argument("model", help="a model folder, or mini")
    for name in ("nearest", "reconstruction", "credits"):
        commands[name].add_argument("data", type=Path, help="the data folder: objects, manifest.jsonl, voxels.h5")
    for name in ("sheets", "pictures", "nearest", "reconstruction"):
        text = f"latents and views are kept here (default: {SCRATCH})"
        commands[name].add_argument("--scratch", type=Path, default=SCRATCH, help=text)
    for name in ("sheets", "pictures"):
        commands[name].add_argument("--out", type=Path, default=Path("docs/mini"), help="where the sheets go")
    commands["pictures"].add_argument("--pictures", type=Path, required=True, help="a folder of .png and .jpg files")
    commands["reconstruction"].add_argument("--num", type=int, default=24, help="objects a split")
    commands["reconstruction"].add_argument("--ids", nargs="*", default=[], help="these objects instead")
    args = parser.parse_args()
    try:
        if args.what == "sheets":
            sheets(open_model(args.model), args.out, args.scratch)
        elif args.what == "pictures":
            pictures(open_model(args.model), args.pictures, args.out, args.scratch)
        elif args.what == "nearest":
            nearest(args.data, args.scratch)
        elif args.what == "reconstruction":
            reconstruction(open_model(args.model), args.data, args.num, args.scratch, args.ids)
        else:
            credits(args.data)
    except TrellisError as error:
        console.error(error.problem, error.hint)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
