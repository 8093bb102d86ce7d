"""Position and time embeddings against values counted by hand."""

import math

import torch

from trellis_cli.networks.embeddings import TimestepEmbedder, grid_coords, position_embedding, time_embedding


def test_position_embedding_by_hand():
    """8 channels: one frequency, 1, an axis; sine before cosine, x before y before z, two zeros at the end."""
    got = position_embedding(torch.tensor([[0, 1, 5]]), 8)
    want = [math.sin(0), math.cos(0), math.sin(1), math.cos(1), math.sin(5), math.cos(5), 0.0, 0.0]
    torch.testing.assert_close(got, torch.tensor([want]))


def test_time_embedding_by_hand():
    """4 channels: frequencies 1 and 1/100 of 1000 t, cosines first."""
    got = time_embedding(torch.tensor([0.002], dtype=torch.float64), 4)
    torch.testing.assert_close(got, torch.tensor([[math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)]]))


def test_time_embedder_keeps_float32_for_times_in_float64():
    embedder = TimestepEmbedder(6)
    t = torch.tensor([0.25, 0.5], dtype=torch.float64)
    got = embedder(t)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, embedder(t.float()))


def test_grid_coords_run_z_fastest():
    assert grid_coords(2).tolist()[:3] == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
