"""Samples of different lengths, end to end in one tensor: the one layout every network works on."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Packed:
    """b samples with n tokens between them. A dense 16^3 grid is the case of equal lengths.

    `coords` are voxel indices x, y, z of the grid the tokens live on; `offsets` starts with 0 and ends with n, and
    sample i holds the tokens offsets[i]:offsets[i + 1].
    """

    feats: Float[Tensor, "n c"]
    coords: Int[Tensor, "n 3"]
    offsets: Int[Tensor, " b_plus_1"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[Tensor, " b"]:
        return self.offsets.diff()

    @property
    def sample(self) -> Int[Tensor, " n"]:
        """The sample each token belongs to."""
        return torch.arange(len(self), device=self.offsets.device).repeat_interleave(self.lengths)

    def with_feats(self, feats: Float[Tensor, "n d"]) -> "Packed":
        return replace(self, feats=feats)

    def to(self, device: torch.device | str) -> "Packed":
        return Packed(self.feats.to(device), self.coords.to(device), self.offsets.to(device))

    def __getitem__(self, index: int) -> "Packed":
        """Sample `index` alone, as a Packed of one."""
        start, end = int(self.offsets[index]), int(self.offsets[index + 1])
        return Packed(self.feats[start:end], self.coords[start:end], self.offsets.new_tensor([0, end - start]))


def offsets_of(lengths: Int[Tensor, " b"]) -> Int[Tensor, " b_plus_1"]:
    """[0, l_0, l_0 + l_1, ...] as int64."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]).long()


def pack(samples: list[tuple[Int[Tensor, "_ 3"], Float[Tensor, "_ c"]]]) -> Packed:
    """Pack (coords, feats) pairs, one a sample, in their order. Raises ValueError when there is none."""
    if not samples:
        raise ValueError("pack needs at least one sample")
    coords, feats = zip(*samples, strict=True)
    lengths = torch.tensor([len(c) for c in coords], device=coords[0].device)
    return Packed(torch.cat(feats), torch.cat(coords), offsets_of(lengths))


def dense_to_packed(x: Float[Tensor, "b c r r r"]) -> Packed:
    """A dense grid as b samples of r^3 tokens in x, y, z order (z fastest)."""
    b, c, r = x.shape[:3]
    axis = torch.arange(r, device=x.device)
    coords = torch.cartesian_prod(axis, axis, axis).repeat(b, 1)
    return Packed(x.flatten(2).transpose(1, 2).reshape(-1, c), coords, torch.arange(b + 1, device=x.device) * r**3)


def packed_to_dense(x: Packed) -> Float[Tensor, "b c r r r"]:
    """The inverse of `dense_to_packed`."""
    r = round((len(x.feats) / len(x)) ** (1 / 3))
    return x.feats.reshape(len(x), r, r, r, -1).permute(0, 4, 1, 2, 3)
