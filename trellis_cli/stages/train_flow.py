"""Train a flow, of either stage: conditional flow matching with dropped conditions (equation 5 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trellis_cli.data.index import DataFolder, draw
from trellis_cli.errors import FileError
from trellis_cli.flow.path import interpolate, velocity
from trellis_cli.flow.schedule import logit_normal
from trellis_cli.geometry.packed import Packed, dense_to_packed, pack
from trellis_cli.io.aside import write_text
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.caption_tokens import CaptionTokens
from trellis_cli.stages.flow_previews import Previews
from trellis_cli.stages.training_run import NetworkRecipe, run_training
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.optim import OptimizerRecipe

STAGES = ("structure-flow", "slat-flow")


@dataclass(frozen=True, slots=True)
class FlowRecipe:
    """`source_weights` sets how often each source of the manifest is drawn, in relation; others are drawn never."""

    stage: str
    network: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    t_mean: float = 1.0
    t_std: float = 1.0
    drop_condition: float = 0.1
    max_voxels: int = 32768
    source_weights: dict[str, float] = field(default_factory=dict)
    loop: LoopRecipe = field(default_factory=LoopRecipe)


class FlowTask:
    """Latents of the train split with one of their captions, drawn anew each step."""

    def __init__(
        self,
        recipe: FlowRecipe,
        data: DataFolder,
        text_encoder: Path,
        *,
        preview: ModelFolder | None = None,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.data = recipe, data
        self.group = "structure" if recipe.stage == "structure-flow" else "slat"
        network = recipe.network.build()
        self.module: nn.Module = network.compute_in(torso_dtype(recipe.optimizer.precision, device))
        self.train_ids = self._fitting(data.ids(self.group, split="train"))
        self.test_ids = self._fitting(data.ids(self.group, split="test"))
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /{self.group}",
                hint="write it with `trellis encode`",
            )
        self.weights = self._weights()
        self.mean, self.std = self._normalisation()
        texts = {c for i in (*self.train_ids, *self.test_ids) for c in data.captions(i)}
        self.tokens = CaptionTokens(text_encoder, ["", *sorted(texts - {""})])
        self.previews = preview and Previews(
            preview, self.group, lambda i: self.latents([i]), lambda i: self.data.captions(i)[0], self.tokens
        )

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        key = "sparse_structure_flow_model" if self.group == "structure" else "slat_flow_model"
        return {key: (self.recipe.network, module)}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Packed, Condition]:
        ids = draw(self.train_ids, size, generator, self.weights)
        captions = []
        for id_ in ids:
            own = self.data.captions(id_)
            captions.append(own[int(torch.randint(len(own), (1,), generator=generator))])
        drop = torch.rand(size, generator=generator) < self.recipe.drop_condition
        texts = ["" if gone else text for gone, text in zip(drop.tolist(), captions, strict=True)]
        return self.latents(ids, generator), self.tokens(texts)

    def latents(self, ids: list[str], generator: torch.Generator | None = None) -> Packed:
        """Normalised latents, of a random variant each where a generator is given, packed."""
        assets = []
        for id_ in ids:
            num = self.data.variants(self.group, id_)
            variant = int(torch.randint(num, (1,), generator=generator)) if generator is not None else 0
            assets.append(self.data.asset(self.group, id_, variant))
        if self.group == "structure":
            return dense_to_packed(torch.stack([torch.from_numpy(a["latent"]) for a in assets]))
        packed = pack([(torch.from_numpy(a["coords"]).int(), torch.from_numpy(a["feats"])) for a in assets])
        return packed.with_feats((packed.feats - self.mean) / self.std)

    def loss(self, module: nn.Module, batch: tuple[Packed, Condition], generator: torch.Generator) -> dict[str, Tensor]:
        x0, condition = batch
        t = logit_normal(len(x0), mean=self.recipe.t_mean, std=self.recipe.t_std, generator=generator)
        noise = torch.randn(x0.feats.shape, generator=generator)
        device = next(module.parameters()).device
        x0, condition, t, noise = x0.to(device), condition.to(device), t.to(device), noise.to(device)
        at = t[x0.sample][:, None]
        predicted = module(x0.with_feats(interpolate(x0.feats, noise, at)), t, condition)
        return {"loss": (predicted.float() - velocity(x0.feats, noise)).square().mean()}

    @torch.no_grad()
    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """The loss on up to 256 assets of each split, at the same times and noises every time; with a preview model,
        a sheet of eight samples."""
        scores = {}
        for name, ids in (("train", self.train_ids), ("test", self.test_ids)):
            chosen = ids[:: max(1, len(ids) // 256)][:256]
            if chosen:
                generator = torch.Generator().manual_seed(0)
                losses = []
                for start in range(0, len(chosen), 32):
                    part = chosen[start : start + 32]
                    batch = self.latents(part), self.tokens([self.data.captions(i)[0] for i in part])
                    losses.append(float(self.loss(module, batch, generator)["loss"]) * len(part))
                scores[f"loss_{name}"] = sum(losses) / len(chosen)
        if self.previews:
            ids = (self.test_ids or self.train_ids)[:: max(1, len(self.test_ids or self.train_ids) // 8)][:8]
            assert isinstance(module, FlowNetwork)
            self.previews.draw(module, ids, self.mean, self.std, folder / f"{step:06d}.png")
        return scores

    def _fitting(self, ids: list[str]) -> list[str]:
        if self.group == "structure":
            return ids
        return [i for i in ids if int(self.data.asset("slat", i)["lengths"]) <= self.recipe.max_voxels]

    def _weights(self) -> list[float] | None:
        """Each asset's chance, so that each source is drawn in the recipe's relation whatever its size."""
        wanted = self.recipe.source_weights
        if not wanted:
            return None
        sources = [str(self.data.manifest.get(i, {}).get("source", "")) for i in self.train_ids]
        sizes = {s: sources.count(s) for s in set(sources)}
        weights = [wanted.get(s, 0.0) / sizes[s] for s in sources]
        if not any(weights):
            raise FileError(
                f"no asset of {self.data.folder} comes from {', '.join(wanted)}",
                hint="mend source_weights in the recipe",
            )
        return weights

    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation a channel over the train split's SLATs; structure latents are not normalised.

        As published: the mean of the assets' means, and sqrt(mean of the assets' E[x^2] - mean^2).
        """
        if self.group == "structure":
            return torch.zeros(1), torch.ones(1)
        first = second = torch.zeros(())
        for id_ in self.train_ids:
            feats = torch.from_numpy(self.data.asset("slat", id_)["feats"]).double()
            first, second = first + feats.mean(0), second + feats.square().mean(0)
        mean, square = first / len(self.train_ids), second / len(self.train_ids)
        return mean.float(), (square - mean.square()).clamp_min(1e-8).sqrt().float()


def train_flow(
    recipe: str,
    data: Path,
    run: Path,
    *,
    text_encoder: Path,
    preview: ModelFolder | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train the flow that the recipe describes on a data folder; the same call again goes on.

    Args:
        preview: a model whose decoder shows samples at every evaluation, in RUN/samples.
    """
    import json

    from trellis_cli.stages.train_vae import stage_of

    stage_of(recipe, overrides, STAGES)
    folder = DataFolder(data)

    def make(r: FlowRecipe) -> FlowTask:
        task = FlowTask(r, folder, text_encoder, preview=preview, device=device)
        if task.group == "slat":
            table = {"mean": task.mean.tolist(), "std": task.std.tolist()}
            write_text(run / "normalization.json", json.dumps(table, indent=2) + "\n")
        return task

    return run_training(
        FlowRecipe, make, recipe, run, overrides=tuple(overrides), device=device, max_minutes=max_minutes
    )
