"""Ids of edited assets, from what a file's parameters say, and the captions that follow from them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from trellis_cli.stages.prompts import content_digest

# What changes an edited asset beside weights, source, prompt and seed. Not the model: the weights say which.
DECIDES = (
    "mode",
    "keep_structure",
    "region",
    "structure",
    "slat",
    "resample_structure",
    "resample_slat",
    "feather",
    "dtype",
)


def edited_ids(parameters: Mapping[str, Any], weights: str, seed: int) -> Iterator[tuple[int, int, str]]:
    """(which source, which of its variants, id) of everything that an edit of these parameters makes.

    A variant's seed is seed + n, whatever else is edited beside it, so that a list may grow.
    """
    shared = json.dumps({key: parameters[key] for key in DECIDES if key in parameters}, sort_keys=True)
    contents = [content_digest(entry, parameters) for entry in parameters["prompts"]]
    for k, source in enumerate(parameters["sources"]):
        for n in range(int(parameters["num"])):
            parts = [weights, source["content"], *map(str, contents), shared, str(seed + n)]
            yield k, n, hashlib.sha256("\0".join(parts).encode()).hexdigest()


def edits_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """id -> what was asked of each asset that a file of these attributes may hold."""
    parameters = json.loads(attributes["parameters"])
    words = [entry.get("text", entry.get("image")) for entry in parameters["prompts"]]
    asked = ": ".join([parameters["mode"], *words])
    ids = edited_ids(parameters, json.loads(attributes["model"])["digest"], int(attributes["seed"]))
    return {id_: asked + (f" ({n + 1})" if int(parameters["num"]) > 1 else "") for _, n, id_ in ids}
