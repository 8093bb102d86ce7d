"""Words to latents: the two flows, structure first, then a latent on each active voxel. /structure and /slat files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trellis_cli.errors import MissingError, TrellisError, UsageError
from trellis_cli.flow.guidance import Velocity, guided
from trellis_cli.flow.sampler import euler
from trellis_cli.flow.schedule import time_steps
from trellis_cli.geometry.packed import Packed, dense_to_packed, packed_to_dense
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.networks.text_encoder import TextEncoder, load_text_encoder
from trellis_cli.session import Item, Summary, run_batch


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


class TextSampler:
    """A model's text pipeline in memory: condition, structure flow and decoder, latent flow."""

    def __init__(self, model: ModelFolder, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.model, self.device = model, device
        self.text: TextEncoder = load_text_encoder(model.path / _argument(model, "text_cond_model")).to(device)
        self.structure_flow = _flow(model, "sparse_structure_flow_model", device, dtype)
        self.decoder = model.load("sparse_structure_decoder", device=device, dtype=dtype)
        self.slat_flow = _flow(model, "slat_flow_model", device, dtype)
        table = _argument(model, "slat_normalization")
        self._conditions: dict[str, Condition] = {}
        self.mean, self.std = torch.tensor(table["mean"]), torch.tensor(table["std"])

    def condition(self, text: str) -> Condition:
        """The condition of a text, encoded once: both stages use it, and a text that is cut warns once."""
        if text not in self._conditions:
            out = self.text.encode([text])
            pooled = None if out.pooled is None else out.pooled.float()
            self._conditions[text] = Condition(out.tokens.float(), out.offsets, pooled)
        return self._conditions[text]

    @torch.no_grad()
    def structure(self, text: str, settings: SamplerSettings, generator: torch.Generator) -> Tensor:
        """A structure latent [1, c, r, r, r]; the noise is drawn on the CPU."""
        flow = self.structure_flow
        r = flow.resolution
        noise = dense_to_packed(torch.randn(1, flow.in_channels, r, r, r, generator=generator))
        return packed_to_dense(self._sample(flow, noise, text, settings))

    @torch.no_grad()
    def voxels(self, latent: Tensor) -> Tensor:
        """Active voxels int32 [n, 3] of a structure latent, in lexicographic order."""
        logits = self.decoder(latent.to(self.device))
        return torch.argwhere(logits[0, 0] > 0).int().cpu()

    @torch.no_grad()
    def slat(self, text: str, coords: Tensor, settings: SamplerSettings, generator: torch.Generator) -> Tensor:
        """A latent [n, c] for each voxel, not normalised."""
        noise = torch.randn(len(coords), self.slat_flow.in_channels, generator=generator)
        x = Packed(noise, coords, torch.tensor([0, len(coords)]))
        return self._sample(self.slat_flow, x, text, settings).feats * self.std + self.mean

    def _sample(self, flow: FlowNetwork, noise: Packed, text: str, settings: SamplerSettings) -> Packed:
        conditions = [self.condition(t).to(self.device) for t in (text, "")]
        return denoise(flow, noise.to(self.device), conditions[0], conditions[1], settings).to("cpu")


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


def sample(
    texts: Sequence[str],
    out: Path,
    model: ModelFolder,
    *,
    num: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Make `num` assets for each text. Asset k (counted over all) draws from its own generator, seeded seed + k.

    Args:
        shard: (i, n) makes the assets of every n-th text, from text i on; they are those of one go, ids and all.

    Raises:
        UsageError: an empty text.
        TrellisError: the model made no voxel for a text.
    """
    check_prompts(texts)
    first = SamplerSettings.of(model.pipeline, "sparse_structure_sampler").changed(steps, guidance)
    second = SamplerSettings.of(model.pipeline, "slat_sampler").changed(steps, guidance)
    parameters = {
        "model": model.id,
        "text": list(texts),
        "num": num,
        "structure": asdict(first),
        "slat": asdict(second),
        "dtype": str(dtype).removeprefix("torch."),
    }
    provenance = Provenance("sample", parameters, seed=seed, model=model.provenance)
    sampler: list[TextSampler] = []

    def work(item: Item) -> dict[str, Asset]:
        if not sampler:  # not before something is to be done
            sampler.append(TextSampler(model, device=device, dtype=dtype))
        number, text = item.payload
        generator = torch.Generator().manual_seed(seed + number)
        latent = sampler[0].structure(text, first, generator)
        coords = sampler[0].voxels(latent)
        if not len(coords):
            raise TrellisError(
                f"the model made no voxel for {text!r} with seed {seed + number}",
                hint="try another --seed or --guidance",
            )
        feats = sampler[0].slat(text, coords, second, generator)
        return {
            "structure": with_ids(item.id, lengths=latent[0, 0].numel(), latent=latent[0].numpy()),
            "slat": with_ids(item.id, lengths=len(coords), coords=coords.numpy().astype("int16"), feats=feats.numpy()),
        }

    items = [
        Item(sample_id(model.digest, text, parameters, seed, line * num + n), text[:60], (line * num + n, text))
        for line, text in enumerate(texts)
        for n in range(num)
        if line % shard[1] == shard[0]
    ]
    attrs = {"structure": {}, "slat": {"resolution": _fine_resolution(model)}}
    return run_batch(items, work, out, provenance, attrs, overwrite=overwrite, retry_failed=retry_failed, in_order=True)


def check_prompts(texts: Sequence[str]) -> None:
    """Raises UsageError for no text at all or an empty one."""
    if not texts or any(not t.strip() for t in texts):
        raise UsageError("an empty prompt says nothing", hint='for example --text "log cabin"')


def sample_id(weights: str, prompt: str, parameters: dict[str, Any], seed: int, number: int) -> str:
    """sha256 of (weights digest, prompt digest, resolved parameters, seed, number in the list)."""
    same = {k: v for k, v in parameters.items() if k not in ("model", "text", "num")}  # the weights say which model
    parts = [
        weights,
        hashlib.sha256(prompt.encode()).hexdigest(),
        json.dumps(same, sort_keys=True),
        str(seed),
        str(number),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prompts_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """id -> prompt of each asset that a file of these attributes may hold; empty where `sample` did not write it.

    By the ids, not by the order: a shard holds only some of the prompts its parameters list.
    """
    parameters = json.loads(attributes.get("parameters", "{}"))
    if not str(attributes.get("command", "")).startswith("trellis sample "):
        return {}
    weights, num = json.loads(attributes["model"])["digest"], int(parameters["num"])
    seed = int(attributes["seed"])
    return {
        sample_id(weights, text, parameters, seed, line * num + n): text if num == 1 else f"{text} ({n + 1})"
        for line, text in enumerate(parameters["text"])
        for n in range(num)
    }


def _flow(model: ModelFolder, key: str, device: str, dtype: torch.dtype) -> FlowNetwork:
    network = model.load(key, device=device, dtype=dtype)
    assert isinstance(network, FlowNetwork)
    return network


def _argument(model: ModelFolder, key: str) -> Any:
    """What the pipeline says under a key. Raises MissingError where it says nothing."""
    if key not in model.pipeline:
        raise MissingError(
            f"model {model.id} has no {key}",
            hint="pack it with a text encoder and the run of its latent flow: `trellis models pack --help`",
        )
    return model.pipeline[key]


def _fine_resolution(model: ModelFolder) -> int:
    from trellis_cli.io.model_folders import read_network_json

    return int(read_network_json(model.stem("slat_flow_model"))[1]["resolution"])
