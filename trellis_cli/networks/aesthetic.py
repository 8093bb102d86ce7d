"""The improved aesthetic predictor: layers without any nonlinearity between on CLIP ViT-L/14's vector of a picture.

Source: https://github.com/christophschuhmann/improved-aesthetic-predictor (Apache-2.0); its published weights,
`sac+logos+ava1-l14-linearMSE.pth`, and those of LAION's single layer, fit alike.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError, first_line


class AestheticHead(nn.Module):
    """Unit vectors of pictures to scores, about 1 to 10."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    @torch.no_grad()
    def forward(self, vectors: Float[Tensor, "v d"]) -> Float[Tensor, " v"]:
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors[:, 0]


def load_aesthetic_head(path: Path) -> AestheticHead:
    """The head of a .pth or .safetensors file: its matrices in the order of their names' numbers.

    Raises:
        MissingError: there is no such file.
        FileError: it holds something else.
    """
    if not path.is_file():
        page = "https://github.com/christophschuhmann/improved-aesthetic-predictor"
        raise MissingError(f"{path}: the aesthetic head is not here", hint=f"download it from {page}, and pass --head")
    try:
        state = _read(path)
        stems = sorted({k.rpartition(".")[0] for k in state}, key=lambda stem: int(stem.rpartition(".")[2] or 0))
        pairs = [(state[_name(s, "weight")], state[_name(s, "bias")]) for s in stems]
        head = AestheticHead([pairs[0][0].shape[1], *(len(weight) for weight, _ in pairs)])
        for layer, (weight, bias) in zip(head.layers, pairs, strict=True):
            layer.load_state_dict({"weight": weight, "bias": bias})
        if pairs[-1][0].shape[0] != 1:
            raise ValueError("its last layer does not give one number")
    except Exception as error:  # torch, pickle and safetensors each raise their own
        raise FileError(f"{path}: not an aesthetic head: {first_line(error)}", hint="download it anew") from error
    return head.requires_grad_(False).eval()


def _name(stem: str, kind: str) -> str:
    return f"{stem}.{kind}" if stem else kind


def _read(path: Path) -> dict[str, Tensor]:
    """Weights alone: nothing else of a pickle is run."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return {k: v.float() for k, v in load_file(path).items()}
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v.float() for k, v in state.items()}
