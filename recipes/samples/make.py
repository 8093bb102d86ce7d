"""Make the sample files that docs/editing.md uses: `python recipes/samples/make.py [FOLDER]`. They ship with recipes/.

Every object is one of the toybox or put together from its parts, so all of it is free of others' rights (CC0).
"""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from trellis_cli.data import toybox
from trellis_cli.data.toybox.parts import box, dome
from trellis_cli.data.toybox.toy import Toy
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.glb import textured_glb
from trellis_cli.io.model_folders import open_model
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.mesh import Material, TexturedMesh
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_assets import encode_mesh

HOUSE, CHAIR, ROBOT, PALM, HUT, ARMCHAIR = 1000005, 1000000, 1000000, 3, 4, 1000004
ROOF = 18  # of the house, whose voxels are 32 along an edge: the first layer of its roof
SEAT = (-0.3, -0.3, 0.0, 0.3, 0.18, 0.13)  # a box around the chair's seat, in cube edges
GLB_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def island() -> TexturedMesh:
    """Two mounds with water between them: a palm tree on one, a hut on the other."""
    o = Toy("island", 0)
    o.add([dome(1.0, 0.35).at(-1.2, 0), dome(0.9, 0.3).at(1.2, 0)], "sandstone")
    for category, seed, x, z, size in (("palm tree", PALM, -1.3, 0.3, 1.5), ("hut", HUT, 1.25, 0.24, 0.8)):
        other = Toy(category, seed)
        toybox.BUILDERS[category](other)
        vertices = np.concatenate([part.vertices for part, _ in other.pieces()])
        low, high = vertices.min(0), vertices.max(0)
        s = size / float((high - low).max())
        for part, (name, surface) in other.pieces():
            o.add(
                part.at(-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]).scaled(s, s, s).at(x, 0, z),
                name,
                surface,
            )
    return o.finish().mesh


def seat() -> TexturedMesh:
    """A closed box around the chair's seat, in the coordinates of the decoded chair."""
    x0, y0, z0, x1, y1, z1 = SEAT
    part = box(x1 - x0, y1 - y0, z1 - z0).at((x0 + x1) / 2, (y0 + y1) / 2, z0)
    return TexturedMesh(part.vertices, part.faces.astype(np.int32), np.zeros(len(part.faces), np.int32), (Material(),))


def brown_armchair(folder: Path) -> Image.Image:
    """A picture of a brown leather armchair on transparent ground."""
    mesh = toybox.make("armchair", ARMCHAIR).mesh
    path = folder / "armchair.glb"
    path.write_bytes(textured_glb(mesh))
    views = render_views(into_cube(path)[0], orbit([math.radians(150)], [math.radians(20)]), size=256)
    return Image.fromarray(views.rgba[0])


def roof(house: Path, out: Path) -> None:
    """The voxels of the house's roof, as a /voxels file."""
    with open_stage(house) as file:
        asset = file.group("slat").asset(0)
        resolution = int(file.group("slat").attrs["resolution"])
    coords = asset["coords"][asset["coords"][:, 2] >= ROOF]
    made = with_ids("0" * 64, lengths=len(coords), coords=coords, source_to_cube=np.eye(4))
    write_stage(
        out, {"voxels": ([made], {"resolution": resolution})}, Provenance("voxelize", {"resolution": resolution})
    )


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    model = open_model("mini")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        objects = {
            "house": toybox.make("house", HOUSE).mesh,
            "chair": toybox.make("chair", CHAIR).mesh,
            "robot": toybox.make("robot", ROBOT).mesh,
            "island": island(),
        }
        for name, mesh in objects.items():
            (folder / f"{name}.glb").write_bytes(textured_glb(mesh))
            write_bytes(out / f"{name}.slat.h5", encode_mesh(folder / f"{name}.glb", model, folder).read_bytes())
        write_bytes(out / "chair.glb", (folder / "chair.glb").read_bytes())
        write_bytes(out / "seat.glb", textured_glb(seat()))
        brown_armchair(folder).save(out / "leather.png", optimize=True)
        roof(out / "house.slat.h5", out / "mask.voxels.h5")


if __name__ == "__main__":
    main()
