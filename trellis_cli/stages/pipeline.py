"""A model's two flows and its structure decoder in memory: conditions in, voxels and latents out."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trellis_cli.errors import MissingError
from trellis_cli.flow.guidance import Velocity, guided
from trellis_cli.flow.sampler import euler
from trellis_cli.flow.schedule import time_steps
from trellis_cli.geometry.packed import Packed, dense_to_packed, packed_to_dense
from trellis_cli.io.model_folders import ModelFolder, read_network_json
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.resident import Networks

STRUCTURE_FLOW, STRUCTURE_DECODER, SLAT_FLOW = (
    "sparse_structure_flow_model",
    "sparse_structure_decoder",
    "slat_flow_model",
)


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """One stage's sampler: Euler steps, guidance strength and interval of t, rescaled time."""

    steps: int
    guidance: float
    interval: tuple[float, float]
    rescale_t: float

    @staticmethod
    def of(pipeline: dict[str, Any], key: str) -> "SamplerSettings":
        """The model's own, from pipeline.json (`sparse_structure_sampler` or `slat_sampler`)."""
        params = pipeline[key]["params"]
        low, high = params.get("cfg_interval", (0.0, 1.0))
        return SamplerSettings(
            int(params["steps"]), float(params["cfg_strength"]), (low, high), float(params["rescale_t"])
        )

    def changed(self, steps: int | None, guidance: float | None) -> "SamplerSettings":
        return replace(
            self, steps=self.steps if steps is None else steps, guidance=self.guidance if guidance is None else guidance
        )


class Pipeline:
    """The networks that turn conditions into latents: structure flow, structure decoder, latent flow.

    Each is loaded when it is first used; with `keep` it stays, without it goes when the next one comes.
    """

    def __init__(
        self, model: ModelFolder, *, device: str = "cpu", dtype: torch.dtype = torch.float32, keep: bool = True
    ) -> None:
        self.model, self.device = model, device
        self.networks = Networks(model, device=device, dtype=dtype, keep=keep)
        self.structure_key, self.slat_key = STRUCTURE_FLOW, SLAT_FLOW
        table = argument(model, "slat_normalization")
        self.mean, self.std = torch.tensor(table["mean"]), torch.tensor(table["std"])

    @torch.no_grad()
    def structure(
        self, condition: Condition, negative: Condition, settings: SamplerSettings, generator: torch.Generator
    ) -> Tensor:
        """A structure latent [1, c, r, r, r]; the noise is drawn on the CPU."""
        flow = self._flow(self.structure_key)
        r = flow.resolution
        noise = dense_to_packed(torch.randn(1, flow.in_channels, r, r, r, generator=generator))
        return packed_to_dense(self._sample(flow, noise, condition, negative, settings))

    @torch.no_grad()
    def voxels(self, latent: Tensor) -> Tensor:
        """Active voxels int32 [n, 3] of a structure latent, in lexicographic order."""
        logits = self.networks(STRUCTURE_DECODER)(latent.to(self.device))
        return torch.argwhere(logits[0, 0] > 0).int().cpu()

    @torch.no_grad()
    def slat(
        self,
        condition: Condition,
        negative: Condition,
        coords: Tensor,
        settings: SamplerSettings,
        generator: torch.Generator,
    ) -> Tensor:
        """A latent [n, c] for each voxel, not normalised."""
        flow = self._flow(self.slat_key)
        noise = torch.randn(len(coords), flow.in_channels, generator=generator)
        x = Packed(noise, coords, torch.tensor([0, len(coords)]))
        return self._sample(flow, x, condition, negative, settings).feats * self.std + self.mean

    def _flow(self, key: str) -> FlowNetwork:
        network = self.networks(key)
        assert isinstance(network, FlowNetwork)
        return network

    def _sample(
        self, flow: FlowNetwork, noise: Packed, condition: Condition, negative: Condition, settings: SamplerSettings
    ) -> Packed:
        d = self.device
        return denoise(flow, noise.to(d), condition.to(d), negative.to(d), settings).to("cpu")


def denoise(
    flow: FlowNetwork, noise: Packed, condition: Condition, negative: Condition, settings: SamplerSettings
) -> Packed:
    """One sample of a flow: guided Euler steps from noise to data, on the noise's device."""
    plan = flow.plan(noise.coords, noise.offsets)

    def velocity(condition: Condition) -> Velocity:
        def v(x: Tensor, t: float) -> Tensor:
            return flow(noise.with_feats(x), torch.full((1,), t, dtype=torch.float64), condition, plan)

        return v

    both = guided(velocity(condition), velocity(negative), strength=settings.guidance, interval=settings.interval)
    return noise.with_feats(euler(both, noise.feats, time_steps(settings.steps, rescale=settings.rescale_t)))


def argument(model: ModelFolder, key: str) -> Any:
    """What the pipeline says under a key. Raises MissingError where it says nothing."""
    if key not in model.pipeline:
        raise MissingError(
            f"model {model.id} has no {key}",
            hint="pack it with a text encoder and the run of its latent flow: `trellis models pack --help`",
        )
    return model.pipeline[key]


def fine_resolution(model: ModelFolder) -> int:
    """Voxels along an edge of the latents' grid."""
    return int(read_network_json(model.stem(SLAT_FLOW))[1]["resolution"])
