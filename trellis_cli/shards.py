"""Which part of a batch a command does: `--shard i/n`, by default its place in a SLURM array."""

import hashlib
import os
from collections.abc import Mapping

from trellis_cli import console, invocation
from trellis_cli.errors import UsageError


def parse_shard(text: str | None) -> tuple[int, int]:
    """`i/n` with 0 <= i < n; None is this task's place in a SLURM array, and outside of one 0/1. Raises UsageError."""
    if text is None:
        return _array_task(os.environ)
    i, slash, n = text.partition("/")
    if not slash or not i.isdecimal() or not n.isdecimal() or not 0 <= int(i) < int(n):
        raise UsageError(f"--shard {text!r} is not i/n with 0 <= i < n", hint="for example --shard 0/8 to 7/8")
    return int(i), int(n)


def _array_task(environment: Mapping[str, str]) -> tuple[int, int]:
    """The shard of a task of a SLURM array 0-<n - 1>; (0, 1) outside of an array.

    An array of other numbers, as when a few tasks are submitted again, does not say how many shards there are: guessing
    would do another part of the work, and no one would notice. Raises UsageError.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return 0, 1
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT")
    try:
        task, low, high, count = (int(environment[name]) for name in names)
    except (KeyError, ValueError):
        task, low, high, count = -1, -1, -1, -1
    if low != 0 or high != count - 1 or not 0 <= task < count:
        raise UsageError(
            "this task's SLURM array is not 0-<n - 1>, so its shard is not known",
            hint="pass --shard $SLURM_ARRAY_TASK_ID/<n>, n as in the whole array",
        )
    if not invocation.role():
        console.note(f"shard {task}/{count}, as this task of a SLURM array; --shard 0/1 does all")
    return task, count


def in_shard(id_: str, shard: tuple[int, int]) -> bool:
    """Whether an id belongs to this shard: by a stable hash of the id, whatever else is in the set."""
    return int(hashlib.sha256(id_.encode(errors="surrogateescape")).hexdigest()[:8], 16) % shard[1] == shard[0]
