"""Samples of a flow while it trains, as a sheet of pictures: captions of the data through the decoder of a model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from trellis_cli.geometry.packed import Packed, dense_to_packed, packed_to_dense
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.pipeline import SamplerSettings, denoise
from trellis_cli.stages.view import Row, gaussian_row, sheet_cameras, voxel_row

SETTINGS = SamplerSettings(steps=12, guidance=3.0, interval=(0.0, 1.0), rescale_t=3.0)
NUM_VIEWS, SIZE = 3, 128


class Previews:
    """`latents(id)` gives an asset's latents as the flow sees them, `caption(id)` its text."""

    def __init__(
        self,
        model: ModelFolder,
        group: str,
        latents: Callable[[str], Packed],
        caption: Callable[[str], str],
        condition: Callable[[Sequence[str]], Condition],
    ) -> None:
        self.group, self.latents, self.caption, self.condition = group, latents, caption, condition
        self.cameras = sheet_cameras(NUM_VIEWS)
        if group == "structure":
            self.structure = model.load("sparse_structure_decoder")
        else:
            self.gaussians = Decoder(model, "gaussians")

    @torch.no_grad()
    def draw(self, flow: FlowNetwork, ids: Sequence[str], mean: torch.Tensor, std: torch.Tensor, path: Path) -> None:
        """A row an asset: what the flow makes of its caption (on its own voxels, for latents), noise seeded by the row.

        mean, std: of the latents, a channel each; what the flow sees is (latent - mean) / std.
        """
        rows = [self._row(flow, id_, mean, std, torch.Generator().manual_seed(k)) for k, id_ in enumerate(ids)]
        save_picture(path, labelled(rows))

    def _row(
        self, flow: FlowNetwork, id_: str, mean: torch.Tensor, std: torch.Tensor, generator: torch.Generator
    ) -> Row:
        device = next(flow.parameters()).device
        truth, caption = self.latents(id_), self.caption(id_)
        noise = truth.with_feats(torch.randn(truth.feats.shape, generator=generator))
        if self.group == "structure":  # drawn in the order that `sample` draws it, channels first
            c, r = truth.feats.shape[1], round(len(truth.feats) ** (1 / 3))
            noise = dense_to_packed(torch.randn(1, c, r, r, r, generator=generator))
        conditions = [self.condition([text]).to(device) for text in (caption, "")]
        out = denoise(flow, noise.to(device), conditions[0], conditions[1], SETTINGS).to("cpu")
        if self.group == "structure":
            logits = self.structure(packed_to_dense(out))[0, 0]
            return caption, voxel_row(torch.argwhere(logits > 0), logits.shape[0], self.cameras, SIZE)
        gaussians = self.gaussians.gaussians(out.with_feats(out.feats * std + mean))
        return caption, gaussian_row(gaussians, self.cameras, SIZE)
