"""Toys, and networks that are trained on them by the commands a user types: what the end-to-end tests stand on.

The networks are tiny and hardly trained, so nothing here says how good a result looks. The fixture `world` of
tests/conftest.py makes all of it once for all tests.
"""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from trellis_cli.io.model_folders import SHIPPED
from trellis_cli.main import run

NUM, GRID, VIEWS, SIZE = 4, 16, 4, 64
GAUSSIANS = (
    "{num_gaussians = 2, voxel_size = 1.5, perturb_offset = true, '2d_filter_kernel_size' = 0.1,"
    " '3d_filter_kernel_size' = 9e-4, scaling_bias = 8e-3, opacity_bias = 0.1, scaling_activation = 'softplus',"
    " lr = {_xyz = 1.0, _features_dc = 1.0, _opacity = 1.0, _scaling = 1.0, _rotation = 0.1}}"
)
TRUNK = f"resolution = {GRID}, model_channels = 32, latent_channels = 4, num_blocks = 1, num_heads = 2, window_size = 4"
FLOW = (
    "model_channels = 32, cond_channels = 384, pooled_channels = 384, num_blocks = 1, num_heads = 2,"
    " patch_size = 2, share_mod = true, qk_rms_norm = true"
)
IMAGE_FLOW = FLOW.replace("384", "172")
# Changes to the shipped recipes: the same keys, tiny values. float32, so that every processor does the same.
RECIPES = {
    "structure-vae": (
        "encoder.args={in_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [8, 16, 16]}",
        "decoder.args={out_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [16, 16, 8]}",
        "loss.bce=0.0", "optimizer.steps=20", "optimizer.batch=4", "optimizer.learning_rate=3e-3",
    ),
    "slat-vae": (
        f"encoder.args={{in_channels = 131, {TRUNK}}}",
        f"decoder.args={{{TRUNK}, representation_config = {GAUSSIANS}}}",
        "optimizer.steps=2", "optimizer.batch=2", "num_views=1",
    ),
    "mesh-decoder": (
        f"decoder.args={{{TRUNK}, num_norm_groups = 4, representation_config = {{use_color = true}}}}",
        "optimizer.steps=3", "optimizer.batch=1", "num_views=1",
    ),
    "rf-decoder": (
        f"decoder.args={{{TRUNK}, representation_config = {{rank = 2, dim = 2}}}}",
        "optimizer.steps=2", "optimizer.batch=1",
    ),
    "structure-flow": (
        f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, {FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=4",
    ),
    "slat-flow": (
        f"network.args={{resolution = {GRID}, in_channels = 4, out_channels = 4, io = 'packed', {FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=2",
    ),
    "image-structure-flow": (
        f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, {IMAGE_FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=4",
    ),
    "image-slat-flow": (
        f"network.args={{resolution = {GRID}, in_channels = 4, out_channels = 4, io = 'packed', {IMAGE_FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=2",
    ),
}  # fmt: skip

PROMPTS = ("log cabin", "round table")


def trellis(*arguments: object, code: int = 0) -> str:
    """What the command prints to stdout; it must end with `code`."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        run([str(a) for a in arguments])
    assert (caught.value.code or 0) == code, err.getvalue()
    return out.getvalue()


def done_once(out: Path, *arguments: object) -> Path:
    """Run a command that writes `out`; run again, it must find all done and touch nothing."""
    assert "done already" not in trellis(*arguments, "-o", out)
    before = {p: p.read_bytes() for p in files_of(out)}
    assert before and "done already" in trellis(*arguments, "-o", out)
    assert {p: p.read_bytes() for p in files_of(out)} == before
    return out


def files_of(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


@dataclass
class World:
    """Where everything lies once the whole chain has run."""

    data: Path
    runs: Path
    autoencoder: Path
    model: Path

    def train(self, command: str, recipe: str, run: Path | None = None) -> Path:
        changes = (*RECIPES[recipe], "optimizer.precision='float32'", "optimizer.warmup=0", "loop.evaluate_every=100")
        sets = [word for change in changes for word in ("--set", change)]
        run = run or self.runs / recipe
        said = trellis(
            command, f"mini-cpu/{recipe}", "--data", self.data, "--out", run, "--device", "cpu", "--quiet", *sets,
            *(("--preview", self.autoencoder) if command == "train-flow" else ()),
            *(("--start-from", self.runs / recipe.removeprefix("image-")) if recipe.startswith("image-") else ()),
        )  # fmt: skip
        assert "finished" in said
        return run

    def sample(self, out: Path, *options: object) -> Path:
        words = [word for prompt in PROMPTS for word in ("--text", prompt)]
        trellis("sample", *words, "--model", self.model, "--steps", 2, *FIXED, "-o", out, *options)
        return out


FIXED = ("--device", "cpu", "--dtype", "float32")


def make_world(home: Path) -> World:
    """The whole chain up to a model with all networks, below the empty folder `home`."""
    w = World(home / "data", home / "runs", home / "autoencoder", home / "model")
    trellis("data", "export", "toybox", "-o", w.data, "--num", NUM)
    meshes, files = w.data / "objects", {n: w.data / f"{n}.h5" for n in ("voxels", "views", "features", "latents")}
    done_once(files["voxels"], "voxelize", meshes, "--resolution", GRID)
    pictures = ("--num-views", VIEWS, "--size", SIZE, "--supersample", 1, "--depth", "--normal")
    done_once(files["views"], "render", meshes, *pictures)
    done_once(files["features"], "featurize", files["voxels"], files["views"], "--device", "cpu")
    vaes = [w.train("train-vae", recipe) for recipe in ("structure-vae", "slat-vae")]
    trellis("models", "pack", *vaes, "-o", w.autoencoder)
    done_once(files["latents"], "encode", files["features"], "--model", w.autoencoder, *FIXED)
    decoders = [w.train("train-vae", recipe) for recipe in ("mesh-decoder", "rf-decoder")]
    flows = [w.train("train-flow", recipe) for recipe in ("structure-flow", "slat-flow")]
    flows += [w.train("train-flow", recipe) for recipe in ("image-structure-flow", "image-slat-flow")]
    encoders = SHIPPED / "mini" / "ckpts"
    trellis("models", "pack", *vaes, *decoders, *flows, encoders, "-o", w.model, "--store", "int8")
    return w
