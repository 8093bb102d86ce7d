"""Quaternions and matrices, against scipy's and against each other."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from trellis_cli.geometry.rotations import (
    Y_UP_TO_Z_UP,
    Z_UP_TO_Y_UP,
    matrix_to_quat,
    quat_multiply,
    quat_to_matrix,
)


def random_quats(rng, *shape):
    return torch.nn.functional.normalize(torch.randn(*shape, 4, generator=rng, dtype=torch.float64), dim=-1)


def test_matrices_are_scipys(rng):
    quats = 3.0 * random_quats(rng, 50)  # of any length: they are normalised
    want = Rotation.from_quat(quats[:, [1, 2, 3, 0]].numpy()).as_matrix()
    np.testing.assert_allclose(quat_to_matrix(quats).numpy(), want, atol=1e-12)


def test_quats_survive_the_round_trip(rng):
    half_turns = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=torch.float64)
    quats = torch.cat([random_quats(rng, 200), half_turns, random_quats(rng, 20) * torch.tensor([1e-9, 1, 1, 1])])
    quats = torch.nn.functional.normalize(quats, dim=-1)
    got = matrix_to_quat(quat_to_matrix(quats))
    assert (got[:, 0] >= 0).all()
    np.testing.assert_allclose((got * quats).sum(dim=1).abs().numpy(), 1, atol=1e-12)
    np.testing.assert_allclose(quat_to_matrix(got).numpy(), quat_to_matrix(quats).numpy(), atol=1e-9)


def test_leading_axes_are_kept(rng):
    quats = random_quats(rng, 2, 3)
    assert quat_to_matrix(quats).shape == (2, 3, 3, 3)
    assert matrix_to_quat(quat_to_matrix(quats)).shape == (2, 3, 4)


def test_product_is_the_product_of_matrices(rng):
    a, b = random_quats(rng, 20), random_quats(rng, 20)
    got = quat_to_matrix(quat_multiply(a, b))
    np.testing.assert_allclose(got.numpy(), (quat_to_matrix(a) @ quat_to_matrix(b)).numpy(), atol=1e-12)


def test_z_up_becomes_y_up_and_comes_back():
    point = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(point @ Z_UP_TO_Y_UP.T, [[1.0, 3.0, -2.0]])
    np.testing.assert_array_equal(point @ Z_UP_TO_Y_UP.T @ Y_UP_TO_Z_UP.T, point)
    assert np.linalg.det(Z_UP_TO_Y_UP) == 1
