"""Training runs turned into a model folder: this program's own, and those of the published trainer."""

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.io.encoder_files import OWN
from trellis_cli.io.model_folders import CONDITIONERS, load_network, read_network_json, save_network
from trellis_cli.networks.published import network_with
from trellis_cli.stages.published_runs import (
    PublishedNetwork,
    is_published_run,
    published_encoder,
    published_networks,
    published_normalization,
)

DEFAULT_SAMPLERS = {
    "sparse_structure_sampler": {"steps": 25, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
    "slat_sampler": {"steps": 12, "cfg_strength": 3.0, "cfg_interval": [0.0, 1.0], "rescale_t": 3.0},
}

RELEASED_SAMPLERS = {  # of both stages of the released models, by the kind of prompts
    "image": {"steps": 25, "cfg_strength": 5.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0},
    "text": {"steps": 25, "cfg_strength": 7.5, "cfg_interval": [0.5, 0.95], "rescale_t": 3.0},
}


@dataclass(frozen=True)
class _Part:
    """A network of a run that is to be packed.

    load: reads its weights.
    prompts: of a published flow the kind it answers to, "image" or "text"; else "".
    """

    run: Path
    name: str
    args: dict[str, Any]
    load: Callable[[], nn.Module]
    prompts: str = ""


def pack(
    runs: Sequence[Path], out: Path, *, store: str = "float32", settings: Path | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write a model folder from the averaged weights of runs (RUN/ckpts) and folders that hold encoders.

    Flows from images keep their keys' `_image` beside flows from texts; alone they are the pipeline's flows. For a run
    of the published trainer the encoder of prompts is what its config.json says, unless a folder holds one of its kind.
    An encoder that no flow answers to is not named.

    Args:
        runs: also those of the published trainer (published_runs.py), whose pickles are read for weights alone.
        settings: a TOML file with [sparse_structure_sampler] and [slat_sampler]; without it DEFAULT_SAMPLERS, and
            RELEASED_SAMPLERS for stages whose flow is of the published trainer.

    Raises:
        UsageError: the folder is in the way, two runs have one network, or an unknown `store`.
        FileError: no network at all in the given folders, or a published flow of unknown prompts.
    """
    if store not in ("float32", "float16", "int8"):
        raise UsageError(f"--store {store!r} is not known", hint="one of: float32, float16, int8")
    if (out / "pipeline.json").exists() and not overwrite:
        raise UsageError(f"{out} already is a model folder", hint="pass --overwrite to replace its networks")
    parts = _parts(runs)
    if not parts:
        raise FileError(
            f"no network in {', '.join(map(str, runs))}",
            hint="give folders of `train-vae` and `train-flow` runs, or of the published trainer (config.json, ckpts/)",
        )
    ckpts = out / "ckpts"
    ckpts.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {}
    for run in runs:
        arguments |= dict.fromkeys(_copy_encoders(run, ckpts), "ckpts")
        if normalization := _normalization(run):
            arguments["slat_normalization"] = normalization
    for run in runs:
        if is_published_run(run) and (encoder := published_encoder(run)):
            arguments.setdefault(f"{encoder[0]}_cond_model", encoder[1])
    flows = [key for key in parts if "_flow_model" in key]
    kinds = {"image_cond_model" if key.endswith("_image") else "text_cond_model" for key in flows} or set(CONDITIONERS)
    arguments = {key: value for key, value in arguments.items() if key not in CONDITIONERS or key in kinds}
    for key, part in parts.items():
        save_network(ckpts / key, part.name, part.args, part.load(), store=store)
    networks = _write_pipeline(out, parts, arguments, settings)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    return {"out": str(out), "networks": networks, "megabytes": round(size / 1e6, 1)}


def _parts(runs: Sequence[Path]) -> dict[str, _Part]:
    """The networks of all runs by their keys; of flows from images these end in `_image`. Raises UsageError."""
    parts: dict[str, _Part] = {}
    for run in runs:
        for key, part in (_published_parts(run) if is_published_run(run) else _own_parts(run)).items():
            if key in parts:
                raise UsageError(
                    f"{parts[key].run} and {run} both hold a {key}",
                    hint="give one of them, or pack each into a model of its own",
                )
            parts[key] = part
    return parts


def _published_parts(run: Path) -> dict[str, _Part]:
    encoder = published_encoder(run)
    parts = {}
    for network in published_networks(run):
        prompts = encoder[0] if encoder and network.key.endswith("_flow_model") else ""
        key = network.key + ("_image" if prompts == "image" else "")
        load = partial(_published_network, network)
        parts[key] = _Part(run, network.name, network.args, load, prompts)
    return parts


def _published_network(network: PublishedNetwork) -> nn.Module:
    return network_with(network.name, network.args, network.state())


def _own_parts(run: Path) -> dict[str, _Part]:
    encoders = {name for names in OWN.values() for name in names}
    stems = [p.with_suffix("") for p in sorted((run / "ckpts").glob("*.json")) if p.name not in encoders]
    return {stem.name: _Part(run, *read_network_json(stem), partial(load_network, stem)) for stem in stems}


def _copy_encoders(run: Path, ckpts: Path) -> list[str]:
    """Copy the encoders of prompts that a folder holds; what each is in pipeline.json."""
    folder = run / "ckpts" if (run / "ckpts").is_dir() else run
    found = [argument for argument, names in OWN.items() if all((folder / name).is_file() for name in names)]
    for name in (name for argument in found for name in OWN[argument]):
        if (folder / name).resolve() != (ckpts / name).resolve():
            write_bytes(ckpts / name, (folder / name).read_bytes())
    return found


def _normalization(run: Path) -> dict[str, list[float]] | None:
    """Mean and deviation of the latents that a run's flow was trained on."""
    if (run / "normalization.json").is_file():
        return json.loads((run / "normalization.json").read_text())
    return published_normalization(run) if is_published_run(run) else None


def _samplers(parts: dict[str, _Part], settings: Path | None) -> dict[str, Any]:
    """Each sampler's settings. Raises UsageError."""
    samplers: dict[str, Any] = dict(DEFAULT_SAMPLERS)
    for stage in ("sparse_structure", "slat"):
        flow = parts.get(f"{stage}_flow_model") or parts.get(f"{stage}_flow_model_image")
        if flow and flow.prompts:
            samplers[f"{stage}_sampler"] = RELEASED_SAMPLERS[flow.prompts]
    samplers |= tomllib.loads(settings.read_text()) if settings else {}
    if unknown := samplers.keys() - DEFAULT_SAMPLERS.keys():
        raise UsageError(f"{settings}: no such sampler {min(unknown)!r}", hint=f"known: {', '.join(DEFAULT_SAMPLERS)}")
    return samplers


def _write_pipeline(out: Path, parts: dict[str, _Part], arguments: dict[str, Any], settings: Path | None) -> list[str]:
    """Returns the networks' keys in pipeline.json."""
    table = {
        key: {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-5}, "params": params}
        for key, params in _samplers(parts, settings).items()
    }
    networks = {key: f"ckpts/{key}" for key in parts}
    plain = {key.removesuffix("_image"): path for key, path in networks.items()}
    if len(plain) == len(networks):
        networks = plain
    from_images = "image_cond_model" in arguments and "text_cond_model" not in arguments
    name = "TrellisImageTo3DPipeline" if from_images else "TrellisTextTo3DPipeline"
    pipeline = {"name": name, "args": {"models": networks, **table, **arguments}}
    write_text(out / "pipeline.json", json.dumps(pipeline, indent=4) + "\n")
    return sorted(networks)
