"""Models: which there are, what one holds, and fetching one."""

from dataclasses import dataclass
from typing import Any

import torch

from trellis_cli.errors import FileError, MissingError, TrellisError, UsageError
from trellis_cli.io import encoder_files, hub
from trellis_cli.io.encoder_files import OWN
from trellis_cli.io.model_folders import (
    CONDITIONERS,
    SHIPPED,
    UNLISTED,
    ModelFolder,
    open_model,
    read_network_json,
    shipped,
)
from trellis_cli.io.weights import StoredWeights
from trellis_cli.networks.published import build_network, num_parameters

MB = 1e6


@dataclass(frozen=True, slots=True)
class Released:
    """A published model: what fetching it brings, weights of its conditioner not among it."""

    bytes: int
    licence: str
    says: str


DECODERS_BYTES = 672_359_000  # of the four decoders, which the text models take from image-large
RELEASED = {
    "microsoft/TRELLIS-image-large": Released(3_299_000_000, "MIT", "from images, 1.2 billion parameters"),
    "microsoft/TRELLIS-text-base": Released(700_000_000 + DECODERS_BYTES, "MIT", "from texts, 342 million"),
    "microsoft/TRELLIS-text-large": Released(2_284_000_000 + DECODERS_BYTES, "MIT", "from texts, 1.1 billion"),
    "microsoft/TRELLIS-text-xlarge": Released(4_127_000_000 + DECODERS_BYTES, "MIT", "from texts, 2.0 billion"),
}
SHIPPED_LICENCE = "CC BY-SA 3.0 (its encoders: licences beside them)"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be named by --model."""

    id: str
    state: str  # shipped, fetched, "in part", "not fetched" or damaged
    megabytes: float  # on this machine; of one that is not here, what fetching it brings
    licence: str
    says: str = ""


def listing() -> list[Entry]:
    """The shipped models, the released ones, and what else of the kind the hub's cache holds."""
    entries = [
        Entry(name, "shipped", _megabytes(open_model(name)), SHIPPED_LICENCE, _says(open_model(name)))
        for name in shipped()
    ]
    for name, released in RELEASED.items():
        state = _state(name)
        here = state in ("fetched", "in part")
        megabytes = _megabytes(open_model(name)) if here else round(released.bytes / MB, 1)
        entries.append(Entry(name, state, megabytes, released.licence, released.says))
    known = {*RELEASED, *(f"JeffreyXiang/{name.partition('/')[2]}" for name in RELEASED)}
    for name in hub.cached_repositories():
        if name not in known and _is_ours(name):
            entries.append(
                Entry(name, _state(name), _megabytes(open_model(name)), "see its model card", _says(open_model(name)))
            )
    return entries


def _says(model: ModelFolder) -> str:
    kinds = {"text_cond_model": "texts", "image_cond_model": "images"}
    return "from " + " or ".join(word for key, word in kinds.items() if key in model.pipeline)


def _is_ours(name: str) -> bool:
    """Whether a repository with a pipeline.json is a model of this kind; other programs use the name too."""
    try:
        return "slat_normalization" in open_model(name).pipeline
    except TrellisError:
        return False


def _state(name: str) -> str:
    if hub.cached(name, "pipeline.json") is None:
        return "not fetched"
    try:
        return "in part" if missing_files(open_model(name)) else "fetched"
    except FileError:
        return "damaged"


def _megabytes(model: ModelFolder) -> float:
    return round(sum(path.stat().st_size for path in model.files.values()) / MB, 1)


def missing_files(model: ModelFolder) -> list[str]:
    """Files of the networks that pipeline.json names and that are nowhere."""
    wanted = [value + suffix for value in model.models.values() for suffix in (".json", ".safetensors")]
    return [name for name in wanted if name not in model.files]


def describe(name: str) -> dict[str, Any]:
    """Where a model lies, each network's class, parameters, size and stored dtype, licence, and the weights digest."""
    model = open_model(name)
    report: dict[str, Any] = {
        "id": model.id,
        "path": str(model.path),
        "digest": model.digest,
        "licence": _licence(model),
        "megabytes": _megabytes(model),
    }
    for key in CONDITIONERS:
        if key in model.pipeline:
            report[key] = model.pipeline[key]
    report["networks"] = {key: _network(model, key) for key in sorted(model.models)}
    return report


