"""Edits of structured latents without training: new latents on all voxels, or a region sampled anew beside the rest.

Source: TRELLIS (arXiv:2412.01506), section 3.4; the sampling is flow/repaint.py's.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from trellis_cli.data.prompt_lists import MAX_SEED, Prompt
from trellis_cli.errors import UsageError
from trellis_cli.io.model_folders import ModelFolder, read_network_json
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.shards import in_shard
from trellis_cli.stages.conditioner_sizes import conditioner_size
from trellis_cli.stages.conditioners import flows_for
from trellis_cli.stages.edit_asset import ENCODER, Change, Editor
from trellis_cli.stages.edit_ids import edited_ids
from trellis_cli.stages.edit_sources import EditSources, gather_sources
from trellis_cli.stages.image_prompts import check_background, resolved
from trellis_cli.stages.pipeline import SLAT_FLOW, Multi, Pipeline, fine_resolution, network_keys
from trellis_cli.stages.prompt_encoders import PromptEncoders
from trellis_cli.stages.prompts import entry_of, named_files
from trellis_cli.stages.resident import Networks, decide_keep
from trellis_cli.stages.sample import Settings, model_settings


def edit(
    inputs: Sequence[Path],
    out: Path,
    model: ModelFolder,
    change: Change,
    *,
    prompt: Prompt | None = None,
    num: int = 1,
    seed: int = 0,
    settings: Settings | None = None,
    multi: Multi | None = None,
    background: str = "auto",
    keep_loaded: bool | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Make the same change to every asset of the inputs, `num` times with the seeds seed, seed + 1, ...

    Args:
        inputs: stage files with /slat, folders and lists of them; to vary, also meshes and files with /voxels.
        out: a .h5 for all edited assets, in the order of the inputs.
        change: see `edit_asset.Change`.
        prompt: what is to be there; without, the region follows from what is around it alone.
        settings: of both samplers; the model's own by default.
        multi, background, keep_loaded: as of `sample`.
        shard: (i, n) makes the assets of this part alone, by the hash of their ids.

    Raises:
        UsageError: a change or an input that cannot be, or another file in the way.
        MissingError: the model does not answer to such a prompt, or a file of it is missing.
        TrellisError: the error of the only asset there was: a change that changes nothing, or keeps nothing of it.
        SomeFailed: some of several failed; the ledger has the reasons.
    """
    check_change(change, prompt, num, seed)
    check_background(background)
    kind = prompt.kind if prompt is not None else _kind(model)
    flows = flows_for(model, kind)
    resolution, channels = fine_resolution(model), _channels(model, flows)
    sources = gather_sources(inputs, resolution=resolution, channels=channels, latents=change.mode != "vary")
    first, second = settings or model_settings(model)
    if prompt is None:  # there is nothing to be led towards
        first, second = first.changed(guidance=0.0), second.changed(guidance=0.0)
    parameters = _parameters(change, sources, prompt, num) | {
        "model": model.id,
        "dtype": str(dtype).removeprefix("torch."),
        **({"structure": asdict(first)} if change.samples_structure else {}),
        "slat": asdict(second),
    }
    if kind == "image" and prompt is not None:
        parameters |= {"background": resolved(background), "multi": multi}
    items = []
    for k, n, id_ in edited_ids(parameters, model.digest, seed):
        if in_shard(id_, shard):
            items.append(Item(id_, sources.assets[k].name, (sources.assets[k], seed + n)))
    keys = network_keys([flows], with_structure=change.samples_structure)
    keys += [ENCODER] if change.changes_voxels and model.has(ENCODER) else []
    encoder = conditioner_size(model, kind)
    keep = decide_keep(keep_loaded, model, keys, len(items), device, dtype, [encoder] if encoder else [])
    networks = Networks(model, device=device, dtype=dtype, keep=keep)
    editor = Editor(Pipeline(networks, flows=flows), change, (first, second), resolution, multi)
    encoders = PromptEncoders(networks, str(parameters.get("background", "")))

    def work(item: Item) -> dict[str, Asset]:
        source, its_seed = item.payload
        pair = encoders.nothing(kind) if prompt is None else encoders.pair(prompt)
        made = editor.edited(source.load(resolution), pair, torch.Generator().manual_seed(its_seed))
        slat = with_ids(
            item.id, lengths=len(made.coords), coords=made.coords.numpy().astype("int16"), feats=made.feats.numpy()
        )
        if made.structure is None:
            return {"slat": slat}
        latent = made.structure
        return {"structure": with_ids(item.id, lengths=latent[0].numel(), latent=latent.numpy()), "slat": slat}

    files = {*sources.inputs, *(change.region.inputs if change.region else ())}
    if prompt is not None:
        files |= set(named_files(prompt, parameters["prompts"][0]))
    provenance = Provenance(
        "edit", parameters, seed=seed, inputs=sorted(files), model=model.provenance, history=sources.history
    )
    attrs: dict[str, Any] = {"structure": {}} if _writes_structure(change, model, sources) else {}
    attrs |= {"slat": {"resolution": resolution}}
    return run_batch(
        items, work, out, provenance, attrs, in_order=True, overwrite=overwrite, retry_failed=retry_failed,
        bad_inputs=sources.bad, shard=shard,
    )  # fmt: skip


def check_change(change: Change, prompt: Prompt | None, num: int = 1, seed: int = 0) -> None:
    """Raises UsageError for a change that cannot be."""
    vary = change.mode == "vary"
    if change.region is None and not vary:
        raise UsageError(
            f"nothing says which region to {change.mode}",
            hint="--box, --sphere, --mask or --voxels; --vary makes new details on all voxels",
        )
    if change.region is not None and vary:
        raise UsageError("--vary is of all voxels", hint="--keep-structure makes new details in a region alone")
    if change.keep_structure and change.mode != "replace":
        raise UsageError(f"--keep-structure does not go with --{change.mode}", hint="leave one of the two out")
    if prompt is None and vary:
        raise UsageError("nothing says what --vary is to make", hint='for example --text "a snow-covered stone house"')
    if prompt is not None:
        prompt.check()
    if seed + num > MAX_SEED:
        raise UsageError(f"--seed {seed} is too large", hint=f"at most {MAX_SEED}, less the assets")


def _kind(model: ModelFolder) -> str:
    """Which flows fill a region without a prompt: those for texts, where the model has any."""
    return "text" if "text_cond_model" in model.pipeline else "image"


def _channels(model: ModelFolder, flows: str) -> int:
    return int(read_network_json(model.stem(SLAT_FLOW + flows))[1]["in_channels"])


def _parameters(change: Change, sources: EditSources, prompt: Prompt | None, num: int) -> dict[str, Any]:
    """All of the edit itself that can change its result."""
    first, second = change.resampling
    return {
        "mode": change.mode,
        "num": num,
        "prompts": [] if prompt is None else [entry_of(prompt, 0)],
        "sources": [{"content": s.content, "id": s.id, "file": s.digest} for s in sources.assets],
        **({"keep_structure": True} if change.keep_structure else {}),
        **({"region": change.region.parameters} if change.region else {}),
        **({"resample_structure": asdict(first), "feather": change.feathering} if change.samples_structure else {}),
        **({"resample_slat": asdict(second)} if change.region else {}),
    }


def _writes_structure(change: Change, model: ModelFolder, sources: EditSources) -> bool:
    """Whether the output has /structure: the old one with the old voxels, else what the model makes of the new."""
    if not change.changes_voxels:
        return bool(sources.assets) and all(source.has_structure for source in sources.assets)
    return change.samples_structure or model.has(ENCODER)
