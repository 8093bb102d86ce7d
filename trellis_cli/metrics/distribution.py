"""How far two sets of feature vectors are apart, as sets: the Fréchet and the kernel distance of generated pictures.

Which network the features are of stands in the metric's name (FD_dinov2, KD_alexnet): figures of different features
cannot be compared, nor those of different numbers of pictures, as both have a part that is due to the number alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SUBSETS, SUBSET_SIZE = 100, 1000  # of the kernel distance, as its authors take them


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), of normal distributions fitted to both sets.

    The trace of the root is the nuclear norm of A B^T, where A and B are the centred sets over the root of n - 1: it is
    exact for fewer vectors than dimensions too, where the covariances are singular and their root by the usual means
    is not. Of few vectors the distance of two sets of the very same kind is well above 0.

    Raises:
        ValueError: fewer than two vectors in a set.

    Source: Heusel et al. 2017 (arXiv:1706.08500), equation 6.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs two vectors at least, got {len(a)} and {len(b)}")
    (mean_a, centred_a), (mean_b, centred_b) = _centred(a), _centred(b)
    if min(len(a), len(b)) > a.shape[1]:  # as small a matrix as there is
        centred_a, centred_b = _root(centred_a), _root(centred_b)
    cross = torch.linalg.svdvals(centred_a @ centred_b.T).sum()
    spread = centred_a.square().sum() + centred_b.square().sum()
    return float((mean_a - mean_b).square().sum() + spread - 2 * cross)


def kernel_distance(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    *,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 0,
) -> tuple[float, float]:
    """Squared maximum mean discrepancy with the kernel (x y / d + 1)^3: mean and deviation over random subsets.

    Unbiased: around 0, below it as often as above, for sets of the very same kind.

    Args:
        size: vectors of each set in a subset, drawn without repeats; of smaller sets all of them, and then one subset
            says all there is to say.

    Raises:
        ValueError: fewer than two vectors in a set.

    Source: Binkowski et al. 2018 (arXiv:1801.01401), equation 4.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an unbiased estimate needs two vectors at least, got {len(a)} and {len(b)}")
    taken = min(size, len(a), len(b))
    generator = torch.Generator().manual_seed(seed)
    if taken == len(a) == len(b):
        subsets = 1
    values = []
    for _ in range(subsets):
        x, y = (v[torch.randperm(len(v), generator=generator)[:taken]].double() for v in (a, b))
        values.append(_unbiased(x, y))
    found = torch.stack(values)
    return float(found.mean()), float(found.std(correction=0))


def _centred(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.double().mean(0)
    return mean, (x.double() - mean) / (len(x) - 1) ** 0.5


def _root(x: Tensor) -> Tensor:
    """A square matrix with the same product of its transpose and itself."""
    return torch.linalg.qr(x, mode="r").R


def _unbiased(x: Float[Tensor, "k d"], y: Float[Tensor, "k d"]) -> Tensor:
    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return (p @ q.T / p.shape[1] + 1) ** 3

    k = len(x)
    own = [kernel(v, v).fill_diagonal_(0).sum() / (k * (k - 1)) for v in (x, y)]
    return own[0] + own[1] - 2 * kernel(x, y).mean()
