"""What a flow is conditioned on: tokens to attend to, packed as everything else is, and perhaps one vector a sample."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trellis_cli.geometry.packed import offsets_of


@dataclass(frozen=True, slots=True)
class Condition:
    """b conditions with m tokens between them; their lengths may differ."""

    tokens: Float[Tensor, "m c"]
    offsets: Int[Tensor, " b_plus_1"]
    pooled: Float[Tensor, "b p"] | None = None  # for networks built with `pooled_channels`

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def dense(tokens: Float[Tensor, "b l c"], pooled: Float[Tensor, "b p"] | None = None) -> "Condition":
        """Conditions of equal length, as image encoders give them."""
        b, length, _ = tokens.shape
        return Condition(tokens.flatten(0, 1), torch.arange(b + 1, device=tokens.device) * length, pooled)

    @staticmethod
    def join(parts: "list[Condition]") -> "Condition":
        """The conditions of all parts, one after the other. Raises ValueError when there is no part."""
        if not parts:
            raise ValueError("Condition.join needs at least one part")
        lengths = torch.cat([part.offsets.diff() for part in parts])
        pooled = [part.pooled for part in parts if part.pooled is not None]
        if pooled and len(pooled) != len(parts):
            raise ValueError("some of the conditions have a pooled vector and some have not")
        return Condition(
            torch.cat([part.tokens for part in parts]), offsets_of(lengths), torch.cat(pooled) if pooled else None
        )

    def __getitem__(self, index: int) -> "Condition":
        """Condition `index` alone, as a Condition of one."""
        start, end = int(self.offsets[index]), int(self.offsets[index + 1])
        pooled = None if self.pooled is None else self.pooled[index : index + 1]
        return Condition(self.tokens[start:end], self.offsets.new_tensor([0, end - start]), pooled)

    def repeat(self, times: int) -> "Condition":
        """One condition for each of `times` samples. Raises ValueError for more conditions than one."""
        if len(self) != 1:
            raise ValueError(f"only a single condition can be repeated, this holds {len(self)}")
        pooled = None if self.pooled is None else self.pooled.expand(times, -1)
        return Condition(self.tokens.repeat(times, 1), offsets_of(self.offsets.diff().expand(times)), pooled)

    def dropped(self, drop: Bool[Tensor, " b"], empty: "Condition") -> "Condition":
        """Condition i, or the single `empty` one where drop[i] is set: what guidance is trained with."""
        return Condition.join([empty if gone else self[i] for i, gone in enumerate(drop.tolist())])

    def to(self, device: torch.device | str) -> "Condition":
        pooled = None if self.pooled is None else self.pooled.to(device)
        return Condition(self.tokens.to(device), self.offsets.to(device), pooled)
