"""Model folders in the published layout: pipeline.json, ckpts/<name>.json {"name", "args"} and <name>.safetensors.

A model is named by folder, by the name of a shipped one, or by its id on the Hugging Face hub (owner/name), whose cache
is then looked in. A checkpoint may lie in another repository: the released text models have the decoders of
TRELLIS-image-large. Nothing here fetches anything.
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
from safetensors.torch import save_file
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError
from trellis_cli.io import encoder_files, hub
from trellis_cli.io.aside import aside, write_text
from trellis_cli.io.digests import file_digest
from trellis_cli.io.quantised import quantise
from trellis_cli.io.weights import StoredWeights
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.networks.published import network_with

SHIPPED = Path(str(files("trellis_cli"))) / "models"
UNLISTED = {  # the released encoders lie beside the decoders, but in no pipeline.json
    "sparse_structure_encoder": "ss_enc_conv3d_16l8_fp16",
    "slat_encoder": "slat_enc_swin8_B_64l8_fp16",
}
CONDITIONERS = ("text_cond_model", "image_cond_model")


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


def load_network(
    stem: Path,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    hint: str = "fetch the model anew, or train it (docs/training.md)",
) -> TorsoNetwork:
    """The network of <stem>.json with the weights of <stem>.safetensors, strictly, its torso in `dtype`, in eval mode.

    Raises:
        MissingError: a file is not there; `hint` says what to do then.
        FileError: keys, shapes or the file itself are not what the class wants.
    """
    name, args = read_network_json(stem)
    weights = stem.with_name(stem.name + ".safetensors")
    if not weights.is_file():
        raise MissingError(f"{weights}: the weights are missing", hint=hint)
    try:
        network = network_with(name, args, StoredWeights(weights), device=device, dtype=dtype)
    except FileError as error:
        raise FileError(f"{weights}: {error.problem}", hint=error.hint) from error
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

    @cached_property
    def models(self) -> dict[str, str]:
        """Each network's key and its checkpoint as pipeline.json names it; with the encoders that lie beside it."""
        listed = {str(k): str(v) for k, v in dict(self.pipeline.get("models", {})).items()}
        beside = listed.get("sparse_structure_decoder", "ckpts/").rpartition("/")[0]
        found = {key: f"{beside}/{name}" for key, name in UNLISTED.items() if key not in listed}
        return listed | {key: value for key, value in found.items() if self._find(value)}

    def has(self, key: str) -> bool:
        """Whether the pipeline has a network of this key (its file may be missing all the same)."""
        return key in self.models

    def stem(self, key: str) -> Path:
        """Where the checkpoint of a model key lies.

        Raises:
            MissingError: the pipeline has no such key, or the checkpoint's file is nowhere.
        """
        if key not in self.models:
            raise MissingError(
                f"model {self.id} has no {key}; it has {', '.join(sorted(self.models))}", hint=self._lacks(key)
            )
        stem = self._find(self.models[key])
        if stem is None:
            missing = self._places(self.models[key])[0]
            raise MissingError(f"{missing}.json: no such checkpoint ({key} of {self.id})", hint=self.remedy(key))
        return stem

    def remedy(self, key: str) -> str:
        """What gets the checkpoint of a key that is missing."""
        elsewhere = hub.split_path(self.models[key])
        if hub.is_hub_id(self.id):
            return f"trellis models fetch {self.id}"
        if elsewhere is not None:
            return f"trellis models fetch {hub.current_name(elsewhere[0])}"
        return f"copy {self.models[key]}.json and .safetensors into {self.path}, or see `trellis models list`"

    def _lacks(self, key: str) -> str:
        """What to do about a key that pipeline.json does not name."""
        if key in UNLISTED and hub.is_hub_id(self.id):
            return f"trellis models fetch {self.id}"
        return "choose another --model"

    def _places(self, value: str) -> list[Path]:
        """Where a checkpoint may lie, first choice first: in the folder, in a folder beside it, in the hub's cache."""
        places = [self.path / value]
        if elsewhere := hub.split_path(value):
            repository, rest = elsewhere
            places.append(self.path.resolve().parent / repository.partition("/")[2] / rest)
            if found := hub.cached(repository, rest + ".json"):
                places.append(found.with_suffix(""))
        return places

    def _find(self, value: str) -> Path | None:
        return next((p for p in self._places(value) if p.with_name(p.name + ".json").is_file()), None)

    def load(self, key: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> TorsoNetwork:
        """The network of a model key, its torso computing in `dtype`."""
        return load_network(self.stem(key), device=device, dtype=dtype, hint=self.remedy(key))

    @cached_property
    def files(self) -> dict[str, Path]:
        """Everything the pipeline names that is there, by its name in the pipeline: what "these weights" means.

        Also an encoder of prompts that lies in the hub's cache: other weights of it make other objects of a prompt.
        """
        found = {"pipeline.json": self.path / "pipeline.json"}
        for value in self.models.values():
            if stem := self._find(value):
                found |= {value + s: stem.with_name(stem.name + s) for s in (".json", ".safetensors")}
        for key in CONDITIONERS:
            value = str(self.pipeline.get(key, ""))
            if value and (self.path / value).is_dir():  # it may lie outside of the model's folder
                beside = (p for p in (self.path / value).iterdir() if p.suffix in (".json", ".safetensors"))
                found |= {f"{value}/{p.name}": p for p in beside}
            elif repository := encoder_files.hub_id(value):
                found |= {f"{value}/{n}": p for n, p in encoder_files.cached_files(repository).items()}
        return {name: found[name] for name in sorted(found) if found[name].is_file()}

    @cached_property
    def digest(self) -> str:
        """sha256 over the names and the bytes' sha256 of `files`."""
        whole = hashlib.sha256()
        for name, path in self.files.items():
            known = hub.known_digest(path)
            whole.update(name.encode() + b"\0")
            whole.update(bytes.fromhex(known or file_digest(path)))
        return whole.hexdigest()

    @property
    def provenance(self) -> dict[str, str]:
        return {"id": self.id, "digest": self.digest}


def open_model(name: str) -> ModelFolder:
    """A model by folder, by shipped name or by its id on the hub.

    Raises:
        MissingError: there is none of that name; one on the hub has to be fetched first.
        FileError: a folder without a pipeline.json.
    """
    folder = Path(name)
    if (folder / "pipeline.json").is_file():
        return ModelFolder(folder.resolve().name, folder)
    if name in shipped():
        return ModelFolder(name, SHIPPED / name)
    if folder.is_dir():
        raise FileError(f"{folder} has no pipeline.json", hint="a model folder has a pipeline.json and ckpts/")
    if hub.is_hub_id(name):
        pipeline = hub.cached(name, "pipeline.json")
        if pipeline is not None:
            return ModelFolder(hub.current_name(name), pipeline.parent)
        raise MissingError(
            f"{name}/pipeline.json is not in the hub's cache {hub.cache_folder()}", hint=f"trellis models fetch {name}"
        )
    raise MissingError(
        f"no model {name!r}",
        hint=f"give a model folder, an id on the hub (owner/name), or one of: {', '.join(shipped()) or 'none shipped'}",
    )
