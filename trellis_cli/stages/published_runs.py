"""Runs of the published trainer: config.json and ckpts/<model>_ema<rate>_step<number>.pt, turned into plain weights.

Those .pt files are pickles. They are read by torch's loader of weights alone, which makes tensors and refuses the rest.
"""

import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trellis_cli.errors import FileError, first_line
from trellis_cli.networks.published import ELASTIC

KEYS = {  # class name -> key in pipeline.json
    "SparseStructureEncoder": "sparse_structure_encoder",
    "SparseStructureDecoder": "sparse_structure_decoder",
    "SparseStructureFlowModel": "sparse_structure_flow_model",
    "SLatEncoder": "slat_encoder",
    "SLatFlowModel": "slat_flow_model",
    "SLatGaussianDecoder": "slat_decoder_gs",
    "SLatRadianceFieldDecoder": "slat_decoder_rf",
    "SLatMeshDecoder": "slat_decoder_mesh",
}
ENCODERS = {  # kind of prompts -> pipeline.json's key, the encoder of the published flows, its channels a token
    "image": ("image_cond_model", "dinov2_vitl14_reg", 1024),
    "text": ("text_cond_model", "openai/clip-vit-large-patch14", 768),
}
_FILE = re.compile(r"(?P<model>\w+?)(?:_ema(?P<rate>[\d.]+))?_step(?P<step>\d+)\.pt")


@dataclass(frozen=True)
class PublishedNetwork:
    """One network of a run: its key in pipeline.json, class, arguments, and the file with its newest weights."""

    key: str
    name: str
    args: dict[str, Any]
    weights: Path

    def state(self) -> dict[str, Tensor]:
        """Raises FileError for a file that is no plain dictionary of weights."""
        try:
            state = torch.load(self.weights, map_location="cpu", weights_only=True, mmap=True)
        except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
            raise FileError(
                f"{self.weights} holds more than weights, or is broken: {first_line(error)}",
                hint="write its state_dict with safetensors.torch.save_file, and {name, args} as .json beside it",
            ) from error
        if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
            raise FileError(f"{self.weights} is no dictionary of weights", hint="give the trainer's ckpts/*_step*.pt")
        return state


def is_published_run(run: Path) -> bool:
    """Whether a folder is a run of the published trainer."""
    return (run / "config.json").is_file() and any((run / "ckpts").glob("*_step*.pt"))


def published_networks(run: Path) -> list[PublishedNetwork]:
    """The networks of a run.

    Of each the averaged weights (`_ema`) of the last step; where there are none, the plain ones.

    Raises:
        FileError: a config.json of another form, or a network without weights.
    """
    networks = []
    for model, (name, args) in _models(_config(run), run).items():
        key = KEYS.get(name.removeprefix(ELASTIC))
        if key is None:
            raise FileError(
                f"{run / 'config.json'}: there is no network {name!r} here", hint=f"known: {', '.join(KEYS)}"
            )
        networks.append(PublishedNetwork(key, name, args, _newest(run, model)))
    return networks


def published_normalization(run: Path) -> dict[str, list[float]] | None:
    """Mean and deviation of the latents that a run's flow was trained on, where it says so. Raises FileError."""
    return _part(_config(run), "dataset", "args").get("normalization")


def published_encoder(run: Path) -> tuple[str, str] | None:
    """What a run's flow attends to: the kind of prompts, and their encoder's name as in pipeline.json.

    As trainer.args says; else the published encoder of the kind that the names of trainer and dataset tell, or that has
    as many channels. None for a run without a flow. Raises FileError where nothing of it is known.
    """
    config = _config(run)
    flows = [args for name, args in _models(config, run).values() if name.endswith("FlowModel")]
    if not flows:
        return None
    said = _part(config, "trainer", "args")
    names = [str(_part(config, part).get("name", "")).lower() for part in ("trainer", "dataset")]
    for kind, (key, _, _) in ENCODERS.items():
        if isinstance(said.get(key), str):
            return kind, said[key]
    for kind, (_, encoder, channels) in ENCODERS.items():
        told = any(name.startswith(f"{kind}conditioned") for name in names)
        if told or (not any("conditioned" in name for name in names) and flows[0].get("cond_channels") == channels):
            return kind, encoder
    raise FileError(
        f"{run / 'config.json'} does not say what its flow attends to",
        hint='add "image_cond_model" or "text_cond_model" to trainer.args: a transformers folder or an id on the hub',
    )


def _config(run: Path) -> dict[str, Any]:
    path = run / "config.json"
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"{path} names no models: {error!r}", hint="give a folder of the published trainer") from error


def _models(config: dict[str, Any], run: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    try:
        return {str(k): (str(v["name"]), dict(v["args"])) for k, v in config["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"{run / 'config.json'} names no models: {error!r}", hint="give a folder of the published trainer"
        ) from error


def _part(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A table within the tables of a config; empty where it is not there."""
    for key in keys:
        value = config.get(key)
        config = value if isinstance(value, dict) else {}
    return config


def _newest(run: Path, model: str) -> Path:
    found = [(m, p) for p in (run / "ckpts").glob("*.pt") if (m := _FILE.fullmatch(p.name)) and m["model"] == model]
    if not found:
        raise FileError(f"{run / 'ckpts'} has no {model}_ema*_step*.pt", hint="give a run that has saved a checkpoint")
    return max(found, key=lambda pair: (pair[0]["rate"] is not None, int(pair[0]["step"]), pair[0]["rate"] or ""))[1]
