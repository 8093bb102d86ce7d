"""In which number format a network computes, apart from the one its weights are kept in.

Published networks keep their input, output and time layers in float32 and run the rest, the torso, in half precision.
Here the weights of a layer are cast to its input's dtype when it runs: float32 weights trained under a bfloat16 torso
are the usual master copy, and for sampling `keep_torso_in` casts them once and for all.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Linear(nn.Linear):
    """A linear layer that runs in its input's dtype, whatever dtype its weights are kept in."""

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n d"]:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Conv3d(nn.Conv3d):
    """A dense convolution that runs in its input's dtype, whatever dtype its weights are kept in."""

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b d _x _y _z"]:
        return self._conv_forward(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class TorsoNetwork(nn.Module):
    """A network whose modules named in `torso` compute in `dtype`, and all others in float32.

    `use_fp16` is the published argument: it says that the torso's matrices are stored in float16. It does not choose
    what is computed in: that is float32 until `compute_in` is called.
    """

    torso: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, use_fp16: bool = False) -> None:
        super().__init__()
        self.use_fp16 = use_fp16
        self.dtype = torch.float32

    def compute_in(self, dtype: torch.dtype | str) -> "TorsoNetwork":
        """Run the torso in `dtype` from now on; weights stay as they are, so that training may go on."""
        self.dtype = DTYPES[dtype] if isinstance(dtype, str) else dtype
        return self

    def keep_torso_in(self, dtype: torch.dtype | str) -> "TorsoNetwork":
        """Cast the torso's matrices to `dtype` and run it so: half the memory, and no casting at each call."""
        self.compute_in(dtype)
        for name, parameter in self.named_parameters():
            if self.is_half(name):
                parameter.data = parameter.data.to(self.dtype)
        return self

    def is_half(self, name: str) -> bool:
        """Whether the published layout stores this parameter in float16 when `use_fp16` is set.

        Those are the weights and biases of the torso's linear layers and convolutions; its norms stay in float32.
        """
        if name.split(".")[0] not in self.torso:
            return False
        owner = self.get_submodule(name.rpartition(".")[0])
        return not isinstance(owner, nn.LayerNorm | nn.GroupNorm) and not name.endswith(".gamma")
