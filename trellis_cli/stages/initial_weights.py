"""The weights a new run begins with: those of another run or of a model, where they fit."""

from pathlib import Path

from torch import nn

from trellis_cli import console
from trellis_cli.errors import FileError, MissingError
from trellis_cli.io.model_folders import load_network, open_model


def borrow_weights(network: nn.Module, source: str, key: str) -> int:
    """Take over what has the same name and shape from a run's or a model's network; returns how many tensors.

    A flow of another condition lends all but what reads the condition: a flow from images begins with what the flow
    from texts knows of objects.

    Args:
        source: the folder of a run, or a model: a folder, a shipped one's name, or an id on the hub.
        key: the network's in a model folder.

    Raises:
        MissingError: no such network there.
        FileError: nothing of it fits.
    """
    stem = _stem(source, key)
    theirs, own = load_network(stem).state_dict(), network.state_dict()
    fitting = {k: t for k, t in theirs.items() if k in own and own[k].shape == t.shape}
    if not fitting:
        raise FileError(f"nothing of {stem} fits this network", hint="start from a network of the same width")
    network.load_state_dict(fitting, strict=False)
    console.note(f"{len(fitting)} of {len(own)} tensors from {stem}")
    return len(fitting)


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
