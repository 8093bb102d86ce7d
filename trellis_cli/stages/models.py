"""Model folders: described, and packed from training runs."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.io.model_folders import load_network, open_model, read_network_json, save_network

ENCODERS = {
    "text_cond_model": ("text_encoder.json", "text_encoder.safetensors", "tokenizer.json"),
    "image_cond_model": ("image_tokens.json", "image_encoder.json", "image_encoder.safetensors"),
}
DEFAULT_SAMPLERS = {
    "sparse_structure_sampler": {"steps": 25, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
    "slat_sampler": {"steps": 12, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
}


def describe(model: str) -> dict[str, Any]:
    """Where a model lies, each network's class and size on disk, and the weights digest."""
    folder = open_model(model)
    report: dict[str, Any] = {"id": folder.id, "path": str(folder.path), "digest": folder.digest}
    for key in sorted(folder.pipeline.get("models", {})):
        stem = folder.stem(key)
        weights = stem.with_name(stem.name + ".safetensors")
        size = f"{weights.stat().st_size / 1e6:.1f} MB" if weights.is_file() else "missing"
        report[key] = f"{read_network_json(stem)[0]}, {size}"
    return report


def pack(
    runs: Sequence[Path], out: Path, *, store: str = "float32", settings: Path | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write a model folder from the averaged weights of runs (RUN/ckpts) and folders that hold encoders.

    Flows from images keep their keys' `_image` beside flows from texts; alone they are the pipeline's flows.

    Args:
        settings: a TOML file with [sparse_structure_sampler] and [slat_sampler]; see DEFAULT_SAMPLERS.

    Raises:
        UsageError: the folder is in the way, or an unknown `store`.
        FileError: no network at all in the given folders.
    """
    if store not in ("float32", "float16", "int8"):
        raise UsageError(f"--store {store!r} is not known", hint="one of: float32, float16, int8")
    if (out / "pipeline.json").exists() and not overwrite:
        raise UsageError(f"{out} already is a model folder", hint="pass --overwrite to replace its networks")
    ckpts = out / "ckpts"
    ckpts.mkdir(parents=True, exist_ok=True)
    networks: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    for run in runs:
        folder = run / "ckpts" if (run / "ckpts").is_dir() else run
        for argument, names in ENCODERS.items():
            if all((folder / name).is_file() for name in names):
                for name in names:
                    if (folder / name).resolve() != (ckpts / name).resolve():
                        write_bytes(ckpts / name, (folder / name).read_bytes())
                arguments[argument] = "ckpts"
        if run != folder:
            for path in sorted(folder.glob("*.json")):
                stem = path.with_suffix("")
                save_network(ckpts / stem.name, *read_network_json(stem), load_network(stem), store=store)
                networks[stem.name] = f"ckpts/{stem.name}"
        if (run / "normalization.json").is_file():
            arguments["slat_normalization"] = json.loads((run / "normalization.json").read_text())
    if not networks:
        raise FileError(
            f"no network in {', '.join(map(str, runs))}", hint="give folders of `train-vae` and `train-flow` runs"
        )
    _write_pipeline(out, networks, arguments, settings)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    return {"out": str(out), "networks": sorted(networks), "megabytes": round(size / 1e6, 1)}


def _write_pipeline(out: Path, networks: dict[str, str], arguments: dict[str, Any], settings: Path | None) -> None:
    samplers = DEFAULT_SAMPLERS | (tomllib.loads(settings.read_text()) if settings else {})
    if unknown := samplers.keys() - DEFAULT_SAMPLERS.keys():
        raise UsageError(f"{settings}: no such sampler {min(unknown)!r}", hint=f"known: {', '.join(DEFAULT_SAMPLERS)}")
    table = {
        key: {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-5}, "params": params}
        for key, params in samplers.items()
    }
    plain = {key.removesuffix("_image"): path for key, path in networks.items()}
    if len(plain) == len(networks):
        networks = plain
    from_images = "image_cond_model" in arguments and "text_cond_model" not in arguments
    name = "TrellisImageTo3DPipeline" if from_images else "TrellisTextTo3DPipeline"
    pipeline = {"name": name, "args": {"models": networks, **table, **arguments}}
    write_text(out / "pipeline.json", json.dumps(pipeline, indent=4) + "\n")
