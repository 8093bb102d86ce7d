"""Train a flow, of either stage: conditional flow matching with dropped conditions (equation 5 of the paper).

Or, for the paper's table 4, a diffusion: where the network's `objective` says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.data.batches import check_grid
from trellis_cli.data.index import DataFolder, Lottery
from trellis_cli.data.statistics import FILE, Normalization
from trellis_cli.errors import FileError, RecipeError
from trellis_cli.flow import diffusion
from trellis_cli.flow.path import interpolate, velocity
from trellis_cli.flow.schedule import logit_normal
from trellis_cli.geometry.packed import Packed, dense_to_packed, pack
from trellis_cli.io.model_folders import SHIPPED, ModelFolder
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.recipes import check_values
from trellis_cli.stages.conditioners import image_encoding, text_encoding
from trellis_cli.stages.flow_conditions import Captions, FlowConditions, ViewPictures, pictures_group
from trellis_cli.stages.flow_previews import Previews
from trellis_cli.stages.initial_weights import borrowed_normalization
from trellis_cli.stages.training_run import NetworkRecipe, run_training
from trellis_cli.training import state
from trellis_cli.training.loop import LoopRecipe, torso_dtype, training_device
from trellis_cli.training.lora import LoraRecipe
from trellis_cli.training.micro_batches import Item, item_generator
from trellis_cli.training.optim import OptimizerRecipe

STAGES = ("structure-flow", "slat-flow")
EVALUATED_AT_A_TIME = 32
OWN_ENCODERS = SHIPPED / "mini" / "ckpts"


@dataclass(frozen=True, slots=True)
class FlowRecipe:
    """`source_weights` sets how often each source of the manifest is drawn, in relation; others are drawn never.

    `t_mean`, `t_std`: of the logit-normal law of a flow's times; a diffusion's are even.
    `condition`: "text" (the manifest's captions) or "image" (the asset's /conditions, or else /views, from cameras of
    `view_pitch_deg`).
    `condition_encoder`: what encodes them: a hub id, a name of torch.hub's, a folder; "" is mini's own.
    """

    stage: str
    network: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    condition: str = "text"
    condition_encoder: str = ""
    view_pitch_deg: tuple[float, float] = (-90.0, 90.0)
    t_mean: float = 1.0
    t_std: float = 1.0
    drop_condition: float = 0.1
    max_voxels: int = 32768
    source_weights: dict[str, float] = field(default_factory=dict)
    lora: LoraRecipe = field(default_factory=LoraRecipe)
    loop: LoopRecipe = field(default_factory=LoopRecipe)

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        weights = self.source_weights.values()
        fine = all(isinstance(w, int | float) and 0 <= w < math.inf for w in weights)
        allowed = {
            "drop_condition": (0 <= self.drop_condition <= 1, "a share from 0 to 1"),
            "t_std": (0 < self.t_std < math.inf, "more than 0"),
            "source_weights": (fine, "a number of 0 or more a source"),
        }
        check_values(self, allowed)


@dataclass(frozen=True, slots=True)
class FlowDraw:
    """What a step draws of an asset; `pick`: of its conditions (None: the dropped one)."""

    id: str
    variant: int
    pick: Any


@dataclass(frozen=True, slots=True, eq=False)
class FlowBatch:
    """Latents, their conditions, and a time a sample and noise for each of their voxels."""

    x0: Packed
    condition: Condition
    t: Float[Tensor, " b"]
    noise: Float[Tensor, "n c"]


class FlowTask:
    """Latents of the train split with one of their captions or views, drawn anew each step."""

    best_by: tuple[str, int] = ("loss", -1)

    def __init__(
        self,
        recipe: FlowRecipe,
        data: DataFolder,
        encoder: str | Path | None = None,
        *,
        preview: ModelFolder | None = None,
        normalization: Normalization | None = None,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.data = recipe, data
        self.group = "structure" if recipe.stage == "structure-flow" else "slat"
        network = recipe.network.build()
        if not isinstance(network, FlowNetwork):
            raise RecipeError(f"{recipe.network.name} is no flow", hint="see `trellis recipe show mini/structure-flow`")
        self.diffusion = network.objective == "diffusion"
        self.module: nn.Module = network.compute_in(torso_dtype(recipe.optimizer.precision, device))
        groups = (self.group, pictures_group(data)) if recipe.condition == "image" else (self.group,)
        self.train_ids = self._fitting(data.ids(*groups, split="train"))
        self.test_ids = self._fitting(data.ids(*groups, split="test"))
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /{self.group}",
                hint="write it with `trellis encode`",
            )
        self.lottery = Lottery(self.train_ids, self._weights())
        self.dense_tokens = self._dense_tokens(network.resolution)
        if self.group == "slat":
            check_grid(data, "slat", network.resolution)
        self.normalization = normalization or self._normalisation()
        self.conditions = self._conditions(str(encoder or recipe.condition_encoder or OWN_ENCODERS), device)
        if network.cond_channels != self.conditions.channels:
            raise RecipeError(
                f"the network takes conditions of {network.cond_channels} channels, the encoder gives "
                f"{self.conditions.channels}",
                hint=f"--set network.args.cond_channels={self.conditions.channels}, pooled_channels alike",
            )
        self.previews = preview and Previews(preview, self.group, self.conditions)

    @property
    def key(self) -> str:
        """The network's in a model folder."""
        plain = "sparse_structure_flow_model" if self.group == "structure" else "slat_flow_model"
        return plain + self.conditions.suffix

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        return {self.key: (self.recipe.network, module)}

    def item(self, generator: torch.Generator) -> Item:
        id_ = self.lottery.draw(generator)
        pick = self.conditions.pick(id_, generator)
        dropped = bool(torch.rand((), generator=generator) < self.recipe.drop_condition)
        variant = int(torch.randint(self.data.variants(self.group, id_), (), generator=generator))
        return self._item(id_, None if dropped else pick, generator, variant)

    def _item(self, id_: str, pick: Any, generator: torch.Generator, variant: int = 0) -> Item:
        tokens = self.dense_tokens or self.data.length(self.group, id_, variant)
        return Item(FlowDraw(id_, variant, pick), tokens, generator)

    def batch(self, items: Sequence[Item]) -> FlowBatch:
        draws: list[FlowDraw] = [item.what for item in items]
        x0 = self.latents([d.id for d in draws], [d.variant for d in draws])
        mirrored = [self.data.mirrored(self.group, d.id, d.variant) for d in draws]
        times, noise = [], []
        for item, length in zip(items, x0.lengths.tolist(), strict=True):
            if self.diffusion:
                times.append(diffusion.draw_times(1, generator=item.generator))
            else:
                r = self.recipe
                times.append(logit_normal(1, mean=r.t_mean, std=r.t_std, generator=item.generator))
            noise.append(torch.randn(length, x0.feats.shape[1], generator=item.generator))
        return FlowBatch(x0, self.conditions([d.pick for d in draws], mirrored), torch.cat(times), torch.cat(noise))

    def weight(self, items: Sequence[Item]) -> int:
        """The error is a mean over all voxels of a step."""
        return sum(item.tokens for item in items)

    def latents(self, ids: list[str], variants: list[int] | None = None) -> Packed:
        """Normalised latents, of the given variants or the first ones, packed."""
        pairs = zip(ids, variants or [0] * len(ids), strict=True)
        assets = [self.data.asset(self.group, id_, variant) for id_, variant in pairs]
        if self.group == "structure":
            return dense_to_packed(torch.stack([torch.from_numpy(a["latent"]) for a in assets]))
        packed = pack([(torch.from_numpy(a["coords"]).int(), torch.from_numpy(a["feats"])) for a in assets])
        return packed.with_feats((packed.feats - self.normalization.mean) / self.normalization.std)

    def loss(self, module: nn.Module, batch: FlowBatch) -> dict[str, Tensor]:
        device = next(module.parameters()).device
        x0, condition = batch.x0.to(device), batch.condition.to(device)
        t, noise = batch.t.to(device), batch.noise.to(device)
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
                losses = []
                for start in range(0, len(chosen), EVALUATED_AT_A_TIME):
                    part = range(start, min(start + EVALUATED_AT_A_TIME, len(chosen)))
                    items = [
                        self._item(chosen[k], self.conditions.pick(chosen[k], None), item_generator(0, 0, k))
                        for k in part
                    ]
                    losses.append(float(self.loss(module, self.batch(items))["loss"]) * len(items))
                scores[f"loss_{name}"] = sum(losses) / len(chosen)
        if self.previews:
            ids = (self.test_ids or self.train_ids)[:: max(1, len(self.test_ids or self.train_ids) // 8)][:8]
            assert isinstance(module, FlowNetwork)
            rows = [(self.conditions.pick(i, None), self.latents([i])) for i in ids]
            self.previews.draw(module, rows, self.normalization, folder / f"{step:06d}.png")
        return scores

    def _conditions(self, encoder: str, device: str) -> FlowConditions:
        device = training_device(device)
        if self.recipe.condition == "text":
            return Captions(self.data, text_encoding(Path(encoder), encoder, device))
        if self.recipe.condition == "image":
            tokens = image_encoding(Path(encoder), encoder, device)
            return ViewPictures(self.data, tokens, self.recipe.view_pitch_deg, device=device)
        raise RecipeError(f"condition is {self.recipe.condition!r}", hint="one of: text, image")

    def _fitting(self, ids: list[str]) -> list[str]:
        if self.group == "structure":
            return ids
        return [i for i in ids if self.data.length("slat", i) <= self.recipe.max_voxels]

    def _dense_tokens(self, resolution: int) -> int:
        """Voxels of every structure latent; 0 for latents of active voxels, which differ."""
        if self.group != "structure":
            return 0
        edge = self.data.asset("structure", self.train_ids[0])["latent"].shape[-1]
        if edge != resolution:
            raise FileError(
                f"{self.data.folder} has structure latents of {edge}^3, the network takes {resolution}^3",
                hint="give another recipe, or encode with another model",
            )
        return edge**3

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

    def _normalisation(self) -> Normalization:
        """Of the train split's SLATs, or what the data folder says it is; structure latents are not normalised."""
        if self.group == "structure":
            return Normalization(torch.zeros(1), torch.ones(1))
        if (path := self.data.folder / FILE).is_file():
            return Normalization.read(path)
        return Normalization.of(self.data.asset("slat", id_)["feats"] for id_ in self.train_ids)


def train_flow(
    recipe: str,
    data: Path,
    run: Path,
    *,
    encoder: str | Path | None = None,
    preview: ModelFolder | None = None,
    init: str | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train the flow that the recipe describes on a data folder; the same call again goes on.

    Args:
        encoder: what encodes the conditions, in place of what the recipe says: see FlowRecipe.
        preview: a model whose decoder shows samples at every evaluation, in RUN/samples.
        init: see `run_training`.
    """
    from trellis_cli.stages.train_vae import stage_of

    if encoder is not None:  # it belongs to what was trained, and a model's folder names it
        overrides = (*overrides, f"condition_encoder={encoder}")
    stage_of(recipe, overrides, STAGES)
    folder = DataFolder(data)

    def make(r: FlowRecipe) -> FlowTask:
        given = None
        if r.stage == "slat-flow" and (run / state.NAME).is_file() and (run / FILE).is_file():  # a run that goes on
            given = Normalization.read(run / FILE)
        elif r.stage == "slat-flow" and init is not None:
            given = borrowed_normalization(init)
        return FlowTask(r, folder, preview=preview, normalization=given, device=device)

    def started(task: FlowTask) -> None:
        if task.group == "slat":
            task.normalization.save(run / FILE)

    return run_training(
        FlowRecipe, make, recipe, run, overrides=tuple(overrides), device=device, max_minutes=max_minutes, init=init,
        started=cast(Any, started),
    )  # fmt: skip
