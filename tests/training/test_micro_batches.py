"""A batch divided among processes and into micro-batches: everything once, about as much for each."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trellis_cli.training.guard import LossScale
from trellis_cli.training.memory import MemoryLimit
from trellis_cli.training.micro_batches import Item, item_generator, share, split

SIZES = st.lists(st.integers(1, 5000), min_size=4, max_size=40)


def items(sizes: list[int]) -> list[Item]:
    return [Item(k, size, item_generator(0, 0, k)) for k, size in enumerate(sizes)]


@given(SIZES, st.integers(1, 4))
def test_processes_share_all_items_about_equally(sizes: list[int], processes: int) -> None:
    whole = items(sizes)
    shares = [share(whole, p, processes) for p in range(processes)]
    assert sorted(item.what for part in shares for item in part) == list(range(len(sizes)))
    assert all(part and [i.what for i in part] == sorted(i.what for i in part) for part in shares)
    loads = [sum(item.tokens for item in part) for part in shares]
    assert max(loads) - min(loads) <= max(sizes)  # greedy: nobody is given more while somebody has less


@given(SIZES, st.integers(1, 8000), st.integers(0, 5))
def test_micro_batches_keep_to_their_limits(sizes: list[int], max_tokens: int, max_items: int) -> None:
    parts = split(items(sizes), max_tokens, max_items)
    assert sorted(item.what for part in parts for item in part) == list(range(len(sizes)))
    for part in parts:
        assert len(part) == 1 or sum(item.tokens for item in part) <= max_tokens
        assert not max_items or len(part) <= max_items


def test_no_limit_is_one_micro_batch() -> None:
    assert [len(part) for part in split(items([3, 9, 1]), 0)] == [3]


def test_fewer_items_than_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="batch of 2 cannot be divided among 3"):
        share(items([1, 2]), 0, 3)


def test_the_limit_is_learnt_from_what_was_taken() -> None:
    """A card of 10,000 bytes, three quarters to be filled; 100 bytes are taken anyhow, and 2 a voxel."""
    limit = MemoryLimit(50, 0.75, 10_000)
    for tokens in (10, 20, 30, 40, 45, 25, 35):
        limit.saw(tokens, 100 + 2 * tokens)
        assert limit.tokens == 50  # too little is known
    limit.saw(15, 130)
    assert limit.tokens == 3700
    limit.failed(1001)
    assert limit.tokens == 500


def test_without_a_card_the_recipes_limit_stands() -> None:
    limit = MemoryLimit(50, 0.75, 0)
    for tokens in range(1, 20):
        limit.saw(tokens, 2 * tokens)
    assert limit.tokens == 50
    assert MemoryLimit(0, 0.0, 0).tokens == 0


def test_the_loss_scale_falls_where_gradients_overflow() -> None:
    scale = LossScale(active=True)
    assert scale.factor == 2.0**20
    assert scale.overflowed(float("inf")) and scale.factor == 2.0**19
    assert not scale.overflowed(1.0) and scale.factor == pytest.approx(2.0**19.001)
    scale.log = 0.5
    assert not scale.overflowed(float("nan"))  # no fault of the scale
    still = LossScale(active=False)
    assert still.factor == 1 and not still.overflowed(float("nan"))


def test_a_scaled_loss_gives_the_same_gradients() -> None:
    from trellis_cli.training.optim import AdaptiveClip

    weight = torch.nn.Parameter(torch.tensor([0.01, 0.02]))
    (weight.square().sum() * 1024).backward()
    assert AdaptiveClip()([weight], 1024.0) == pytest.approx(2 * 0.02236068, rel=1e-5)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
