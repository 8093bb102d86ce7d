"""Whether a model's files are what its networks want: each is compared, and loaded, and its encoders of prompts too."""

import torch

from trellis_cli.errors import FileError, MissingError, TrellisError
from trellis_cli.io.model_folders import CONDITIONERS, ModelFolder, open_model, read_network_json
from trellis_cli.io.weights import StoredWeights
from trellis_cli.networks.published import build_network
from trellis_cli.stages.conditioners import ImageConditioner, TextConditioner, conditioner, flows_for


def check(name: str) -> dict[str, TrellisError | None]:
    """Each network's and encoder's key -> None, or what is wrong with it.

    Keys and shapes of a weights file are compared by its header, then the network is loaded, one after another, so that
    memory is needed for the largest alone. An encoder must give what the flows attend to.

    Raises:
        MissingError, FileError: there is no such model.
    """
    model = open_model(name)
    found = {key: _network_problem(model, key) for key in sorted(model.models)}
    return found | {key: _encoder_problem(model, key) for key in CONDITIONERS if key in model.pipeline}


def complaint(name: str, found: dict[str, TrellisError | None]) -> TrellisError | None:
    """The one error for all that `check` found: a FileError where a file is wrong, else a MissingError."""
    bad = {key: error for key, error in found.items() if error is not None}
    if not bad:
        return None
    named = f"{len(bad)} of {len(found)} parts of {name}"
    for error in bad.values():
        if not isinstance(error, MissingError):
            return FileError(f"{named} are not what they should be: {', '.join(bad)}", hint=error.hint)
    return MissingError(f"{named} are missing: {', '.join(bad)}", hint=next(iter(bad.values())).hint)


def _network_problem(model: ModelFolder, key: str) -> TrellisError | None:
    try:
        stem = model.stem(key)
        path = stem.with_name(stem.name + ".safetensors")
        if path.is_file() and (problem := _misfit(model, key)):
            return FileError(problem, hint="fetch the model anew, or pack it again")
        model.load(key, dtype=torch.float16)  # the least memory
    except TrellisError as error:
        return _alone(error)
    return None


def _alone(error: TrellisError) -> TrellisError:
    """The error without its traceback, whose frames would hold the weights that were read so far."""
    return type(error)(error.problem, hint=error.hint)


def _misfit(model: ModelFolder, key: str) -> str:
    """How the header of a weights file differs from the class it is for; "" where it does not. Raises FileError."""
    stem = model.stem(key)
    name, args = read_network_json(stem)
    with torch.device("meta"):
        wanted = {k: tuple(v.shape) for k, v in build_network(name, args).state_dict().items()}
    found = StoredWeights(stem.with_name(stem.name + ".safetensors")).shapes
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    wrong = [f"{k} is {list(found[k])}, not {list(wanted[k])}" for k in wanted if k in found and found[k] != wanted[k]]
    problems = [_counted("missing", missing), _counted("unknown", unknown), _counted("of another shape", wrong)]
    return "; ".join(p for p in problems if p)


def _counted(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else ""


def _encoder_problem(model: ModelFolder, key: str) -> TrellisError | None:
    kind = key.partition("_")[0]
    try:
        made = conditioner(model, kind, device="cpu", background="keep")
        assert isinstance(made, TextConditioner | ImageConditioner)
        width = made.encoder.width if isinstance(made, TextConditioner) else made.encoder.channels
    except TrellisError as error:
        return _alone(error)
    try:
        end = flows_for(model, kind)
    except MissingError:  # it has the encoder, but no flows for such prompts
        return None
    for flow in (f"sparse_structure_flow_model{end}", f"slat_flow_model{end}"):
        if (wanted := _cond_channels(model, flow)) not in (None, width):
            return FileError(
                f"{model.pipeline[key]} gives {width} channels a token, {flow} wants {wanted}",
                hint="pack the model again, with the encoder that its flows were trained with",
            )
    return None


def _cond_channels(model: ModelFolder, flow: str) -> int | None:
    """What a flow attends to; None where its file does not say, which is found out under its own key."""
    try:
        return read_network_json(model.stem(flow))[1].get("cond_channels")
    except TrellisError:
        return None
