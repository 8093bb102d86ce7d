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

from trellis_cli.errors import FileError
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
                f"{self.weights} holds more than weights, or is broken: {(str(error).splitlines() or ['?'])[0]}",
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
    for model, (name, args) in _config(run)[0].items():
        key = KEYS.get(name.removeprefix(ELASTIC))
        if key is None:
            raise FileError(
                f"{run / 'config.json'}: there is no network {name!r} here", hint=f"known: {', '.join(KEYS)}"
            )
        networks.append(PublishedNetwork(key, name, args, _newest(run, model)))
    return networks


def published_normalization(run: Path) -> dict[str, list[float]] | None:
    """Mean and deviation of the latents that a run's flow was trained on, where it says so. Raises FileError."""
    return _config(run)[1]


def _config(run: Path) -> tuple[dict[str, tuple[str, dict[str, Any]]], dict[str, list[float]] | None]:
    path = run / "config.json"
    try:
        config = json.loads(path.read_text())
        models = {str(k): (str(v["name"]), dict(v["args"])) for k, v in config["models"].items()}
        return models, config.get("dataset", {}).get("args", {}).get("normalization")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path} names no models: {error!r}", hint="give a folder of the published trainer") from error


def _newest(run: Path, model: str) -> Path:
    found = [(m, p) for p in (run / "ckpts").glob("*.pt") if (m := _FILE.fullmatch(p.name)) and m["model"] == model]
    if not found:
        raise FileError(f"{run / 'ckpts'} has no {model}_ema*_step*.pt", hint="give a run that has saved a checkpoint")
    return max(found, key=lambda pair: (pair[0]["rate"] is not None, int(pair[0]["step"]), pair[0]["rate"] or ""))[1]
