"""Prompts to latents: two flows, structure first, then a latent on each active voxel. /structure and /slat files."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from trellis_cli.data.prompt_lists import MAX_SEED, Prompt
from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.stages.conditioner_sizes import conditioner_size
from trellis_cli.stages.conditioners import ImageConditioner, flows_for
from trellis_cli.stages.given_voxels import GivenVoxels, read_voxels
from trellis_cli.stages.image_prompts import check_background, resolved
from trellis_cli.stages.image_prompts import prepared as prepare
from trellis_cli.stages.pipeline import Multi, Pipeline, SamplerSettings, fine_resolution, network_keys
from trellis_cli.stages.plan import Plan, sampling_plan
from trellis_cli.stages.prompt_encoders import PromptEncoders
from trellis_cli.stages.prompts import asset_ids, entry_of, named_entry, named_files
from trellis_cli.stages.resident import Networks, decide_keep
from trellis_cli.stages.sample_files import Asked, asset_name, save_prepared, write_each

_log = logging.getLogger(__name__)
Settings = tuple[SamplerSettings, SamplerSettings]  # of the structure's sampler, and of the latents'


def model_settings(model: ModelFolder) -> Settings:
    """Both samplers' settings as the model's pipeline.json has them. Raises FileError."""
    return (
        SamplerSettings.of(model.pipeline, "sparse_structure_sampler"),
        SamplerSettings.of(model.pipeline, "slat_sampler"),
    )


def sample(
    prompts: Sequence[str | Prompt],
    out: Path,
    model: ModelFolder,
    *,
    num: int = 1,
    seed: int = 0,
    settings: Settings | None = None,
    multi: Multi | None = None,
    background: str = "auto",
    prepared: Path | None = None,
    structure: Path | None = None,
    keep_loaded: bool | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Make `num` assets for each prompt. Asset k (counted over all) draws from its own generator, seeded seed + k.

    Args:
        prompts: texts, and images where the model answers to them. One with a seed of its own draws from that on.
        out: a .h5 for all assets, or a folder for a file of each.
        settings: of both samplers; the model's own by default.
        multi: how several images of one prompt make one asset.
        background: how pictures without transparency or mask are cut out (image_prompts.Background).
        prepared: a folder to put the pictures in as the encoder sees them.
        structure: a stage file whose voxels take the first flow's place: one asset's for all prompts, or one for each.
            Only /slat is written then, and asset k draws its latents' noise alone.
        keep_loaded: keep all networks in memory, or one at a time; see `resident.decide_keep`.
        shard: (i, n) makes the assets of every n-th prompt, from prompt i on; they are those of one go, ids and all.

    Raises:
        UsageError: no prompt, or one that cannot be; an output that is in the way.
        MissingError: the model does not answer to such prompts, or a file of it is missing.
        TrellisError: the error of the only prompt there was.
        SomeFailed: some of several failed; the ledger has the reasons.
    """
    asked = [Prompt(p) if isinstance(p, str) else p for p in prompts]
    check_prompts(asked, num, seed)
    check_background(background)
    flows = {kind: flows_for(model, kind) for kind in sorted({prompt.kind for prompt in asked})}
    first, second = settings or model_settings(model)
    lines = range(shard[0], len(asked), shard[1])
    entries, bad = _entries(asked, lines)
    given = structure and read_voxels(structure, resolution=fine_resolution(model), prompts=len(asked))
    parameters = {
        "model": model.id,
        "prompts": entries,
        "num": num,
        **({"voxels": given.digests} if given else {"structure": asdict(first)}),
        "slat": asdict(second),
        "dtype": str(dtype).removeprefix("torch."),
    }
    if "image" in flows:
        parameters |= {"background": resolved(background), "multi": multi}
    items, names = [], {}
    for line, n, id_ in asset_ids(parameters, model.digest, seed):
        if line in lines:
            prompt = asked[line]
            its_seed = seed + line * num + n if prompt.seed is None else prompt.seed + n
            items.append(Item(id_, prompt.label[:60], Asked(prompt, line, its_seed)))
            names[id_] = asset_name(prompt, line, n if num > 1 else None)
    keys = network_keys(flows.values(), with_structure=given is None)
    encoders = [size for kind in flows if (size := conditioner_size(model, kind))]
    keep = decide_keep(keep_loaded, model, keys, len(items), device, dtype, encoders)
    networks = Networks(model, device=device, dtype=dtype, keep=keep)
    prompt_encoders = PromptEncoders(networks, parameters.get("background", ""))
    sampler = _Sampler(networks, parameters, flows, (first, second), given, prompt_encoders)
    readable = [(line, asked[line]) for line in lines if line not in bad]
    if prepared is not None:
        sampler.save_prepared(prepared, readable)
    if len(asked) == 1 and num > 1 and readable and asked[0].images:
        sampler.check_pictures(asked[0])
    inputs = {pair for line, prompt in readable for pair in named_files(prompt, entries[line])}
    inputs |= {given.input} if given else set()
    provenance = Provenance("sample", parameters, seed=seed, inputs=sorted(inputs), model=model.provenance)
    attrs: dict[str, Any] = {} if given else {"structure": {}}
    attrs |= {"slat": {"resolution": fine_resolution(model)}}
    bad_inputs = [(_place(asked[line], line), error) for line, error in bad.items()]
    options: dict[str, Any] = {"overwrite": overwrite, "retry_failed": retry_failed, "bad_inputs": bad_inputs}
    if out.suffix and not out.is_dir():
        return run_batch(items, sampler.work, out, provenance, attrs, in_order=True, shard=shard, **options)
    return write_each(items, sampler.work, out, names, provenance, attrs, shard=shard, **options)


