"""The decoder of radiance fields: the trunk of slat_vae.py, and a local volume in factors for each voxel."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trellis_cli.geometry.packed import Packed
from trellis_cli.networks.blocks import init_linear_layers, zero
from trellis_cli.networks.norms import final_norm
from trellis_cli.networks.precision import Linear
from trellis_cli.networks.slat_vae import SlatTransformer
from trellis_cli.representations.radiance_field import RadianceField

FIRST_SPREAD = 0.3  # of the factors about 1 before training


class RadianceFieldDecoder(SlatTransformer):
    """Latents to a CP-decomposed volume of dim^3 points a voxel: `rank` terms, each a product of three lines.

    `representation_config` as published: rank and dim. The output layer starts at zero, as published, but for the
    factors' biases, ours: terms that start alike get the same gradients, and so would stay one term for ever.

    Raises:
        ValueError: a rank or dim that holds nothing (dim must be at least 2), and as SlatTransformer.
    """

    def __init__(
        self, *, model_channels: int, latent_channels: int, representation_config: Mapping[str, Any], **kwargs
    ):
        super().__init__(in_channels=latent_channels, model_channels=model_channels, **kwargs)
        self.latent_channels = latent_channels
        self.rank, self.dim = int(representation_config["rank"]), int(representation_config["dim"])
        if self.rank < 1 or self.dim < 2:
            raise ValueError(f"rank must be at least 1 and dim at least 2, got {self.rank} and {self.dim}")
        self._widths = (self.rank * 3 * self.dim, self.rank, self.rank * 3)
        self.out_layer = Linear(model_channels, sum(self._widths))
        init_linear_layers(self)
        zero(self.out_layer)
        with torch.no_grad():
            nn.init.normal_(self.out_layer.bias[: self._widths[0]], std=FIRST_SPREAD)

    @torch.no_grad()
    def start_at_density(self, density: float) -> None:
        """Let every volume begin with this raw density, the same in all of it but for the factors' spread."""
        first = self._widths[0]
        self.out_layer.bias[first : first + self.rank] = density / self.rank

    def raw(self, x: Packed) -> Float[Tensor, "n d"]:
        """The output layer's channels: factors (term by term, axis by axis), densities, colours."""
        return self.out_layer(final_norm(self.trunk(x).float()))

    def forward(self, x: Packed) -> list[RadianceField]:
        """The radiance field of each sample, voxel by voxel in the order of the tokens."""
        raw = self.raw(x)
        bounds = x.offsets.tolist()
        return [
            self.split(raw[start:end], x.coords[start:end]) for start, end in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def split(self, raw: Float[Tensor, "n d"], coords: Int[Tensor, "n 3"]) -> RadianceField:
        """One sample's channels by their meaning; factors are given as differences from 1."""
        factors, density, colours = raw.float().split(self._widths, dim=1)
        return RadianceField(
            coords=coords,
            factors=1 + factors.unflatten(1, (self.rank, 3, self.dim)),
            density=density,
            colours=colours.unflatten(1, (self.rank, 3)),
            resolution=self.resolution,
        )