def _licence(model: ModelFolder) -> str:
    if model.path.resolve().parent == SHIPPED.resolve():  # any folder may be called as a shipped one is
        return SHIPPED_LICENCE
    return RELEASED[model.id].licence if model.id in RELEASED else "unknown; see its model card"


def _network(model: ModelFolder, key: str) -> dict[str, Any]:
    try:
        stem = model.stem(key)
        name, args = read_network_json(stem)
        with torch.device("meta"):
            parameters = num_parameters(build_network(name, args))
        path = stem.with_name(stem.name + ".safetensors")
        if not path.is_file():
            raise MissingError(f"{path}: the weights are missing", hint=model.remedy(key))
        weights = StoredWeights(path)
    except TrellisError as error:
        return {"problem": error.problem}
    return {
        "name": name,
        "parameters": parameters,
        "megabytes": round(weights.num_bytes / MB, 1),
        "dtype": "+".join(sorted(set(weights.dtypes.values()))),
        "path": str(stem),
    }


def fetch(name: str) -> dict[str, Any]:
    """Fetch a model of the hub into its cache: the networks its pipeline names, wherever they lie, and the
    encoders of its prompts that the hub has; nothing that is there already. Also such an encoder alone, by its id.

    Raises:
        UsageError: not an id of the hub.
        MissingError: the hub cannot be reached, has no such model, or the model is not whole there.
    """
    if name in shipped():
        raise UsageError(f"{name} is shipped: there is nothing to fetch", hint=f"trellis models info {name}")
    name = encoder_files.HUB_IDS.get(name, name)
    if not hub.is_hub_id(name):
        raise UsageError(f"{name!r} is no id on the hub", hint="for example microsoft/TRELLIS-image-large")
    name = hub.current_name(name)
    hub.download(name, ["pipeline.json", "config.json"])
    if hub.cached(name, "pipeline.json") is None:
        return _fetch_encoder(name)
    model = open_model(name)
    values = list(dict(model.pipeline.get("models", {})).values()) + [f"ckpts/{file}" for file in UNLISTED.values()]
    encoders = {key: str(model.pipeline[key]) for key in CONDITIONERS if model.pipeline.get(key)}
    beside = [f"{encoders[key]}/{file}" for key in encoders for file in (*OWN[key], *encoder_files.FETCHED)]
    hub.download(name, _patterns(values) + beside)
    elsewhere: dict[str, list[str]] = {}
    for value in {v.rpartition(".")[0] for v in missing_files(open_model(name))}:
        if place := hub.split_path(value):
            elsewhere.setdefault(hub.current_name(place[0]), []).append(place[1])
    for repository, paths in sorted(elsewhere.items()):
        hub.download(repository, _patterns(paths))
    model = open_model(name)
    if missing := missing_files(model):
        raise _not_there(name, missing[0])
    for encoder in encoders.values():
        if not (model.path / encoder).is_dir() and (repository := encoder_files.hub_id(encoder)):
            _fetch_encoder(repository)
    return {"id": name, "path": str(model.path), "megabytes": _megabytes(model)}


def _fetch_encoder(repository: str) -> dict[str, Any]:
    path = hub.download(repository, encoder_files.FETCHED)
    if not encoder_files.has_weights(repository):
        have = {path.name for path in encoder_files.cached_files(repository).values()}
        lacks = "model.safetensors" if "config.json" in have else "pipeline.json or config.json"
        raise _not_there(repository, lacks)
    size = sum(file.stat().st_size for file in encoder_files.cached_files(repository).values())
    return {"id": repository, "path": str(path), "megabytes": round(size / MB, 1)}


def _not_there(repository: str, file: str) -> MissingError:
    """What to raise for a file that is not in the cache after it was asked for.

    What is cached of a repository is the answer where the hub is out of reach too: only the hub could say more.
    """
    if hub.is_offline():
        return hub.forbidden(f"{repository}: {file}", repository)
    return MissingError(
        f"{repository}: {file} did not come: the hub was out of reach, or has no such file",
        hint=f"with a network, `trellis models fetch {repository}` goes on",
    )


def _patterns(values: list[str]) -> list[str]:
    return [value + suffix for value in values for suffix in (".json", ".safetensors")]
