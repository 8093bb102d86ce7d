"""What the encoder of a kind of prompts takes in memory, by the header of its weights: nothing is loaded."""

from pathlib import Path

import torch

from trellis_cli.io import hub
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.weights import StoredWeights
from trellis_cli.networks.dino_tokens import HUB_IDS
from trellis_cli.stages.resident import Size

OWN = {"text": "text_encoder.safetensors", "image": "image_encoder.safetensors"}
WEIGHTS = "model.safetensors"
TOWER = "text_model."  # CLIP's released file holds a tower for pictures too, which is not loaded


def conditioner_size(model: ModelFolder, kind: str) -> Size | None:
    """The encoder that a model names for a kind of prompts, in float32, which it always computes in.

    None where its weights are not on this machine, or not in a safetensors file of their own.

    Raises:
        FileError: the file is no such file.
    """
    key = f"{kind}_cond_model"
    source = str(model.pipeline[key])
    path = _weights(model.path / source, HUB_IDS.get(source, source), kind)
    if path is None:
        return None
    shapes = StoredWeights(path).shapes
    tower = {name: shape for name, shape in shapes.items() if name.startswith(TOWER)}
    parameters = sum(torch.Size(shape).numel() for shape in (tower or shapes).values())
    return Size(key, source, parameters, parameters * torch.float32.itemsize)


def _weights(folder: Path, repository: str, kind: str) -> Path | None:
    here = [path for name in (OWN[kind], WEIGHTS) if (path := folder / name).is_file()]
    return here[0] if here else hub.cached(repository, WEIGHTS) if hub.is_hub_id(repository) else None
