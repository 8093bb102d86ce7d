"""Decoders: the trunk of slat_vae.py with a head that gives 3D Gaussians, or the fields a mesh is extracted from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from trellis_cli.geometry.cameras import radical_inverse
from trellis_cli.geometry.packed import Packed
from trellis_cli.networks.blocks import init_linear_layers, zero
from trellis_cli.networks.norms import SampleGroupNorm, final_norm
from trellis_cli.networks.precision import Linear
from trellis_cli.networks.slat_vae import SlatTransformer
from trellis_cli.networks.sparse_conv import PointwiseConv, SubmanifoldConv
from trellis_cli.representations.gaussians import Gaussians
from trellis_ops.submanifold_conv import neighbour_table, subdivide


def gaussian_perturbation(num_gaussians: int, voxel_size: float) -> Float[Tensor, "g 3"]:
    """Raw offsets that spread a voxel's Gaussians: those whose tanh is a Hammersley set over the voxel.

    h_j = (j / g, radical inverse of j in base 2, in base 3); the offset's raw value is atanh((2 h_j - 1) / voxel_size).
    Raises ValueError when voxel_size is not above 1, where no finite raw value reaches the voxel's border.
    """
    if voxel_size <= 1:
        raise ValueError(f"voxel_size must be above 1, got {voxel_size}")
    points = [(j / num_gaussians, radical_inverse(j, 2), radical_inverse(j, 3)) for j in range(num_gaussians)]
    return torch.atanh((torch.tensor(points) * 2 - 1) / voxel_size)


class GaussianDecoder(SlatTransformer):
    """Latents to `num_gaussians` Gaussians a voxel, each within `voxel_size` / 2 voxels of its voxel's centre.

    `representation_config` as published: lr (a factor on each raw field), num_gaussians, voxel_size, perturb_offset,
    3d_filter_kernel_size, scaling_bias, opacity_bias, scaling_activation ("softplus" or "exp"). The mip filter
    2d_filter_kernel_size belongs to the renderer and is kept as `mip_filter`.
    """

    _WIDTHS = {"_xyz": 3, "_features_dc": 3, "_scaling": 3, "_rotation": 4, "_opacity": 1}

    def __init__(
        self, *, model_channels: int, latent_channels: int, representation_config: Mapping[str, Any], **kwargs
    ):
        super().__init__(in_channels=latent_channels, model_channels=model_channels, **kwargs)
        self.latent_channels = latent_channels
        self.config = dict(representation_config)
        self.num_gaussians = int(self.config["num_gaussians"])
        if self.config["scaling_activation"] not in ("softplus", "exp"):
            raise ValueError(
                f"scaling_activation must be 'softplus' or 'exp', got {self.config['scaling_activation']!r}"
            )
        self.mip_filter = float(self.config["2d_filter_kernel_size"])
        self.register_buffer(
            "offset_perturbation", gaussian_perturbation(self.num_gaussians, float(self.config["voxel_size"]))
        )
        self.out_layer = Linear(model_channels, self.num_gaussians * sum(self._WIDTHS.values()))
        init_linear_layers(self)
        zero(self.out_layer)

    def raw(self, x: Packed) -> Float[Tensor, "n d"]:
        """The output layer's channels: means, colours, scales, quaternions, opacities, each Gaussian by Gaussian."""
        return self.out_layer(final_norm(self.trunk(x).float()))

    def forward(self, x: Packed) -> list[Gaussians]:
        """The Gaussians of each sample, voxel by voxel."""
        raw = self.raw(x)
        bounds = x.offsets.tolist()
        return [
            self.activate(raw[start:end], x.coords[start:end])
            for start, end in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def activate(self, raw: Float[Tensor, "n d"], coords: Int[Tensor, "n 3"]) -> Gaussians:
        """Gaussians of one sample from its raw channels."""
        config, lr = self.config, self.config["lr"]
        parts = raw.float().split([self.num_gaussians * w for w in self._WIDTHS.values()], dim=1)
        fields = {
            name: part.unflatten(1, (self.num_gaussians, width)) * lr[name]
            for (name, width), part in zip(self._WIDTHS.items(), parts, strict=True)
        }
        perturbed = fields["_xyz"] + (self.offset_perturbation if config["perturb_offset"] else 0)
        offset = perturbed.tanh() * 0.5 * config["voxel_size"] / self.resolution
        centre = (coords.float() + 0.5) / self.resolution - 0.5
        return Gaussians(
            means=(centre[:, None] + offset).flatten(0, 1),
            quats=F.normalize(_from_identity(fields["_rotation"]), dim=-1).flatten(0, 1),
            scales=self._scales(fields["_scaling"]).flatten(0, 1),
            opacities=torch.sigmoid(fields["_opacity"] + _logit(config["opacity_bias"])).flatten(),
            sh=fields["_features_dc"].flatten(0, 1)[:, None],
        )

    def _scales(self, raw: Float[Tensor, "n g 3"]) -> Float[Tensor, "n g 3"]:
        """Activated, then widened by the 3D filter: no Gaussian is thinner than that."""
        bias = self.config["scaling_bias"]
        if self.config["scaling_activation"] == "softplus":
            scales = F.softplus(raw + bias + math.log(-math.expm1(-bias)))  # the inverse of softplus at the bias
        else:
            scales = torch.exp(raw + math.log(bias))
        return (scales.square() + self.config["3d_filter_kernel_size"] ** 2).sqrt()


def _from_identity(raw: Float[Tensor, "n g 4"]) -> Float[Tensor, "n g 4"]:
    """Raw quaternions are differences from no rotation, (1, 0, 0, 0)."""
    return raw + raw.new_tensor([1.0, 0.0, 0.0, 0.0])


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


class SubdivideBlock(nn.Module):
    """Every voxel to eight, and a residual pair of convolutions on the fine grid. Keys as published."""

    def __init__(self, channels: int, out_channels: int, *, num_norm_groups: int) -> None:
        super().__init__()
        last = SubmanifoldConv(out_channels, out_channels)
        nn.init.zeros_(last.conv.weight)
        nn.init.zeros_(last.conv.bias)
        norm = SampleGroupNorm(num_norm_groups, out_channels)
        self.act_layers = nn.ModuleList([SampleGroupNorm(num_norm_groups, channels)])
        self.out_layers = nn.ModuleList([SubmanifoldConv(channels, out_channels), norm, nn.SiLU(), last])
        self.skip_connection = PointwiseConv(channels, out_channels)

    def forward(self, x: Packed) -> Packed:
        conv1, norm, act, conv2 = self.out_layers
        y = F.silu(self.act_layers[0](x.feats, x.offsets))
        coords, y = subdivide(x.coords, y)
        offsets = x.offsets * 8
        table = neighbour_table(coords, offsets)
        y = conv2(act(norm(conv1(y, table), offsets)), table)
        # A 1^3 convolution commutes with the subdivision: an eighth of the work before it.
        return Packed(y + subdivide(x.coords, self.skip_connection(x.feats))[1], coords, offsets)


@dataclass(frozen=True, slots=True)
class CubeFields:
    """What `trellis_ops.isosurface` takes, for one sample, as the network gives it (raw).

    coords [n, 3] are cubes of the fine grid; sdf [n, 8], deform [n, 8, 3] and attributes [n, 8, a] stand at a cube's
    corners, corner j at (j & 1, j >> 1 & 1, j >> 2 & 1); weights [n, 21] belong to the cube.
    """

    coords: Int[Tensor, "n 3"]
    sdf: Float[Tensor, "n 8"]
    deform: Float[Tensor, "n 8 3"]
    weights: Float[Tensor, "n 21"]
    attributes: Float[Tensor, "n 8 a"]


class MeshDecoder(SlatTransformer):
    """Latents to the fields of a mesh on a grid four times as fine.

    Args: as SlatTransformer's, and `representation_config` with use_color (colour and normal at each corner);
    `num_norm_groups`, ours, is 32 in the published networks and must divide model_channels / 8.
    """

    torso = ("blocks", "upsample")
    _NUM_ATTRIBUTES = 6  # colour, normal

    def __init__(
        self,
        *,
        model_channels: int,
        latent_channels: int,
        representation_config: Mapping[str, Any],
        num_norm_groups: int = 32,
        **kwargs,
    ):
        super().__init__(in_channels=latent_channels, model_channels=model_channels, **kwargs)
        self.latent_channels = latent_channels
        self.fine_resolution = 4 * self.resolution
        self.num_attributes = self._NUM_ATTRIBUTES if representation_config.get("use_color", False) else 0
        widths = (model_channels, model_channels // 4, model_channels // 8)
        self.upsample = nn.ModuleList(
            SubdivideBlock(a, b, num_norm_groups=num_norm_groups) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.out_layer = Linear(widths[-1], 8 + 24 + 21 + 8 * self.num_attributes)
        init_linear_layers(self)
        zero(self.out_layer)

    def raw(self, x: Packed) -> Packed:
        """The output layer's channels at the fine voxels: 64 of them to a voxel of `x`."""
        h = x.with_feats(self.trunk(x))
        for block in self.upsample:
            h = self.run_block(block, h)
        return h.with_feats(self.out_layer(h.feats.float()))

    def forward(self, x: Packed) -> list[CubeFields]:
        """The fields of each sample."""
        fine = self.raw(x)
        return [self.split(fine[i]) for i in range(len(fine))]

    def split(self, fine: Packed) -> CubeFields:
        """One sample's channels by their meaning."""
        sdf, deform, weights, attributes = fine.feats.float().split([8, 24, 21, 8 * self.num_attributes], dim=1)
        return CubeFields(
            coords=fine.coords,
            sdf=sdf,
            deform=deform.unflatten(1, (8, 3)),
            weights=weights,
            attributes=attributes.unflatten(1, (8, self.num_attributes)),
        )
