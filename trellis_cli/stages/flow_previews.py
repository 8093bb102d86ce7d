"""Samples of a flow while it trains, as a sheet of pictures: captions of the data through the decoder of a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trellis_cli.data.statistics import Normalization
from trellis_cli.geometry.packed import Packed, dense_to_packed, packed_to_dense
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.flow_conditions import FlowConditions
from trellis_cli.stages.pipeline import SamplerSettings, denoise
from trellis_cli.stages.view import Row, gaussian_row, sheet_cameras, voxel_row

SETTINGS = SamplerSettings(steps=12, guidance=3.0, interval=(0.0, 1.0), rescale_t=3.0)
NUM_VIEWS, SIZE = 3, 128


class Previews:
    """Draws what a flow makes of conditions, through the decoders of `model`."""

    def __init__(self, model: ModelFolder, group: str, conditions: FlowConditions) -> None:
        self.group, self.conditions = group, conditions
        self.cameras = sheet_cameras(NUM_VIEWS)
        if group == "structure":
            self.structure = model.load("sparse_structure_decoder")
        else:
            self.gaussians = Decoder(model, "gaussians")

    @torch.no_grad()
    def draw(
        self, flow: FlowNetwork, rows: Sequence[tuple[Any, Packed]], normalization: Normalization, path: Path
    ) -> None:
        """A row for each condition and the true latents, as the flow sees them: what the flow makes of the condition
        (on the true voxels, for latents), noise seeded by the row; before it the condition, where it is a picture.

        normalization: of the latents.
        """
        drawn = [
            self._row(flow, pick, truth, normalization, torch.Generator().manual_seed(k))
            for k, (pick, truth) in enumerate(rows)
        ]
        save_picture(path, labelled(drawn))

    def _row(
        self, flow: FlowNetwork, pick: Any, truth: Packed, normalization: Normalization, generator: torch.Generator
    ) -> Row:
        device = next(flow.parameters()).device
        noise = truth.with_feats(torch.randn(truth.feats.shape, generator=generator))
        if self.group == "structure":  # drawn in the order that `sample` draws it, channels first
            c, r = truth.feats.shape[1], round(len(truth.feats) ** (1 / 3))
            noise = dense_to_packed(torch.randn(1, c, r, r, r, generator=generator))
        condition, negative = (self.conditions([p], [False]).to(device) for p in (pick, None))
        settings = SETTINGS.changed(rescale_t=1.0) if flow.objective == "diffusion" else SETTINGS
        out = denoise(flow, noise.to(device), condition, negative, settings).to("cpu")
        caption, pictures = self.conditions.show(pick, SIZE)
        if self.group == "structure":
            logits = self.structure(packed_to_dense(out))[0, 0]
            row = voxel_row(torch.argwhere(logits > 0), logits.shape[0], self.cameras, SIZE)
        else:
            latents = out.with_feats(out.feats * normalization.std + normalization.mean)
            row = gaussian_row(self.gaussians.gaussians(latents), self.cameras, SIZE)
        return caption, [*pictures, *row]
