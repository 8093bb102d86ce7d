"""Twelve picture prompts of held-out objects: nine renders without a background, three that look like product photos.

    python recipes/mini/picture_prompts.py WORK/data --out WORK/report/pictures

The objects are evenly spaced among all real held-out ones, sorted by id. Renders: 512 pixels, yaw 30 degrees beside the
front, pitch 20, as RGBA. Photos: another camera for each, a lens of 25 degrees, before a grey wall that darkens towards
the edges, with a soft shadow under the object, noise of the sensor, and JPEG.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from trellis_cli import console
from trellis_cli.data.index import read_manifest
from trellis_cli.geometry.cameras import Cameras, orbit
from trellis_cli.io.aside import aside
from trellis_cli.renderers.mesh import render_views
from trellis_cli.stages.sources import into_cube

SIZE = 512
NUM_RENDERS, NUM_PHOTOS = 9, 3
PHOTO_YAWS, PHOTO_PITCHES = (140.0, 205.0, 165.0), (12.0, 30.0, 18.0)  # degrees; an object's front looks along 180


def chosen(data: Path) -> list[tuple[str, str]]:
    """Id and name of each prompt's object."""
    rows = read_manifest(data / "manifest.jsonl")
    held_out = sorted(i for i, r in rows.items() if r["split"] == "test" and r["source"] != "toybox")
    num = NUM_RENDERS + NUM_PHOTOS
    return [(i, rows[i]["name"]) for i in held_out[:: len(held_out) // num][:num]]


def picture(path: Path, camera: Cameras) -> Image.Image:
    return Image.fromarray(render_views(into_cube(path)[0], camera, size=SIZE).rgba[0])


def as_photo(rgba: Image.Image, seed: int) -> Image.Image:
    """The object before a grey wall."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    wall = 214 - 38 * (x**2 + y**2)[..., None] * 2 - np.array([0.0, 1.0, 4.0])
    alpha = rgba.getchannel("A")
    left, _, right, bottom = alpha.getbbox() or (0, 0, SIZE, SIZE)
    shade = Image.new("L", rgba.size)
    height = (right - left) // 10
    shade.paste(70, (left, max(0, bottom - height), right, min(SIZE, bottom + height // 2)))
    shadow = np.asarray(shade.filter(ImageFilter.GaussianBlur(18)))[..., None] / 255
    background = Image.fromarray((wall * (1 - shadow)).clip(0, 255).astype(np.uint8))
    background.paste(rgba.convert("RGB"), mask=alpha)
    pixels = np.asarray(background.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    return Image.fromarray((pixels + generator.normal(0, 2, pixels.shape)).clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data folder: objects and manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the pictures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number, (id_, name) in enumerate(chosen(args.data)):
        photo = number - NUM_RENDERS
        yaw, pitch, fov = (150.0, 20.0, 40.0) if photo < 0 else (PHOTO_YAWS[photo], PHOTO_PITCHES[photo], 25.0)
        radius = (math.sqrt(3) / 2) / math.sin(math.radians(fov) / 2)
        camera = orbit([math.radians(yaw)], [math.radians(pitch)], radius=radius, fov=math.radians(fov))
        image = picture(args.data / "objects" / f"{id_}.glb", camera)
        stem = f"{number + 1:02d}-{'-'.join(name.lower().split())}"
        target = args.out / (f"{stem}.png" if photo < 0 else f"{stem}-photo.jpg")
        with aside(target) as part:
            if photo < 0:
                image.save(part, "PNG")
            else:
                as_photo(image, number).save(part, "JPEG", quality=88)
        console.result(str(target))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