def sample_plan(
    prompts: Sequence[Prompt],
    model: ModelFolder,
    *,
    num: int = 1,
    settings: Settings | None = None,
    multi: Multi | None = None,
    structure: Path | None = None,
    keep_loaded: bool | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
) -> Plan:
    """What `sample` would do with the same arguments. Raises as it, and MissingError for a network's missing .json."""
    flows = {kind: flows_for(model, kind) for kind in sorted({prompt.kind for prompt in prompts})}
    images = max(1, *(len(prompt.images) for prompt in prompts))
    given = structure and read_voxels(structure, resolution=fine_resolution(model), prompts=len(prompts))
    assets = len(range(shard[0], len(prompts), shard[1])) * num
    voxels = max(map(len, given.coords)) if given else None
    return sampling_plan(
        model, flows, settings or model_settings(model), images=images, multi=multi, device=device, dtype=dtype,
        assets=assets, keep_loaded=keep_loaded, voxels=voxels,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Sampler:
    """What makes one asset; nothing is loaded before something is to be made."""

    networks: Networks
    parameters: Mapping[str, Any]
    flows: Mapping[str, str]
    settings: Settings
    given: GivenVoxels | None
    encoders: PromptEncoders

    def work(self, item: Item) -> dict[str, Asset]:
        """The latents of an item. Raises FileError for a bad picture, TrellisError where the model makes no voxel."""
        prompt, multi = item.payload.prompt, self.parameters.get("multi")
        condition, negative = self.encoders.pair(prompt)
        pipeline = Pipeline(self.networks, flows=self.flows[prompt.kind])
        generator = torch.Generator().manual_seed(item.payload.seed)
        assets = {}
        if self.given is None:
            latent = pipeline.structure(condition, negative, self.settings[0], generator, multi=multi)
            assets["structure"] = with_ids(item.id, lengths=latent[0, 0].numel(), latent=latent[0].numpy())
            coords = pipeline.voxels(latent)
        else:
            coords = self.given.of(item.payload.line)
        if not len(coords):
            raise TrellisError(
                f"the model made no voxel for {prompt.label!r} with seed {item.payload.seed}",
                hint="try another --seed or --guidance",
            )
        feats = pipeline.slat(condition, negative, coords, self.settings[1], generator, multi=multi)
        slat = with_ids(item.id, lengths=len(coords), coords=coords.numpy().astype("int16"), feats=feats.numpy())
        return {**assets, "slat": slat}

    def save_prepared(self, folder: Path, prompts: Sequence[tuple[int, Prompt]]) -> None:
        """What the image encoder sees of each prompt, as PNG; a bad picture is left to be told of by `work`."""
        encoder = self.encoders.of("image") if "image" in self.flows else None
        if not isinstance(encoder, ImageConditioner):
            raise UsageError("--prepared is for image prompts, and there are none", hint="leave it out")
        for line, prompt in prompts:
            with suppress(FileError):
                if prompt.images:
                    save_prepared(folder, line, prompt, encoder.pictures(prompt))

    def check_pictures(self, prompt: Prompt) -> None:
        """Raises the error of the only prompt there is, rather than that all its assets failed."""
        masks = prompt.masks or (None,) * len(prompt.images)
        for path, mask in zip(prompt.images, masks, strict=True):
            prepare(path, size=8, mask=mask, background=self.parameters["background"])


def check_prompts(prompts: Sequence[Prompt], num: int = 1, seed: int = 0) -> None:
    """Raises UsageError for no prompt at all, one that cannot be, or a seed that has no room for all assets."""
    if not prompts:
        raise UsageError("there is nothing to make: no prompt is given", hint='for example --text "log cabin"')
    for prompt in prompts:
        prompt.check()
    if seed + len(prompts) * num > MAX_SEED:
        raise UsageError(f"--seed {seed} is too large", hint=f"at most {MAX_SEED}, less the assets")


def _entries(prompts: Sequence[Prompt], lines: range) -> tuple[list[dict[str, Any]], dict[int, TrellisError]]:
    """Every prompt as the parameters list it, and by line the errors of those whose files cannot be read.

    The files of `lines` alone are looked at; of other pictures, another shard's, no more than the names are told.
    """
    entries: list[dict[str, Any]] = []
    bad: dict[int, TrellisError] = {}
    for line, prompt in enumerate(prompts):
        try:
            entries.append(entry_of(prompt, line) if line in lines else named_entry(prompt, line))
        except FileError as error:
            entries.append(named_entry(prompt, line))
            bad[line] = error
    return entries, bad


def _place(prompt: Prompt, line: int) -> str:
    """Which prompt of all one is, in messages: base names may be those of several."""
    return f"prompt {line}: {'+'.join(map(str, prompt.files))}"
