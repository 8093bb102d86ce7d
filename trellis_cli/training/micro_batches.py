"""A step's assets, divided among processes and into micro-batches, so that the division changes no result.

Everything random about an asset is drawn from a generator of its own, seeded by (seed, step, its number in the step):
the same assets, noises and views come whatever the number of processes, workers and micro-batches.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One asset of a step: what was drawn of it, how many voxels it has, and the generator of the rest."""

    what: Any
    tokens: int
    generator: torch.Generator


def item_generator(seed: int, step: int, number: int) -> torch.Generator:
    """The generator of one asset of one step."""
    digest = hashlib.sha256(f"{seed} {step} {number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def share(items: Sequence[Item], process: int, processes: int) -> list[Item]:
    """The items of one process: about as many voxels as every other has, and at least one item.

    The largest first, each to the process that has least so far (the published training balances so too); of equal
    ones the lowest number. The items keep their order.

    Raises:
        ValueError: fewer items than processes.
    """
    if len(items) < processes:
        raise ValueError(f"a batch of {len(items)} cannot be divided among {processes} processes")
    if processes == 1:
        return list(items)
    order = sorted(range(len(items)), key=lambda i: (-items[i].tokens, i))
    sums, mine = [0] * processes, []
    for place, i in enumerate(order):
        # The first ones go round, so that nobody stays without where items are large and few.
        to = place if place < processes else min(range(processes), key=lambda p: (sums[p], p))
        sums[to] += items[i].tokens
        if to == process:
            mine.append(i)
    return [items[i] for i in sorted(mine)]


def split(items: Sequence[Item], max_tokens: int, max_items: int = 0) -> list[list[Item]]:
    """Micro-batches of at most `max_tokens` voxels and `max_items` items (0: no limit); a larger item stands alone.

    The largest first, each into the fullest micro-batch that takes it: few micro-batches, of like sizes.
    """
    if not max_tokens and not max_items:
        return [list(items)]
    parts: list[list[int]] = []
    sums: list[int] = []
    for i in sorted(range(len(items)), key=lambda i: (-items[i].tokens, i)):
        fitting = [
            p
            for p, part in enumerate(parts)
            if (not max_tokens or sums[p] + items[i].tokens <= max_tokens) and (not max_items or len(part) < max_items)
        ]
        if fitting:
            best = max(fitting, key=lambda p: (sums[p], -p))
            parts[best].append(i)
            sums[best] += items[i].tokens
        else:
            parts.append([i])
            sums.append(items[i].tokens)
    return [[items[i] for i in sorted(part)] for part in sorted(parts, key=min)]
