"""Parity of `packed_attention`: every backend against the reference, gradients too, and the reference by hand."""

import pytest
import torch
from torch import Tensor

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.packed_attention import packed_attention, windowed_attention, windows
from trellis_ops.packed_attention._padding import padded_attention
from trellis_ops.testing import assert_matches

BACKENDS = [
    pytest.param("cpu", "cpu", id="cpu"),
    pytest.param("cuda", "cuda", id="cuda", marks=pytest.mark.gpu),
]
LENGTHS = [  # of the queries, of the keys
    pytest.param([1], [1], id="one"),
    pytest.param([5, 5, 5], [5, 5, 5], id="equal"),
    pytest.param([3, 1, 7, 0, 12], [3, 1, 7, 0, 12], id="unequal-one-empty"),
    pytest.param([3, 4, 2], [6, 6, 6], id="cross-equal-context"),
    pytest.param([2, 2, 5], [1, 0, 9], id="cross-one-context-empty"),
    pytest.param([0, 0], [0, 0], id="nothing"),
]


def packed(lengths: list[int], kv_lengths: list[int], rng: torch.Generator, heads: int = 2, width: int = 4) -> dict:
    sizes = {"q": sum(lengths), "k": sum(kv_lengths), "v": sum(kv_lengths)}
    tensors = {name: torch.randn(n, heads, width, generator=rng) for name, n in sizes.items()}
    return tensors | {"offsets": offsets(lengths), "kv_offsets": offsets(kv_lengths)}


def offsets(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


def with_gradients(call, inputs: dict[str, Tensor], names: tuple[str, ...]) -> list[Tensor]:
    """The result, and the gradients of its sum weighted by a fixed pattern."""
    leaves = {k: t.clone().requires_grad_() if k in names else t for k, t in inputs.items()}
    out = call(**leaves)
    pattern = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * pattern).sum(), [leaves[k] for k in names])]


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("lengths", "kv_lengths"), LENGTHS)
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_matches_reference(backend, device, lengths, kv_lengths, rng):
    inputs = {k: t.to(device) for k, t in packed(lengths, kv_lengths, rng).items()}
    want = packed_attention(**inputs, backend="reference")
    assert_matches(packed_attention(**inputs, backend=backend), want, what=f"{backend} {lengths}")


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("lengths", "kv_lengths"), LENGTHS[:-1])
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_gradients_match_reference(backend, device, lengths, kv_lengths, rng):
    inputs = {k: t.to(device) for k, t in packed(lengths, kv_lengths, rng).items()}
    want, got = (
        with_gradients(lambda **x: packed_attention(**x, backend=name), inputs, ("q", "k", "v"))  # noqa: B023
        for name in ("reference", backend)
    )
    for name, g, w in zip(("out", "q", "k", "v"), got, want, strict=True):
        if w.abs().max() < 1e-6:  # one key a query: the gradients to q and k are zero but for rounding
            assert g.abs().max() < 1e-6
        else:
            assert_matches(g, w, what=f"{backend} {lengths} gradient to {name}")


