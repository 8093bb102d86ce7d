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
from trellis_cli.flow.diffusion import BETAS, NUM_TIMES
from trellis_cli.flow.path import SIGMA_MIN
from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.io.encoder_files import OWN, hub_id
from trellis_cli.io.model_folders import CONDITIONERS, ModelFolder, load_network, read_network_json, save_network
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

FLOW = {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": SIGMA_MIN}}
DIFFUSION = {"name": "DDIMSampler", "args": {"num_times": NUM_TIMES, "betas": list(BETAS)}}

RELEASED_SAMPLERS = {  # of both stages of the released models, by the kind of prompts
    "image": {"steps": 25, "cfg_strength": 5.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0},
    "text": {"steps": 25, "cfg_strength": 7.5, "cfg_interval": [0.5, 0.95], "rescale_t": 3.0},
}


@dataclass(frozen=True)
class _Part:
    """A network of a run that is to be packed.

    load: reads its weights.
    prompts: of a published flow the kind it answers to, "image" or "text"; else "".
    stored: where a model has it, which is copied as it lies; None for a run's.
    """

    run: Path
    name: str
    args: dict[str, Any]
    load: Callable[[], nn.Module]
    prompts: str = ""
    stored: Path | None = None


def _named_encoder(run: Path) -> tuple[str, str] | None:
    """The key and the name of the encoder that a flow's recipe names: one of the hub's, which no folder here holds."""
    try:
        recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        source, kind = recipe["condition_encoder"], recipe["condition"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (f"{kind}_cond_model", str(source)) if source and hub_id(str(source)) else None


def pack(
    runs: Sequence[Path],
    out: Path,
    *,
    base: ModelFolder | None = None,
    store: str = "float32",
    settings: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a model folder from the averaged weights of runs (RUN/ckpts) and folders that hold encoders.

    Flows from images keep their keys' `_image` beside flows from texts; alone they are the pipeline's flows. For a run
    of the published trainer the encoder of prompts is what its config.json says, unless a folder holds one of its kind.
    An encoder that no flow answers to is not named.

    Args:
        runs: also those of the published trainer (published_runs.py), whose pickles are read for weights alone.
        base: a model that gives what the runs do not hold, copied as it lies: networks, encoders, samplers' settings.
        settings: a TOML file with [sparse_structure_sampler] and [slat_sampler]; without it the base's, or
            DEFAULT_SAMPLERS, and RELEASED_SAMPLERS for stages whose flow is of the published trainer.

    Raises:
        UsageError: the folder is in the way or is the base, two runs have one network, or an unknown `store`.
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
    if base is not None and out.resolve() == base.path.resolve():
        raise UsageError(f"{out} is the base itself", hint="write the new model to a folder of its own")
    ckpts = out / "ckpts"
    ckpts.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {}
    if base is not None:
        parts = _base_parts(base) | parts
        arguments = _base_arguments(base, ckpts)
    for run in runs:
        arguments |= dict.fromkeys(_copy_encoders(run, ckpts), "ckpts")
        if normalization := _normalization(run):
            arguments["slat_normalization"] = normalization
    for run in runs:
        if is_published_run(run) and (encoder := published_encoder(run)):
            arguments.setdefault(f"{encoder[0]}_cond_model", encoder[1])
        elif named := _named_encoder(run):
            arguments.setdefault(*named)
    flows = [key for key in parts if "_flow_model" in key]
    kinds = {"image_cond_model" if key.endswith("_image") else "text_cond_model" for key in flows} or set(CONDITIONERS)
    arguments = {key: value for key, value in arguments.items() if key not in CONDITIONERS or key in kinds}
    for key, part in parts.items():
        if part.stored is None:
            save_network(ckpts / key, part.name, part.args, part.load(), store=store)
        else:
            for end in (".json", ".safetensors"):
                write_bytes(ckpts / (key + end), part.stored.with_name(part.stored.name + end).read_bytes())
    networks = _write_pipeline(out, parts, arguments, _samplers(parts, base, settings))
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


def _base_parts(base: ModelFolder) -> dict[str, _Part]:
    """A model's networks by their keys; of flows of a model for images alone these end in `_image`, as runs' do."""
    ending = "_image" if "text_cond_model" not in base.pipeline and "image_cond_model" in base.pipeline else ""
    parts = {}
    for key in base.models:
        stem = base.stem(key)
        name = key + ending if key.endswith("_flow_model") else key
        parts[name] = _Part(base.path, *read_network_json(stem), partial(load_network, stem), stored=stem)
    return parts


def _base_arguments(base: ModelFolder, ckpts: Path) -> dict[str, Any]:
    """What a model's pipeline.json says of latents and prompts; encoders that lie in a folder are copied."""
    arguments = {key: base.pipeline[key] for key in ("slat_normalization", *CONDITIONERS) if key in base.pipeline}
    for key in CONDITIONERS:
        if key in arguments and (folder := base.path / str(arguments[key])).is_dir():
            arguments |= {name: "ckpts" for name in _copy_encoders(folder, ckpts) if name == key}
    return arguments


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


def _samplers(parts: dict[str, _Part], base: ModelFolder | None, settings: Path | None) -> dict[str, Any]:
    """Each sampler with its settings; of a diffusion without a rescaled time. Raises UsageError.

    A stage has one sampler, whatever its flows answer to: beside a diffusion from texts a flow from images has its too.
    """
    given = tomllib.loads(settings.read_text()) if settings else {}
    if unknown := given.keys() - DEFAULT_SAMPLERS.keys():
        raise UsageError(f"{settings}: no such sampler {min(unknown)!r}", hint=f"known: {', '.join(DEFAULT_SAMPLERS)}")
    samplers = {}
    for key, default in DEFAULT_SAMPLERS.items():
        stage = key.removesuffix("_sampler")
        flow = parts.get(f"{stage}_flow_model") or parts.get(f"{stage}_flow_model_image")
        params = base.pipeline[key]["params"] if base and key in base.pipeline else default
        if flow and flow.prompts:
            params = RELEASED_SAMPLERS[flow.prompts]
        params = given.get(key, params)
        if flow and flow.args.get("objective") == "diffusion":
            samplers[key] = {**DIFFUSION, "params": {k: v for k, v in params.items() if k != "rescale_t"}}
        else:
            samplers[key] = {**FLOW, "params": params}
    return samplers


def _write_pipeline(
    out: Path, parts: dict[str, _Part], arguments: dict[str, Any], samplers: dict[str, Any]
) -> list[str]:
    """Returns the networks' keys in pipeline.json."""
    networks = {key: f"ckpts/{key}" for key in parts}
    plain = {key.removesuffix("_image"): path for key, path in networks.items()}
    if len(plain) == len(networks):
        networks = plain
    from_images = "image_cond_model" in arguments and "text_cond_model" not in arguments
    name = "TrellisImageTo3DPipeline" if from_images else "TrellisTextTo3DPipeline"
    pipeline = {"name": name, "args": {"models": networks, **samplers, **arguments}}
    write_text(out / "pipeline.json", json.dumps(pipeline, indent=4) + "\n")
    return sorted(networks)
