"""Mean and deviation of latents a channel, by which flows see them normalised: `normalization.json`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.errors import FileError
from trellis_cli.io.aside import write_text

FILE = "normalization.json"


@dataclass(frozen=True, slots=True, eq=False)
class Normalization:
    """What a flow sees of a latent is (latent - mean) / std."""

    mean: Float[Tensor, " c"]
    std: Float[Tensor, " c"]

    def save(self, path: Path) -> None:
        table = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        write_text(path, json.dumps(table, indent=2) + "\n")

    @staticmethod
    def read(path: Path) -> "Normalization":
        """Raises FileError."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            mean, std = (torch.tensor([float(x) for x in table[key]]) for key in ("mean", "std"))
            if mean.shape != std.shape or not bool((std > 0).all()) or not bool(mean.isfinite().all()):
                raise ValueError("as many finite means as positive deviations are wanted")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path} is no normalisation: {error}", hint="write it with `trellis stats`") from error
        return Normalization(mean, std)

    @staticmethod
    def of(latents: Iterable[np.ndarray]) -> "Normalization":
        """Of assets' latents [n, c], each asset alike whatever its size; one asset is in memory at a time.

        As published: the mean of the assets' means, and sqrt(mean of the assets' E[x^2] - mean^2).

        Raises:
            ValueError: there is no asset.
        """
        first = second = torch.zeros((), dtype=torch.float64)
        num = 0
        for feats in latents:
            x = torch.from_numpy(feats).double()
            first, second, num = first + x.mean(0), second + x.square().mean(0), num + 1
        if not num:
            raise ValueError("there is no latent to take the statistics of")
        mean, square = first / num, second / num
        return Normalization(mean.float(), (square - mean.square()).clamp_min(1e-8).sqrt().float())
