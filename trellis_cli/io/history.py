"""What made a file's inputs, and theirs: the root attribute `history`, one entry a file, the oldest first."""

import json
from collections.abc import Mapping
from typing import Any

from trellis_cli.errors import FileError

KEPT = ("command", "seed", "parameters", "inputs", "model", "program_version")  # of a file's root attributes


def step_of(attributes: Mapping[str, Any], digest: str, name: str) -> list[dict[str, Any]]:
    """The history that a file's successor carries: the file's own, and the file itself as its last entry.

    Args:
        attributes: the root attributes of the file.
        digest, name: its sha256 and base name.

    Raises:
        FileError: attributes that are no provenance.
    """
    try:
        own = {key: _read(attributes[key]) for key in KEPT if key in attributes}
    except (ValueError, TypeError) as error:
        raise FileError(f"{name}: its root attributes do not say what made it: {error}", hint="make it anew") from error
    return [*steps(attributes, name), {"file": digest, "name": name, **own}]


def steps(attributes: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The history in a file's root attributes; empty where there is none. Raises FileError for one that is none."""
    try:
        found = json.loads(attributes.get("history", "[]"))
    except (ValueError, TypeError) as error:
        raise FileError(f"{name}: its history is no JSON: {error}", hint="make it anew") from error
    whole = isinstance(found, list) and all(
        isinstance(step, dict) and {"file", "name"} <= step.keys() for step in found
    )
    if not whole:
        raise FileError(f"{name}: its history is no list of files", hint="make it anew")
    return found


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
