"""The definition, one sequence, one head and one query at a time. Slow, in float64, and never optimised."""

import torch
from torch import Tensor


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, kv_offsets: Tensor) -> Tensor:
    queries, keys, values = q.double(), k.double(), v.double()
    rows = []
    for i in range(len(offsets) - 1):
        start, end = int(kv_offsets[i]), int(kv_offsets[i + 1])
        for n in range(int(offsets[i]), int(offsets[i + 1])):
            heads = []
            for h in range(q.shape[1]):
                scores = keys[start:end, h] @ queries[n, h] / q.shape[2] ** 0.5
                weights = scores.exp() if end == start else (scores - scores.max()).exp()
                heads.append((weights / weights.sum()) @ values[start:end, h])  # no keys: an empty sum, zero
            rows.append(torch.stack(heads))
    return torch.stack(rows).to(q.dtype) if rows else torch.zeros_like(q)
