"""Scores that are kept between runs of `eval`, each in a file of its own, under a key of all that they depend on."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trellis_cli.errors import TrellisError
from trellis_cli.io.aside import write_text

Scores = dict[str, Any]


def digest(table: Mapping[str, Any]) -> str:
    """sha256 of a table, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def cached(path: Path, depends: Mapping[str, Any], make: Callable[[], Scores] | None, *, anew: bool = False) -> Scores:
    """The scores in a file, if they are of the very same; else those that `make` gives, put there.

    Args:
        make: None where nothing is to be computed.
        anew: make them whatever is there.

    Raises:
        TrellisError: nothing is to be computed, and they are not there.
        DiskError: the disk is full; and whatever `make` raises.
    """
    key = digest(depends)
    if path.is_file() and not anew:
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["key"] == key:
                return held["scores"]
        except (ValueError, KeyError, TypeError):  # cut off, or another file: scored again
            pass
    if make is None:
        raise TrellisError(f"{path} does not have it: not scored yet, or it failed", hint="run its --shard again")
    found = make()
    write_text(path, json.dumps({"key": key, "scores": found}, sort_keys=True) + "\n")
    return found
