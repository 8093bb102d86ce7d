"""The weights a new run begins with: those of another run or of a model, where they fit."""

from pathlib import Path

import torch
from torch import nn

from trellis_cli import console
from trellis_cli.data.statistics import FILE, Normalization
from trellis_cli.errors import FileError, MissingError
from trellis_cli.io.model_folders import load_network, open_model


def borrow_weights(network: nn.Module, source: str, key: str, *, whole: bool = False) -> int:
    """Take over what has the same name and shape from a run's or a model's network; returns how many tensors.

    A flow of another condition lends all but what reads the condition: a flow from images begins with what the flow
    from texts knows of objects.

    Args:
        source: the folder of a run, or a model: a folder, a shipped one's name, or an id on the hub.
        key: the network's in a model folder.
        whole: every tensor has to fit.

    Raises:
        MissingError: no such network there.
        FileError: less than half of its tensors fit, or not all where they have to: it is another network.
    """
    stem = _stem(source, key)
    theirs, own = load_network(stem).state_dict(), network.state_dict()
    fitting = {k: t for k, t in theirs.items() if k in own and own[k].shape == t.shape}
    if len(fitting) < (len(own) if whole else max(1, len(own) / 2)):
        name = next(k for k in own if k not in fitting)
        there = f"{tuple(theirs[name].shape)} there" if name in theirs else "not there"
        raise FileError(
            f"{len(fitting)} of {len(own)} tensors of {stem} fit this network; {name} is {tuple(own[name].shape)} here,"
            f" {there}",
            hint="start from a network of the same size and kind",
        )
    network.load_state_dict(fitting, strict=False)
    console.note(f"{len(fitting)} of {len(own)} tensors from {stem}")
    return len(fitting)


def borrowed_normalization(source: str) -> Normalization:
    """How the latents were normalised that a run's or a model's flow has learnt from: it goes on with the same.

    Raises:
        FileError, MissingError: `source` does not say.
    """
    if (Path(source) / FILE).is_file():
        return Normalization.read(Path(source) / FILE)
    model = open_model(source)
    try:
        table = model.pipeline["slat_normalization"]
        return Normalization(torch.tensor(table["mean"]).float(), torch.tensor(table["std"]).float())
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"model {model.id} does not say how latents are normalised", hint="choose another") from error


def _stem(source: str, key: str) -> Path:
    """Where the network lies; of a flow from images that is not there, the one from texts."""
    keys = (key, key.removesuffix("_image"))
    run = [Path(source) / "ckpts" / name for name in keys]
    if found := next((s for s in run if s.with_name(s.name + ".json").is_file()), None):
        return found
    if Path(source).is_dir() and not (Path(source) / "pipeline.json").is_file():
        raise MissingError(f"{run[0]}.json: no such checkpoint", hint="give a run of the same stage, or a model")
    model = open_model(source)
    return model.stem(next((k for k in keys if model.has(k)), key))
