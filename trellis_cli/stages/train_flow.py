"""Train a flow, of either stage: conditional flow matching with dropped conditions (equation 5 of the paper).

Or, for the paper's table 4, a diffusion: where the network's `objective` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trellis_cli import console
from trellis_cli.data.index import DataFolder, draw
from trellis_cli.errors import FileError, RecipeError
from trellis_cli.flow import diffusion
from trellis_cli.flow.path import interpolate, velocity
from trellis_cli.flow.schedule import logit_normal
from trellis_cli.geometry.packed import Packed, dense_to_packed, pack
from trellis_cli.io.aside import write_text
from trellis_cli.io.model_folders import ModelFolder, load_network
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.flow_conditions import Captions, FlowConditions, ViewPictures
from trellis_cli.stages.flow_previews import Previews
from trellis_cli.stages.training_run import NetworkRecipe, run_training
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.optim import OptimizerRecipe

STAGES = ("structure-flow", "slat-flow")


@dataclass(frozen=True, slots=True)
class FlowRecipe:
    """`source_weights` sets how often each source of the manifest is drawn, in relation; others are drawn never.

    `t_mean`, `t_std`: of the logit-normal law of a flow's times; a diffusion's are even.
    `condition`: "text" (the manifest's captions) or "image" (the asset's views, from cameras of `view_pitch_deg`).
    """

    stage: str
    network: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    condition: str = "text"
    view_pitch_deg: tuple[float, float] = (-90.0, 90.0)
    t_mean: float = 1.0
    t_std: float = 1.0
    drop_condition: float = 0.1
    max_voxels: int = 32768
    source_weights: dict[str, float] = field(default_factory=dict)
    loop: LoopRecipe = field(default_factory=LoopRecipe)


class FlowTask:
    """Latents of the train split with one of their captions or views, drawn anew each step."""

    def __init__(
        self,
        recipe: FlowRecipe,
        data: DataFolder,
        encoder: Path,
        *,
        preview: ModelFolder | None = None,
        start_from: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.data = recipe, data
        self.group = "structure" if recipe.stage == "structure-flow" else "slat"
        network = recipe.network.build()
        if not isinstance(network, FlowNetwork):
            raise RecipeError(f"{recipe.network.name} is no flow", hint="see `trellis recipe show mini/structure-flow`")
        self.diffusion = network.objective == "diffusion"
        self.module: nn.Module = network.compute_in(torso_dtype(recipe.optimizer.precision, device))
        groups = (self.group, "views") if recipe.condition == "image" else (self.group,)
        self.train_ids = self._fitting(data.ids(*groups, split="train"))
        self.test_ids = self._fitting(data.ids(*groups, split="test"))
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /{self.group}",
                hint="write it with `trellis encode`",
            )
        self.weights = self._weights()
        self.mean, self.std = self._normalisation()
        self.conditions = self._conditions(encoder)
        if network.cond_channels != self.conditions.channels:
            raise RecipeError(
                f"the network takes conditions of {network.cond_channels} channels, the encoder gives "
                f"{self.conditions.channels}",
                hint=f"--set network.args.cond_channels={self.conditions.channels}, pooled_channels alike",
            )
        if start_from is not None:
            borrow_weights(network, start_from, self.key)
        self.previews = preview and Previews(preview, self.group, self.conditions)

    @property
    def key(self) -> str:
        """The network's in a model folder."""
        plain = "sparse_structure_flow_model" if self.group == "structure" else "slat_flow_model"
        return plain + self.conditions.suffix

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        return {self.key: (self.recipe.network, module)}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Packed, Condition]:
        ids = draw(self.train_ids, size, generator, self.weights)
        picks = [self.conditions.pick(id_, generator) for id_ in ids]
        drop = torch.rand(size, generator=generator) < self.recipe.drop_condition
        picks = [None if gone else pick for gone, pick in zip(drop.tolist(), picks, strict=True)]
        nums = [self.data.variants(self.group, id_) for id_ in ids]
        variants = [int(torch.randint(num, (1,), generator=generator)) for num in nums]
        mirrored = [self.data.mirrored(self.group, id_, v) for id_, v in zip(ids, variants, strict=True)]
        return self.latents(ids, variants), self.conditions(picks, mirrored)

    def latents(self, ids: list[str], variants: list[int] | None = None) -> Packed:
        """Normalised latents, of the given variants or the first ones, packed."""
        pairs = zip(ids, variants or [0] * len(ids), strict=True)
        assets = [self.data.asset(self.group, id_, variant) for id_, variant in pairs]
        if self.group == "structure":
            return dense_to_packed(torch.stack([torch.from_numpy(a["latent"]) for a in assets]))
        packed = pack([(torch.from_numpy(a["coords"]).int(), torch.from_numpy(a["feats"])) for a in assets])
        return packed.with_feats((packed.feats - self.mean) / self.std)

    def loss(self, module: nn.Module, batch: tuple[Packed, Condition], generator: torch.Generator) -> dict[str, Tensor]:
        x0, condition = batch
        if self.diffusion:
            t = diffusion.draw_times(len(x0), generator=generator)
        else:
            t = logit_normal(len(x0), mean=self.recipe.t_mean, std=self.recipe.t_std, generator=generator)
        noise = torch.randn(x0.feats.shape, generator=generator)
        device = next(module.parameters()).device
        x0, condition, t, noise = x0.to(device), condition.to(device), t.to(device), noise.to(device)
        x_t = (diffusion.diffused if self.diffusion else interpolate)(x0.feats, noise, t[x0.sample][:, None])
        wanted = noise if self.diffusion else velocity(x0.feats, noise)
        return {"loss": (module(x0.with_feats(x_t), t, condition).float() - wanted).square().mean()}

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
                    picks = [self.conditions.pick(i, None) for i in part]
                    batch = self.latents(part), self.conditions(picks, [False] * len(part))
                    losses.append(float(self.loss(module, batch, generator)["loss"]) * len(part))
                scores[f"loss_{name}"] = sum(losses) / len(chosen)
        if self.previews:
            ids = (self.test_ids or self.train_ids)[:: max(1, len(self.test_ids or self.train_ids) // 8)][:8]
            assert isinstance(module, FlowNetwork)
            rows = [(self.conditions.pick(i, None), self.latents([i])) for i in ids]
            self.previews.draw(module, rows, self.mean, self.std, folder / f"{step:06d}.png")
        return scores

    def _conditions(self, encoder: Path) -> FlowConditions:
        if self.recipe.condition == "text":
            return Captions(self.data, encoder)
        if self.recipe.condition == "image":
            return ViewPictures(self.data, encoder, self.recipe.view_pitch_deg)
        raise RecipeError(f"condition is {self.recipe.condition!r}", hint="one of: text, image")

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
    encoder: Path,
    preview: ModelFolder | None = None,
    start_from: Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train the flow that the recipe describes on a data folder; the same call again goes on.

    Args:
        encoder: the folder with the text encoder, or with the image encoder and its tokens.
        preview: a model whose decoder shows samples at every evaluation, in RUN/samples.
        start_from: a run or model folder of the same stage: a new run begins with its weights, where they fit.
    """
    import json

    from trellis_cli.stages.train_vae import stage_of

    stage_of(recipe, overrides, STAGES)
    folder = DataFolder(data)

    def make(r: FlowRecipe) -> FlowTask:
        new = None if (run / "checkpoint.safetensors").exists() else start_from
        task = FlowTask(r, folder, encoder, preview=preview, start_from=new, device=device)
        if task.group == "slat":
            table = {"mean": task.mean.tolist(), "std": task.std.tolist()}
            write_text(run / "normalization.json", json.dumps(table, indent=2) + "\n")
        return task

    return run_training(
        FlowRecipe, make, recipe, run, overrides=tuple(overrides), device=device, max_minutes=max_minutes
    )


def borrow_weights(network: FlowNetwork, source: Path, key: str) -> int:
    """Take over what has the same name and shape from the flow of a run or model folder; returns how many tensors.

    A flow of another condition lends all but what reads the condition: a flow from images begins with what the flow
    from texts knows of objects.

    Raises:
        MissingError: no flow of this stage there.
        FileError: nothing of it fits.
    """
    stems = [source / "ckpts" / name for name in (key, key.removesuffix("_image"))]
    stem = next((s for s in stems if s.with_name(s.name + ".json").is_file()), stems[0])
    theirs, own = load_network(stem).state_dict(), network.state_dict()
    fitting = {k: t for k, t in theirs.items() if k in own and own[k].shape == t.shape}
    if not fitting:
        raise FileError(f"nothing of {stem} fits this network", hint="start from a flow of the same width")
    network.load_state_dict(fitting, strict=False)
    console.note(f"{len(fitting)} of {len(own)} tensors from {stem}")
    return len(fitting)