def test_long_sequences_keep_their_gradients(rng):
    """Beyond the length at which weights are made again, another path is taken; one row is held to plain softmax."""
    inputs = packed([520, 3], [520, 3], rng, heads=1)
    got = with_gradients(packed_attention, inputs, ("q", "k", "v"))

    def by_hand(q, k, v, offsets, kv_offsets):
        parts = [((q[s, 0] @ k[s, 0].T) / 2).softmax(1) @ v[s, 0] for s in (slice(0, 520), slice(520, 523))]
        return torch.cat(parts)[:, None]

    for g, w in zip(got, with_gradients(by_hand, inputs, ("q", "k", "v")), strict=True):
        assert_matches(g, w, what="520 and 3 tokens")


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("lengths", "kv_lengths"), LENGTHS[1:-1])
def test_padding_matches_reference(lengths, kv_lengths, rng):
    """What GPUs without a variable-length kernel use; it is the same on every device."""
    inputs = packed(lengths, kv_lengths, rng)
    want = with_gradients(lambda **x: packed_attention(**x, backend="reference"), inputs, ("q", "k", "v"))
    for g, w in zip(with_gradients(padded_attention, inputs, ("q", "k", "v")), want, strict=True):
        assert_matches(g, w, what=f"padded {lengths}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype, rng):
    inputs = packed([9, 30, 17], [9, 30, 17], rng, heads=3, width=16)
    half = {k: t.to(dtype) if t.is_floating_point() else t for k, t in inputs.items()}
    want = with_gradients(lambda **x: packed_attention(**x, backend="reference"), half, ("q", "k", "v"))
    for g, w in zip(with_gradients(packed_attention, half, ("q", "k", "v")), want, strict=True):
        assert_matches(g, w, what=f"{dtype}")


def test_reference_by_hand():
    """Two keys whose scores differ by log 3 share the value 3 to 1; another sequence's key is not seen."""
    q = torch.full((1, 1, 4), 2.0)
    k = torch.tensor([[0.0] * 4, [torch.log(torch.tensor(3.0)) / 4] * 4, [100.0] * 4]).view(3, 1, 4)
    v = torch.tensor([[0.0, 8.0, 0.0, 4.0], [4.0, 0.0, 0.0, 4.0], [1e9] * 4]).view(3, 1, 4)
    got = packed_attention(q, k, v, torch.tensor([0, 1, 1]), kv_offsets=torch.tensor([0, 2, 3]), backend="reference")
    torch.testing.assert_close(got.flatten(), torch.tensor([3.0, 2.0, 0.0, 4.0]))


def test_windows_by_hand():
    coords = torch.tensor([[0, 0, 0], [5, 0, 0], [3, 3, 3], [4, 0, 0], [0, 0, 0]])
    samples = torch.tensor([0, 4, 5])
    order, starts = windows(coords, samples, window=4, shift=0)
    assert order.tolist() == [0, 2, 1, 3, 4] and starts.tolist() == [0, 2, 4, 5]
    order, starts = windows(coords, samples, window=4, shift=2)  # 3 + 2 is in the second cell of each axis
    assert order.tolist() == [0, 1, 3, 2, 4] and starts.tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("shift", [0, 2])
def test_windowed_attention_sees_its_window_alone(shift, rng):
    coords = torch.unique(torch.randint(0, 9, (60, 3), generator=rng), dim=0)
    coords = coords[torch.randperm(len(coords), generator=rng)]
    samples = torch.tensor([0, len(coords) // 3, len(coords)])
    q, k, v = (torch.randn(len(coords), 2, 4, generator=rng) for _ in range(3))
    got = windowed_attention(q, k, v, coords, samples, window=4, shift=shift)
    sample = (torch.arange(len(coords)) >= samples[1]).long()
    group = torch.cat([sample[:, None], (coords + shift) // 4], dim=1)
    seen = (group[:, None] == group[None]).all(-1)
    scores = torch.einsum("nhk,mhk->hnm", q, k) / 2
    want = torch.einsum("hnm,mhk->nhk", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)
    assert_matches(got, want, what=f"window 4, shift {shift}")


def test_forced_backend_says_why_not(rng):
    inputs = packed([2], [2], rng)
    with pytest.raises(BackendUnavailable, match="cannot run on 'cuda': q is on cpu"):
        packed_attention(**inputs, backend="cuda")


@pytest.mark.parametrize("wrong", [[0, 3], [1, 2], [0, 3, 2]])
def test_offsets_that_do_not_fit_are_named(wrong, rng):
    inputs = packed([2], [2], rng) | {"offsets": torch.tensor(wrong), "kv_offsets": None}
    with pytest.raises(ValueError, match="offsets must rise from 0 to 2"):
        packed_attention(**inputs)


def test_as_many_contexts_as_sequences(rng):
    inputs = packed([2, 1], [1, 1], rng) | {"kv_offsets": torch.tensor([0, 2])}
    with pytest.raises(ValueError, match="offsets name 2 sequences, kv_offsets 1"):
        packed_attention(**inputs)


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
@torch.no_grad()
def test_long_bfloat16_sequences(sharpness, rng):
    """Without gradients, long sequences go through plain products; sharp scores are no worse."""
    inputs = packed([600, 70, 513], [530, 700, 520], rng, heads=3, width=16)
    inputs |= {name: inputs[name].bfloat16() for name in ("k", "v")} | {"q": (inputs["q"] * sharpness).bfloat16()}
    got = packed_attention(**inputs, backend="cpu")
    exact = {name: t.float() if t.is_floating_point() else t for name, t in inputs.items()}
    want = packed_attention(**exact, backend="cpu")
    error = float((got.float() - want).norm() / want.norm())
    assert got.dtype == torch.bfloat16 and error < 6e-3, error  # measured: 2.5e-3 and 3e-3
