"""Conditions: packing, joining, repeating and dropping."""

import pytest
import torch

from trellis_cli.networks.condition import Condition


@pytest.fixture
def three(rng) -> Condition:
    return Condition(torch.randn(6, 4, generator=rng), torch.tensor([0, 3, 4, 6]), torch.randn(3, 2, generator=rng))


def test_dense_is_the_case_of_equal_lengths(rng):
    tokens = torch.randn(2, 5, 4, generator=rng)
    condition = Condition.dense(tokens)
    assert condition.offsets.tolist() == [0, 5, 10]
    assert torch.equal(condition[1].tokens, tokens[1])


def test_join_undoes_taking_apart(three):
    back = Condition.join([three[i] for i in range(len(three))])
    assert torch.equal(back.tokens, three.tokens)
    assert torch.equal(back.offsets, three.offsets)
    assert torch.equal(back.pooled, three.pooled)


def test_repeat(three):
    twice = three[1].repeat(2)
    assert twice.offsets.tolist() == [0, 1, 2]
    assert torch.equal(twice.tokens, three.tokens[[3, 3]])
    assert torch.equal(twice.pooled, three.pooled[[1, 1]])
    with pytest.raises(ValueError, match="only a single condition"):
        three.repeat(2)


def test_dropped_puts_the_empty_one_in_place(three):
    empty = Condition(torch.zeros(2, 4), torch.tensor([0, 2]), torch.zeros(1, 2))
    got = three.dropped(torch.tensor([False, True, False]), empty)
    assert got.offsets.tolist() == [0, 3, 5, 7]
    assert torch.equal(got[0].tokens, three[0].tokens)
    assert not got[1].tokens.any() and not got[1].pooled.any()
    assert torch.equal(got[2].tokens, three[2].tokens)


def test_what_cannot_be_joined(three):
    with pytest.raises(ValueError, match="at least one"):
        Condition.join([])
    with pytest.raises(ValueError, match="some of the conditions have a pooled vector"):
        Condition.join([three[0], Condition(three.tokens, three.offsets)])
