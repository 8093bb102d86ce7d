"""Model folders in the published layout: pipeline.json, ckpts/<name>.json {"name", "args"} and <name>.safetensors.

A model is named by folder or by the name of a shipped one.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError
from trellis_cli.io.aside import aside, write_text
from trellis_cli.io.quantised import dequantise, quantise
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.networks.published import build_network

SHIPPED = Path(str(files("trellis_cli"))) / "models"


def shipped() -> list[str]:
    """The names of the models inside the package."""
    return sorted(p.parent.name for p in SHIPPED.glob("*/pipeline.json"))


def save_network(stem: Path, name: str, args: dict[str, Any], network: nn.Module, *, store: str = "float32") -> None:
    """Write <stem>.json and <stem>.safetensors, each aside and renamed.

    `store`: float32, float16, or int8 (io/quantised.py).
    """
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    save_state(stem, name, args, state, store=store)


def save_state(stem: Path, name: str, args: dict[str, Any], state: dict[str, Tensor], *, store: str) -> None:
    stored = {"float32": lambda s: {k: v.float() if v.is_floating_point() else v for k, v in s.items()},
              "float16": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
              "int8": quantise}[store](state)  # fmt: skip
    with aside(stem.with_name(stem.name + ".safetensors"), also=(SafetensorError,)) as part:
        save_file(stored, part)
    write_text(stem.with_name(stem.name + ".json"), json.dumps({"name": name, "args": args}, indent=4) + "\n")


def read_network_json(stem: Path) -> tuple[str, dict[str, Any]]:
    """(class name, args) of <stem>.json. Raises MissingError, FileError."""
    path = stem.with_name(stem.name + ".json")
    if not path.is_file():
        raise MissingError(f"{path}: no such checkpoint", hint="`trellis models list` shows what is there")
    try:
        table = json.loads(path.read_text())
        return str(table["name"]), dict(table["args"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f'{path} is not {{"name", "args"}}: {error}', hint="fetch the model anew") from error


def load_network(stem: Path) -> TorsoNetwork:
    """The network of <stem>.json with the weights of <stem>.safetensors, strictly, as float32, in eval mode.

    Raises:
        MissingError: a file is not there.
        FileError: keys, shapes or the file itself are not what the class wants.
    """
    name, args = read_network_json(stem)
    weights = stem.with_name(stem.name + ".safetensors")
    if not weights.is_file():
        raise MissingError(
            f"{weights}: the weights are missing", hint="fetch the model anew, or train it (docs/training.md)"
        )
    try:
        network = build_network(name, args)
        network.load_state_dict(dequantise(load_file(weights)), strict=True)
    except Exception as error:  # safetensors, torch and the classes each raise their own
        raise FileError(
            f"{weights} does not fit {name}: {str(error).splitlines()[0]}", hint="fetch the model anew"
        ) from error
    return network.requires_grad_(False).eval()


@dataclass(frozen=True)
class ModelFolder:
    """A model: its pipeline.json and where its checkpoints lie."""

    id: str
    path: Path

    @cached_property
    def pipeline(self) -> dict[str, Any]:
        """pipeline.json's `args`. Raises FileError."""
        path = self.path / "pipeline.json"
        try:
            return dict(json.loads(path.read_text())["args"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path} is not a pipeline: {error}", hint="a model folder has a pipeline.json") from error

    def stem(self, key: str) -> Path:
        """Where the checkpoint of a model key lies. Raises MissingError for a key the pipeline has not."""
        models = self.pipeline.get("models", {})
        if key not in models:
            raise MissingError(
                f"model {self.id} has no {key}; it has {', '.join(sorted(models))}", hint="choose another --model"
            )
        return self.path / models[key]

    def load(self, key: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> TorsoNetwork:
        """The network of a model key, its torso computing in `dtype`."""
        network = load_network(self.stem(key)).to(device)
        if dtype != torch.float32:
            network.keep_torso_in(dtype)
        return network

    @cached_property
    def digest(self) -> str:
        """sha256 over the names and bytes of everything the pipeline names: what "these weights" means."""
        whole = hashlib.sha256()
        for path in sorted(p for p in self.path.rglob("*") if p.suffix in (".json", ".safetensors")):
            whole.update(path.relative_to(self.path).as_posix().encode() + b"\0")
            with path.open("rb") as f:
                whole.update(hashlib.file_digest(f, "sha256").digest())
        return whole.hexdigest()

    @property
    def provenance(self) -> dict[str, str]:
        return {"id": self.id, "digest": self.digest}


def open_model(name: str) -> ModelFolder:
    """A model by folder or shipped name. Raises MissingError when it is neither."""
    folder = Path(name)
    if (folder / "pipeline.json").is_file():
        return ModelFolder(folder.resolve().name, folder)
    if name in shipped():
        return ModelFolder(name, SHIPPED / name)
    if folder.is_dir():
        raise FileError(f"{folder} has no pipeline.json", hint="a model folder has a pipeline.json and ckpts/")
    raise MissingError(
        f"no model {name!r}", hint=f"give a model folder, or one of: {', '.join(shipped()) or 'none shipped'}"
    )
