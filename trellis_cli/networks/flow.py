"""The flow network: one transformer for both stages, the structure's dense grid and the latents of its active voxels.

It predicts the velocity of a rectified flow (flow/path.py), or noise (flow/diffusion.py). Voxels become tokens and
tokens voxels in one of three ways, named by `io`:

* "dense": the structure's grid, every voxel present; patches of patch_size^3 voxels are flattened into a token.
* "residual": sparse voxels; residual convolution blocks that halve the grid (patch_size 2), or none (patch_size 1).
* "packed" (ours, not published): sparse voxels; the channels of a block's patch_size^3 voxels are concatenated, zeros
  for those not active, with one bit of occupancy a voxel. No convolution: on a CPU several times faster.

Published SparseStructureFlowModel is "dense", SLatFlowModel "residual"; their keys and arguments are kept.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trellis_cli.geometry.packed import Packed
from trellis_cli.networks.blocks import init_linear_layers, zero
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.embeddings import TimestepEmbedder, grid_coords, position_embedding
from trellis_cli.networks.flow_io import (
    Plan,
    SparseResBlock,
    gather_blocks,
    patchify,
    plan_blocks,
    plan_residual,
    scatter_blocks,
    unpatchify,
)
from trellis_cli.networks.modulated import ModulatedCrossBlock, Samples, modulation_layer, silence_modulations
from trellis_cli.networks.norms import final_norm
from trellis_cli.networks.precision import TorsoNetwork

Io = Literal["dense", "residual", "packed"]
Objective = Literal["flow", "diffusion"]


class FlowNetwork(TorsoNetwork):
    """Velocity of voxel latents at time t, given a condition.

    Args, as published unless said otherwise:
        resolution: voxels along one edge of the grid.
        in_channels, out_channels: of a voxel's latent.
        model_channels, num_blocks, mlp_ratio: the transformer's width, depth and hidden width over width.
        num_heads: of both attentions; by default model_channels // num_head_channels.
        cond_channels: of the condition's tokens.
        patch_size: voxels along one edge of a token.
        io: see the module (ours; the published class names choose it).
        io_block_channels: widths of the residual blocks, one entry at patch_size 2, None at 1.
        num_io_res_blocks: residual blocks before, and as many after, the transformer.
        use_skip_connection: hand each input block's result to the output block that mirrors it.
        share_mod: one modulation layer for all blocks.
        qk_rms_norm, qk_rms_norm_cross: normalise queries and keys.
        pooled_channels: width of a vector a sample that is added to the time embedding (ours; None for none).
        objective: what it was taught to predict: the "flow"'s velocity, or the noise of a "diffusion" (ours).
        pe_mode: "ape" alone; use_fp16: see TorsoNetwork; use_checkpoint: recompute blocks in the backward pass.

    Raises:
        ValueError: arguments that do not fit together.
    """

    torso = ("input_blocks", "blocks", "out_blocks")
    pos_emb: Float[Tensor, "m c"]  # of io "dense" alone; it is in the published state

    def __init__(
        self,
        resolution: int,
        in_channels: int,
        model_channels: int,
        cond_channels: int,
        out_channels: int,
        num_blocks: int,
        num_heads: int | None = None,
        num_head_channels: int = 64,
        mlp_ratio: float | int = 4,
        patch_size: int = 2,
        num_io_res_blocks: int = 2,
        io_block_channels: list[int] | None = None,
        pe_mode: str = "ape",
        use_fp16: bool = False,
        use_checkpoint: bool = False,
        use_skip_connection: bool = True,
        share_mod: bool = False,
        qk_rms_norm: bool = False,
        qk_rms_norm_cross: bool = False,
        *,
        io: Io,
        pooled_channels: int | None = None,
        objective: Objective = "flow",
    ) -> None:
        super().__init__(use_fp16=use_fp16)
        _check(io, resolution, patch_size, io_block_channels, pe_mode, objective)
        self.objective: Objective = objective
        self.io: Io = io
        self.resolution, self.patch_size = resolution, patch_size
        self.in_channels, self.out_channels = in_channels, out_channels
        self.model_channels, self.cond_channels = model_channels, cond_channels
        self.pooled_channels = pooled_channels
        self.use_checkpoint, self.use_skip_connection = use_checkpoint, use_skip_connection
        num_heads = num_heads or model_channels // num_head_channels

        self.t_embedder = TimestepEmbedder(model_channels)
        if pooled_channels is not None:
            self.pooled_layer = nn.Linear(pooled_channels, model_channels)
        if share_mod:
            self.adaLN_modulation = modulation_layer(model_channels)  # outside the torso: float32, as published
        if io == "dense":
            coords = grid_coords(resolution // patch_size)
            self.register_buffer("pos_emb", position_embedding(coords, model_channels))
        first, last = self._widths_outside(io_block_channels)
        self.input_layer = nn.Linear(first, io_block_channels[0] if io_block_channels else model_channels)
        self.blocks = nn.ModuleList(
            ModulatedCrossBlock(
                model_channels,
                cond_channels,
                num_heads,
                mlp_ratio=float(mlp_ratio),
                qk_rms_norm=qk_rms_norm,
                qk_rms_norm_cross=qk_rms_norm_cross,
                share_mod=share_mod,
            )
            for _ in range(num_blocks)
        )
        self.input_blocks, self.out_blocks = nn.ModuleList(), nn.ModuleList()
        if io_block_channels:
            self._add_io_blocks(io_block_channels[0], num_io_res_blocks)
        self.out_layer = nn.Linear(io_block_channels[0] if io_block_channels else model_channels, last)
        self._initialise()

    def _widths_outside(self, io_block_channels: list[int] | None) -> tuple[int, int]:
        """Channels that the input layer takes and the output layer gives."""
        voxels = self.patch_size**3
        if self.io == "dense":
            return self.in_channels * voxels, self.out_channels * voxels
        if self.io == "packed":
            return (self.in_channels + 1) * voxels, self.out_channels * voxels
        return self.in_channels, self.out_channels

    def _add_io_blocks(self, width: int, num_blocks: int) -> None:
        inner, doubled = self.model_channels, 2 if self.use_skip_connection else 1
        self.input_blocks.extend(SparseResBlock(width, inner, width) for _ in range(num_blocks - 1))
        self.input_blocks.append(SparseResBlock(width, inner, inner, "down"))
        self.out_blocks.append(SparseResBlock(inner * doubled, inner, width, "up"))
        self.out_blocks.extend(SparseResBlock(width * doubled, inner, width) for _ in range(num_blocks - 1))

    def _initialise(self) -> None:
        """Xavier for matrices, small normals for the time, zeros where a block or the network should start silent."""
        init_linear_layers(self)
        for name, parameter in self.t_embedder.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.02)
        silence_modulations(self)
        zero(self.out_layer)

    def plan(self, coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"]) -> Plan:
        """What depends on the voxels alone. Give it to every call on the same voxels; a call without it makes its own.

        Args:
            coords: voxel indices of this network's grid; for "dense" all of them, as `dense_to_packed` orders them.
            offsets: the samples.
        """
        if self.io == "dense":
            tokens = offsets.div(self.patch_size**3, rounding_mode="floor")
            grid = grid_coords(self.resolution // self.patch_size, coords.device).repeat(len(offsets) - 1, 1)
            return Plan(grid, Samples.of(tokens), Samples.of(offsets))
        if self.io == "packed":
            return plan_blocks(coords, offsets, self.patch_size)
        if len(self.input_blocks):
            return plan_residual(coords, offsets)
        samples = Samples.of(offsets)
        return Plan(coords, samples, samples)

    def forward(
        self, x: Packed, t: Float[Tensor, " b"], condition: Condition, plan: Plan | None = None
    ) -> Float[Tensor, "n c"]:
        """Velocity of each voxel's latent.

        Args:
            x: latents at time t; for "dense" every voxel of the grid, as `dense_to_packed` orders them.
            t: time of each sample, 0 data to 1 noise; float64 where the last digit matters.
            condition: one a sample.
            plan: of x's voxels.

        Raises:
            ValueError: numbers of samples, times and conditions that differ, or a missing pooled vector.
        """
        if not len(x) == len(t) == len(condition):
            raise ValueError(f"{len(x)} samples, {len(t)} times and {len(condition)} conditions do not agree")
        plan = plan or self.plan(x.coords, x.offsets)
        time = self._time(t.to(x.feats.device), condition).to(self.dtype)
        context = condition.tokens.to(self.dtype)
        h, skips = self._enter(x.feats, time, plan)
        for block in self.blocks:
            args = (h, time, plan.tokens, context, condition.offsets)
            if self.use_checkpoint and torch.is_grad_enabled():
                h = checkpoint(block, *args, use_reentrant=False)
            else:
                h = block(*args)
        return self._leave(h, skips, time, plan, x.feats.dtype)

    def _time(self, t: Float[Tensor, " b"], condition: Condition) -> Float[Tensor, "b _d"]:
        """The time embedding, or with share_mod the six modulations."""
        time = self.t_embedder(t)
        if self.pooled_channels is not None:
            if condition.pooled is None:
                raise ValueError(f"this network needs a pooled vector of {self.pooled_channels} channels a condition")
            time = time + self.pooled_layer(condition.pooled)
        return self.adaLN_modulation(time) if hasattr(self, "adaLN_modulation") else time

    def _enter(
        self, feats: Float[Tensor, "n c"], time: Float[Tensor, "b t"], plan: Plan
    ) -> tuple[Float[Tensor, "m d"], list[Tensor]]:
        """Tokens in the torso's dtype, and the input blocks' results for the output blocks."""
        if self.io == "dense":
            tokens = self.input_layer(patchify(feats, self.resolution, self.patch_size))
            return (tokens.unflatten(0, (-1, len(self.pos_emb))) + self.pos_emb).flatten(0, 1).to(self.dtype), []
        if self.io == "packed":
            feats = gather_blocks(feats, plan, self.patch_size)
        h = self.input_layer(feats).to(self.dtype)
        skips = []
        for block in self.input_blocks:
            h = block(h, time, plan)
            skips.append(h)
        return h + position_embedding(plan.coords, self.model_channels).to(self.dtype), skips

    def _leave(
        self, h: Float[Tensor, "m d"], skips: list[Tensor], time: Float[Tensor, "b t"], plan: Plan, dtype: torch.dtype
    ) -> Float[Tensor, "n c"]:
        for block, skip in zip(self.out_blocks, reversed(skips), strict=True):
            h = block(torch.cat([h, skip], dim=1) if self.use_skip_connection else h, time, plan)
        if self.io == "dense":  # published: the structure's last norm is in float32, the latents' in the torso's dtype
            return unpatchify(self.out_layer(final_norm(h.to(dtype))), self.resolution, self.patch_size)
        out = self.out_layer(final_norm(h).to(dtype))
        return scatter_blocks(out, plan, self.patch_size) if self.io == "packed" else out


def _check(
    io: str, resolution: int, patch_size: int, io_block_channels: list[int] | None, pe_mode: str, objective: str
) -> None:
    if objective not in ("flow", "diffusion"):
        raise ValueError(f"objective must be 'flow' or 'diffusion', got {objective!r}")
    if io not in ("dense", "residual", "packed"):
        raise ValueError(f"io must be 'dense', 'residual' or 'packed', got {io!r}")
    if pe_mode != "ape":
        raise ValueError(f"pe_mode must be 'ape', got {pe_mode!r}")
    if resolution % patch_size:
        raise ValueError(f"patches of {patch_size} do not divide a grid of {resolution}")
    if io != "residual" and io_block_channels:
        raise ValueError(f"io_block_channels belong to io 'residual', not to {io!r}")
    if io == "residual" and patch_size != (2 if io_block_channels else 1):
        raise ValueError(f"patch_size {patch_size} does not fit io_block_channels {io_block_channels}")
    if io_block_channels and len(io_block_channels) != 1:
        raise ValueError(
            f"io_block_channels may have one entry (the published code fails at more): {io_block_channels}"
        )
