"""Training runs turned into a model folder: this program's own, and those of the published trainer."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.io.encoder_files import OWN
from trellis_cli.io.model_folders import load_network, read_network_json, save_network
from trellis_cli.networks.published import network_with
from trellis_cli.stages.published_runs import is_published_run, published_networks, published_normalization

DEFAULT_SAMPLERS = {
    "sparse_structure_sampler": {"steps": 25, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
    "slat_sampler": {"steps": 12, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
}


def pack(
    runs: Sequence[Path], out: Path, *, store: str = "float32", settings: Path | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write a model folder from the averaged weights of runs (RUN/ckpts) and folders that hold encoders.

    Flows from images keep their keys' `_image` beside flows from texts; alone they are the pipeline's flows.

    Args:
        runs: also those of the published trainer (published_runs.py), whose pickles are read for weights alone.
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
        arguments |= dict.fromkeys(_copy_encoders(run, ckpts), "ckpts")
        networks |= _copy_networks(run, ckpts, store)
        if normalization := _normalization(run):
            arguments["slat_normalization"] = normalization
    if not networks:
        raise FileError(
            f"no network in {', '.join(map(str, runs))}",
            hint="give folders of `train-vae` and `train-flow` runs, or of the published trainer (config.json, ckpts/)",
        )
    _write_pipeline(out, networks, arguments, settings)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    return {"out": str(out), "networks": sorted(networks), "megabytes": round(size / 1e6, 1)}


def _copy_encoders(run: Path, ckpts: Path) -> list[str]:
    """Copy the encoders of prompts that a folder holds; what each is in pipeline.json."""
    folder = run / "ckpts" if (run / "ckpts").is_dir() else run
    found = [argument for argument, names in OWN.items() if all((folder / name).is_file() for name in names)]
    for name in (name for argument in found for name in OWN[argument]):
        if (folder / name).resolve() != (ckpts / name).resolve():
            write_bytes(ckpts / name, (folder / name).read_bytes())
    return found


def _copy_networks(run: Path, ckpts: Path, store: str) -> dict[str, str]:
    """Write a run's networks; returns their keys in pipeline.json and where they went."""
    if is_published_run(run):
        found = published_networks(run)
        for network in found:
            loaded = network_with(network.name, network.args, network.state())
            save_network(ckpts / network.key, network.name, network.args, loaded, store=store)
        return {network.key: f"ckpts/{network.key}" for network in found}
    encoders = {name for names in OWN.values() for name in names}
    stems = [p.with_suffix("") for p in sorted((run / "ckpts").glob("*.json")) if p.name not in encoders]
    for stem in stems:
        save_network(ckpts / stem.name, *read_network_json(stem), load_network(stem), store=store)
    return {stem.name: f"ckpts/{stem.name}" for stem in stems}


def _normalization(run: Path) -> dict[str, list[float]] | None:
    """Mean and deviation of the latents that a run's flow was trained on."""
    if (run / "normalization.json").is_file():
        return json.loads((run / "normalization.json").read_text())
    return published_normalization(run) if is_published_run(run) else None


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
