"""Distances of sets of features, held to scipy's matrix root and to sums over single pairs."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from trellis_cli.metrics.distribution import frechet_distance, kernel_distance


def features(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(d, d, generator=generator)
    return torch.randn(n, d, generator=generator) @ mixed + shift


def by_matrix_root(a: np.ndarray, b: np.ndarray) -> float:
    root = sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))
    trace = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False)) - 2 * np.trace(root.real)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + trace)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 8), (50, 40, 16), (33, 200, 32)])
def test_frechet_is_scipy_s_where_covariances_have_full_rank(n: int, m: int, d: int) -> None:
    a, b = features(n, d, 1), features(m, d, 2, shift=0.5)
    assert frechet_distance(a, b) == pytest.approx(by_matrix_root(a.double().numpy(), b.double().numpy()), rel=1e-9)


def test_frechet_of_fewer_vectors_than_dimensions() -> None:
    """In a rotated space with dimensions that no vector reaches, the distance is that of the space without them."""
    a, b = features(12, 8, 1), features(10, 8, 2, shift=1.0)
    rotation, _ = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    wide = [torch.nn.functional.pad(x.double(), (0, 56)) @ rotation for x in (a, b)]
    assert frechet_distance(*wide) == pytest.approx(by_matrix_root(a.double().numpy(), b.double().numpy()), rel=1e-9)


def test_frechet_of_known_normals_and_of_a_set_with_itself() -> None:
    """Of one dimension: the square of the means' difference plus that of the deviations' difference."""
    a, b = torch.tensor([[-1.0], [1.0]]) * 3, torch.tensor([[-1.0], [1.0]]) + 5
    assert frechet_distance(a, b) == pytest.approx(25 + 2 * (3 - 1) ** 2)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    same = features(40, 30, 4)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-7)
    with pytest.raises(ValueError, match="two vectors"):
        frechet_distance(a[:1], b)


def by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    k = lambda p, q: (float(p @ q) / len(p) + 1) ** 3  # noqa: E731
    n = len(x)
    own = sum(k(v[i], v[j]) for v in (x, y) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return own - 2 * sum(k(p, q) for p in x for q in y) / n**2


def test_kernel_distance_is_the_sum_over_pairs() -> None:
    a, b = features(9, 5, 1), features(9, 5, 2, shift=0.3)
    mean, deviation = kernel_distance(a, b)
    assert mean == pytest.approx(by_pairs(a.double().numpy(), b.double().numpy()), rel=1e-9) and deviation == 0


def test_kernel_distance_is_unbiased_and_its_subsets_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(4000, 6, generator=generator)
    values = [kernel_distance(pool[i : i + 50], pool[i + 50 : i + 100])[0] for i in range(0, 4000, 100)]
    assert abs(np.mean(values)) < 3 * np.std(values) / len(values) ** 0.5 and min(values) < 0 < max(values)
    mean, deviation = kernel_distance(pool, pool + 0.5, subsets=10, size=100)
    assert mean > 5 * deviation / 10**0.5 > 0
    assert kernel_distance(pool, pool + 0.5, subsets=10, size=100) == (mean, deviation)
    with pytest.raises(ValueError, match="two vectors"):
        kernel_distance(pool[:1], pool)
