"""Words to latents: the two flows, structure first, then a latent on each active voxel. /structure and /slat files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from trellis_cli.errors import TrellisError, UsageError
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.text_encoder import load_text_encoder
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.stages.pipeline import Pipeline, SamplerSettings, argument, fine_resolution


class TextPrompts:
    """A model's text encoder, each text encoded once: both stages use it, and a text that is cut warns once."""

    def __init__(self, model: ModelFolder, device: str) -> None:
        self.encoder = load_text_encoder(model.path / argument(model, "text_cond_model")).to(device)
        self._conditions: dict[str, Condition] = {}

    def __call__(self, text: str) -> Condition:
        if text not in self._conditions:
            out = self.encoder.encode([text])
            pooled = None if out.pooled is None else out.pooled.float()
            self._conditions[text] = Condition(out.tokens.float(), out.offsets, pooled)
        return self._conditions[text]


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
    loaded: list[tuple[Pipeline, TextPrompts]] = []

    def work(item: Item) -> dict[str, Asset]:
        if not loaded:  # not before something is to be done
            loaded.append((Pipeline(model, device=device, dtype=dtype), TextPrompts(model, device)))
        (pipeline, prompts), (number, text) = loaded[0], item.payload
        generator = torch.Generator().manual_seed(seed + number)
        condition, negative = prompts(text), prompts("")
        latent = pipeline.structure(condition, negative, first, generator)
        coords = pipeline.voxels(latent)
        if not len(coords):
            raise TrellisError(
                f"the model made no voxel for {text!r} with seed {seed + number}",
                hint="try another --seed or --guidance",
            )
        feats = pipeline.slat(condition, negative, coords, second, generator)
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
    attrs = {"structure": {}, "slat": {"resolution": fine_resolution(model)}}
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
