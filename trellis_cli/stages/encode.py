"""Features (or bare voxels) to latents: /slat and /structure files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trellis_cli.errors import FileError
from trellis_cli.geometry.packed import pack
from trellis_cli.io.digests import file_digest
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, open_stage, with_ids
from trellis_cli.session import Item, Summary, in_shard, run_batch


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    group: str
    index: int


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

    Args:
        mirror: flip the voxels at x = 0 first (for training; /voxels alone, as features would not fit).

    Raises:
        FileError: inputs of both kinds, or of another resolution or encoder than the model's.
    """
    kind = _kind(inputs)
    places: dict[str, _Source] = {}
    for path in inputs:
        with open_stage(path) as file:
            places |= {id_: _Source(path, kind, k) for k, id_ in enumerate(file.group(kind).ids)}
            resolution = int(file.group(kind).attrs["resolution"])
    if mirror and kind == "features":
        raise FileError("--mirror flips voxels, and features cannot be flipped", hint="give a file with /voxels")
    structure = model.load("sparse_structure_encoder", device=device, dtype=dtype)
    slat = model.load("slat_encoder", device=device, dtype=dtype) if kind == "features" else None
    if slat is not None and slat.resolution != resolution:
        raise FileError(
            f"the features are at {resolution}^3, model {model.id} works at {slat.resolution}^3",
            hint=f"voxelize with --resolution {slat.resolution}",
        )

    def work(item: Item) -> dict[str, Asset]:
        source: _Source = item.payload
        with open_stage(source.path) as file:
            asset = file.group(kind).asset(source.index)
        coords = torch.from_numpy(asset["coords"]).long()
        if mirror:
            coords = torch.stack([resolution - 1 - coords[:, 0], coords[:, 1], coords[:, 2]], dim=1)
        latent = structure_latent(structure, coords, resolution, device)
        assets = {"structure": with_ids(item.id, lengths=latent[0].numel(), latent=latent.numpy())}
        if slat is not None:
            feats = slat_latent(slat, coords, torch.from_numpy(asset["feats"]).float(), device)
            assets["slat"] = with_ids(item.id, lengths=len(coords), coords=asset["coords"], feats=feats.numpy())
        return assets

    items = [Item(i, i[:12], places[i]) for i in sorted(places) if in_shard(i, shard)]
    parameters = {"model": model.id, "mirror": mirror, "dtype": str(dtype).removeprefix("torch.")}
    provenance = Provenance(
        "encode", parameters, inputs=[(file_digest(p), p.name) for p in inputs], model=model.provenance
    )
    attrs = {"structure": {}} | ({"slat": {"resolution": resolution}} if kind == "features" else {})
    return run_batch(items, work, out, provenance, attrs, overwrite=overwrite, retry_failed=retry_failed)


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


def _kind(inputs: Sequence[Path]) -> str:
    """`features` or `voxels`: the one group that all inputs hold."""
    kinds = set()
    for path in inputs:
        with open_stage(path) as file:
            kinds.add("features" if "features" in file.groups else "voxels")
            file.group("features" if "features" in file.groups else "voxels")
    if len(kinds) != 1:
        raise FileError("some inputs hold /features and some only /voxels", hint="encode files of one kind at a time")
    return kinds.pop()
