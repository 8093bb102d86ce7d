"""Features (or bare voxels) to latents: /slat and /structure files."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from trellis_cli import console
from trellis_cli.errors import FileError
from trellis_cli.geometry.grid import coarser
from trellis_cli.geometry.packed import pack
from trellis_cli.io.digests import file_digest
from trellis_cli.io.model_folders import ModelFolder, read_network_json
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import Asset, Provenance, StageGroup, with_ids
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.shards import in_shard


def encode(
    inputs: Sequence[Path],
    out: Path,
    model: ModelFolder,
    *,
    mirror: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Write the latents of every asset: from /features both /slat and /structure, from /voxels /structure alone.

    Inputs on a grid finer than the model's by a whole number are pooled to it (`geometry.grid.coarser`).

    Args:
        mirror: flip the voxels at x = 0 first (for training; /voxels alone, as features would not fit).

    Raises:
        FileError: inputs of both kinds, of several resolutions, or of one that is no multiple of the model's.
    """
    with OpenStages() as opened:
        kind = _kind([opened.file(path).groups for path in inputs])
        groups = [opened.group(path, kind) for path in inputs]
        resolution = _resolution(groups)
        if mirror and kind == "features":
            raise FileError("--mirror flips voxels, and features cannot be flipped", hint="give a file with /voxels")
        if kind == "features":
            _check_width(groups, model)
        load = cache(lambda key: model.load(key, device=device, dtype=dtype))  # by the process that needs it
        factor = _factor(resolution, model)
        coarse = resolution // factor

        def work(item: Item) -> dict[str, Asset]:
            group, index = item.payload
            asset = group.asset(index)
            coords = torch.from_numpy(asset["coords"]).long()
            feats = torch.from_numpy(asset["feats"]).float() if kind == "features" else coords.new_zeros(len(coords), 0)
            if factor > 1:
                coords, feats = coarser(coords, feats.float(), factor)
            if mirror:
                coords = torch.stack([coarse - 1 - coords[:, 0], coords[:, 1], coords[:, 2]], dim=1)
            latent = structure_latent(load("sparse_structure_encoder"), coords, coarse, device)
            assets = {"structure": with_ids(item.id, lengths=latent[0].numel(), latent=latent.numpy())}
            if kind == "features":
                latents = slat_latent(load("slat_encoder"), coords, feats, device).numpy()
                assets["slat"] = with_ids(
                    item.id, lengths=len(coords), coords=coords.numpy().astype("int16"), feats=latents
                )
            return assets

        places = {id_: (group, k) for group in groups for k, id_ in enumerate(group.ids)}
        items = [Item(i, i[:12], places[i]) for i in sorted(places) if in_shard(i, shard)]
        parameters = {"model": model.id, "mirror": mirror, "dtype": str(dtype).removeprefix("torch.")}
        provenance = Provenance(
            "encode", parameters, inputs=[(file_digest(p), p.name) for p in inputs], model=model.provenance
        )
        attrs = {"structure": {}} | ({"slat": {"resolution": coarse}} if kind == "features" else {})
        return run_batch(
            items, work, out, provenance, attrs, overwrite=overwrite, retry_failed=retry_failed, shard=shard
        )


@torch.no_grad()
def structure_latent(network: nn.Module, coords: Tensor, resolution: int, device: str = "cpu") -> Tensor:
    """The structure latent [c, r, r, r] of active voxels: the posterior's mean."""
    grid = torch.zeros(1, 1, *[resolution] * 3, device=device)
    x, y, z = coords.long().T
    grid[0, 0, x, y, z] = 1
    return network(grid)[0][0].float().cpu()


@torch.no_grad()
def slat_latent(network: nn.Module, coords: Tensor, feats: Tensor, device: str = "cpu") -> Tensor:
    """The latent [n, c] of each active voxel: the posterior's mean."""
    return network(pack([(coords.int(), feats)]).to(device))[0].float().cpu()


def encoder_resolution(model: ModelFolder) -> int:
    """Voxels along an edge of the grid that a model's latents are encoded on. Raises MissingError."""
    return int(read_network_json(model.stem("slat_encoder"))[1]["resolution"])


def _kind(held: Sequence[Sequence[str]]) -> str:
    """`features` or `voxels`: the one group that all inputs hold."""
    kinds = {"features" if "features" in groups else "voxels" for groups in held}
    if len(kinds) != 1:
        raise FileError("some inputs hold /features and some only /voxels", hint="encode files of one kind at a time")
    return kinds.pop()


def _check_width(groups: Sequence[StageGroup], model: ModelFolder) -> None:
    """Raises FileError where the features are not as wide as the encoder's input."""
    wanted = int(read_network_json(model.stem("slat_encoder"))[1]["in_channels"])
    for group in groups:
        channels = dict(group.datasets())["feats"].shape[1]
        if len(group) and channels != wanted:  # an empty shard's features have no width
            raise FileError(
                f"{group.path}: features of {channels} channels (encoder {group.attrs['encoder']}),"
                f" the model wants {wanted}",
                hint="featurize with the encoder that the model was trained on",
            )


def _factor(resolution: int, model: ModelFolder) -> int:
    """How many times finer the inputs' grid is than the model's; 1 for a model without a latent's encoder."""
    if "slat_encoder" not in model.pipeline.get("models", {}):
        return 1
    own = encoder_resolution(model)
    if resolution % own:
        raise FileError(
            f"the inputs are at {resolution}^3, model {model.id} works at {own}^3",
            hint=f"voxelize with --resolution {own}, or a multiple of it",
        )
    if resolution != own:
        console.note(f"encode: {resolution}^3 voxels are pooled to the {own}^3 of model {model.id}")
    return resolution // own


def _resolution(groups: Sequence[StageGroup]) -> int:
    found = sorted({int(group.attrs["resolution"]) for group in groups})
    if len(found) != 1:
        raise FileError(f"the inputs have different resolutions: {found}", hint="encode one resolution at a time")
    return found[0]
