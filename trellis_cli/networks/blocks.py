"""The plain transformer block and its feed-forward network; `modulated.py` has the block that time modulates."""

from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.networks.attention import Groups, MultiHeadAttention
from trellis_cli.networks.norms import LayerNorm
from trellis_cli.networks.precision import Linear


class FeedForward(nn.Module):
    """Two linear layers with tanh-GELU between. Keys `mlp.0`, `mlp.2`: `mlp.mlp.0` within a block, as published."""

    def __init__(self, channels: int, ratio: float | int) -> None:
        super().__init__()
        hidden = int(channels * ratio)
        self.mlp = nn.Sequential(Linear(channels, hidden), nn.GELU(approximate="tanh"), Linear(hidden, channels))

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return self.mlp(x)


class TransformerBlock(nn.Module):
    """x += attention(norm(x)); x += feed-forward(norm(x)); the norms have no parameters."""

    def __init__(self, channels: int, num_heads: int, *, mlp_ratio: float | int = 4, qk_rms_norm: bool = False) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn = MultiHeadAttention(channels, num_heads, qk_rms_norm=qk_rms_norm)
        self.norm2 = LayerNorm(channels)
        self.mlp = FeedForward(channels, mlp_ratio)

    def forward(self, x: Float[Tensor, "n c"], groups: Groups) -> Float[Tensor, "n c"]:
        x = x + self.attn(self.norm1(x), groups)
        return x + self.mlp(self.norm2(x))


def init_linear_layers(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every linear layer in `network`, as published."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def zero(layer: nn.Linear) -> None:
    """Zero weight and bias: a network whose last layer is zero starts from a constant output."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
