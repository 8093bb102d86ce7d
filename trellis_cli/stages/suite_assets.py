"""What a suite starts from: held-out objects put through the whole chain, and a model's own samples; each made once."""

from pathlib import Path

import torch

from trellis_cli.io.aside import write_bytes
from trellis_cli.io.glb import textured_glb
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.stages.edit_suite import AssetSpec
from trellis_cli.stages.encode import encode, encoder_resolution
from trellis_cli.stages.export_objects import prepared
from trellis_cli.stages.featurize import featurize
from trellis_cli.stages.render import render
from trellis_cli.stages.sample import sample
from trellis_cli.stages.voxelize import voxelize

VIEWS, SIZE = 24, 128  # as many, and as large, as mini's encoder was trained with


def make_asset(
    spec: AssetSpec, model: ModelFolder, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Path:
    """`<folder>/<name>.slat.h5` with /structure and /slat; kept where it is there by the same work.

    Raises:
        TrellisError: whatever the stages say of it.
    """
    out = folder / f"{spec.name}.slat.h5"
    if spec.text:
        sample([spec.text], out, model, seed=spec.seed, device=device, dtype=dtype)
        return out
    mesh = make_toy(spec.toybox, spec.seed, folder / f"{spec.name}.glb")
    return encode_mesh(mesh, model, folder, device=device, dtype=dtype)


def encode_mesh(
    mesh: Path,
    model: ModelFolder,
    folder: Path,
    *,
    name: str | None = None,
    num_views: int = VIEWS,
    size: int = SIZE,
    encoder: str = "alexnet",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Path:
    """A mesh file's latents, `<folder>/<name>.slat.h5` (by default its stem), beside what each stage made."""
    voxels, views, features, out = (
        folder / f"{name or mesh.stem}.{s}.h5" for s in ("voxels", "views", "features", "slat")
    )
    voxelize([mesh], voxels, resolution=encoder_resolution(model))
    render([mesh], views, num_views=num_views, size=size)
    featurize([voxels, views], features, encoder=encoder, device=device)
    encode([features], out, model, device=device, dtype=dtype)
    return out


def make_toy(category: str, seed: int, path: Path) -> Path:
    """An object of the toybox as a .glb."""
    from trellis_cli.data import toybox

    data = textured_glb(prepared(toybox.make(category, seed).mesh, path.stem))
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)
    return path
