"""A model's two flows and its structure decoder in memory: conditions in, voxels and latents out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from trellis_cli.errors import FileError, MissingError, UsageError
from trellis_cli.flow.diffusion import as_velocity, ddim_times
from trellis_cli.flow.guidance import Velocity, averaged, guided, in_turn
from trellis_cli.flow.path import begin
from trellis_cli.flow.repaint import Kept, repaint
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

Multi = Literal["stochastic", "multidiffusion"]
"""How several conditions make one asset: each step follows the next one, or every step the mean of all."""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """One stage's sampler: Euler steps, guidance strength and interval of t, rescaled time."""

    steps: int
    guidance: float
    interval: tuple[float, float]
    rescale_t: float

    @staticmethod
    def of(pipeline: dict[str, Any], key: str) -> "SamplerSettings":
        """The model's own, from pipeline.json (`sparse_structure_sampler` or `slat_sampler`). Raises FileError."""
        try:
            params = pipeline[key]["params"]
            low, high = params.get("cfg_interval", (0.0, 1.0))
            return SamplerSettings(
                int(params["steps"]),
                float(params["cfg_strength"]),
                (float(low), float(high)),
                float(params.get("rescale_t", 1.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(
                f"pipeline.json does not describe its {key}: {error!r}", hint="fetch the model anew"
            ) from error

    def changed(self, **changes: Any) -> "SamplerSettings":
        """With the given fields in place of the model's own; None changes nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


class Pipeline:
    """The networks that turn conditions into latents: structure flow, structure decoder, latent flow.

    `flows` ends the keys of the flows in pipeline.json: "_image" where a model has flows for images beside those for
    text (`conditioners.flows_for`).
    """

    def __init__(self, networks: Networks, *, flows: str = "") -> None:
        self.networks, self.flows = networks, flows
        table = argument(networks.model, "slat_normalization")
        self.mean, self.std = torch.tensor(table["mean"]), torch.tensor(table["std"])

    @torch.no_grad()
    def structure(
        self,
        condition: Condition,
        negative: Condition,
        settings: SamplerSettings,
        generator: torch.Generator,
        *,
        multi: Multi | None = None,
        kept: Kept | None = None,
    ) -> Tensor:
        """A structure latent [1, c, r, r, r]; the noise is drawn on the CPU. `multi`, `kept`: see `denoise`."""
        flow = self.flow(STRUCTURE_FLOW)
        r = flow.resolution
        noise = dense_to_packed(torch.randn(1, flow.in_channels, r, r, r, generator=generator))
        return packed_to_dense(self._sample(flow, noise, condition, negative, settings, multi, kept))

    @torch.no_grad()
    def voxels(self, latent: Tensor) -> Tensor:
        """Active voxels int32 [n, 3] of a structure latent, in lexicographic order."""
        logits = self.networks(STRUCTURE_DECODER)(latent.to(self.networks.device))
        return torch.argwhere(logits[0, 0] > 0).int().cpu()

    @torch.no_grad()
    def slat(
        self,
        condition: Condition,
        negative: Condition,
        coords: Tensor,
        settings: SamplerSettings,
        generator: torch.Generator,
        *,
        multi: Multi | None = None,
        kept: Kept | None = None,
    ) -> Tensor:
        """A latent [n, c] for each voxel, not normalised; nor are those of `kept`, which come out as they are."""
        flow = self.flow(SLAT_FLOW)
        noise = torch.randn(len(coords), flow.in_channels, generator=generator)
        x = Packed(noise, coords, torch.tensor([0, len(coords)]))
        if kept is None:
            return self._sample(flow, x, condition, negative, settings, multi, None).feats * self.std + self.mean
        normalised = replace(kept, data=(kept.data - self.mean) / self.std)
        feats = self._sample(flow, x, condition, negative, settings, multi, normalised).feats * self.std + self.mean
        return torch.where(kept.free[:, None], feats, kept.data)

    def flow(self, key: str) -> FlowNetwork:
        """The flow of one of both stages, in memory."""
        network = self.networks(key + self.flows)
        assert isinstance(network, FlowNetwork)
        return network

    def _sample(
        self,
        flow: FlowNetwork,
        noise: Packed,
        condition: Condition,
        negative: Condition,
        settings: SamplerSettings,
        multi: Multi | None,
        kept: Kept | None,
    ) -> Packed:
        d = self.networks.device
        if kept is not None:
            kept = kept.to(d)
        return denoise(flow, noise.to(d), condition.to(d), negative.to(d), settings, multi=multi, kept=kept).to("cpu")


def network_keys(flows: Iterable[str], *, with_structure: bool = True) -> list[str]:
    """The networks that prompts of these flows run through, in order; without the first two where voxels are given."""
    keys = []
    for end in flows:
        keys += [STRUCTURE_FLOW + end, STRUCTURE_DECODER] if with_structure else []
        keys.append(SLAT_FLOW + end)
    return list(dict.fromkeys(keys))


def denoise(
    flow: FlowNetwork,
    noise: Packed,
    condition: Condition,
    negative: Condition,
    settings: SamplerSettings,
    *,
    multi: Multi | None = None,
    kept: Kept | None = None,
) -> Packed:
    """One sample of a flow, or a diffusion: guided Euler steps from noise to data, on the noise's device.

    Args:
        condition: a single one, or those of several images of one object, which `multi` makes one velocity of.
        negative: a single one.
        kept: tokens that are known, and how the others are repainted beside them.

    Raises:
        ValueError: several conditions without `multi`.
        UsageError: see `sampling_times`.
    """
    if len(condition) != 1 and multi is None:
        raise ValueError(f"{len(condition)} conditions for one asset need `multi`")
    times = sampling_times(settings, flow.objective)
    velocity = velocities(flow, noise)
    each = [velocity(condition[i]) for i in range(len(condition))]
    conditional = each[0] if len(each) == 1 else averaged(each) if multi == "multidiffusion" else in_turn(each, times)
    both = guided(conditional, velocity(negative), strength=settings.guidance, interval=settings.interval)
    if kept is None:
        return noise.with_feats(euler(both, begin(noise.feats, times[0]), times))
    return noise.with_feats(repaint(both, noise.feats, times, kept))


def velocities(flow: FlowNetwork, tokens: Packed) -> Callable[[Condition], Velocity]:
    """What a network gives as the velocity of these tokens under a condition, whatever it was taught to predict."""
    plan = flow.plan(tokens.coords, tokens.offsets)

    def under(condition: Condition) -> Velocity:
        def predicted(x: Tensor, t: float) -> Tensor:
            return flow(tokens.with_feats(x), torch.full((1,), t, dtype=torch.float64), condition, plan)

        return as_velocity(predicted) if flow.objective == "diffusion" else predicted

    return under


def sampling_times(settings: SamplerSettings, objective: str) -> list[float]:
    """From noise to data. Raises UsageError for a rescaled time of a diffusion, whose steps are even in its own."""
    if objective != "diffusion":
        return time_steps(settings.steps, rescale=settings.rescale_t)
    if settings.rescale_t != 1:
        raise UsageError(f"rescale_t is {settings.rescale_t:g}, and a diffusion's steps are even", hint="--rescale-t 1")
    return ddim_times(settings.steps)


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
