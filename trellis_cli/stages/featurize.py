"""Voxels and views to features: /features files."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.data.views import decode_views
from trellis_cli.errors import FileError
from trellis_cli.io.digests import file_digest
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import Asset, Provenance, StageGroup, with_ids
from trellis_cli.networks.image_encoders import ImageEncoder, load_image_encoder
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.shards import in_shard
from trellis_ops.view_average import view_average

VIEWS_AT_ONCE = 16


def featurize(
    inputs: Sequence[Path],
    out: Path,
    *,
    encoder: str = "alexnet",
    device: str = "cpu",
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Average the encoder's feature maps of all views at each active voxel; assets are joined by id.

    Args:
        inputs: stage files that hold /voxels and /views between them.
        encoder: "alexnet" (shipped), "dinov2" (from huggingface_hub's cache) or a folder with DINOv2 weights.

    Raises:
        FileError: no id has both voxels and views, though there are some.

    Source: TRELLIS (arXiv:2412.01506), section 3.1. Occlusion is ignored there too: every view votes.
    """
    with OpenStages() as opened:
        voxels, views = (
            [opened.group(path, name) for path in inputs if name in opened.file(path).groups]
            for name in ("voxels", "views")
        )
        for name, found in (("voxels", voxels), ("views", views)):
            if not found:
                raise FileError(
                    f"none of the inputs holds /{name}",
                    hint="give both: trellis featurize X.voxels.h5 X.views.h5 -o X.features.h5",
                )
        of_voxels, of_views = _places(voxels), _places(views)
        both = sorted(set(of_voxels) & set(of_views))
        if not both and (of_voxels or of_views):  # files of an empty shard give one
            raise FileError("no asset has both voxels and views", hint="voxelize and render the same mesh files")
        resolution = {g.attrs["resolution"] for g in voxels}
        if len(resolution) > 1:
            raise FileError(
                f"the voxels have different resolutions: {sorted(resolution)}",
                hint="featurize one resolution at a time",
            )
        network = load_image_encoder(encoder, device=device)

        def work(item: Item) -> dict[str, Asset]:
            (voxel_group, i), (view_group, j) = of_voxels[item.id], of_views[item.id]
            coords = voxel_group.asset(i)["coords"]
            feats = features(
                network, torch.from_numpy(coords).int(), view_group.asset(j), next(iter(resolution)), device
            )
            return {"features": with_ids(item.id, lengths=len(coords), coords=coords, feats=feats.half().cpu().numpy())}

        items = [Item(i, i[:12], None) for i in both if in_shard(i, shard)]
        provenance = Provenance(
            "featurize", {"encoder": network.name}, inputs=[(file_digest(p), p.name) for p in inputs]
        )
        attrs = {"features": {"encoder": network.name, "resolution": next(iter(resolution))}}
        return run_batch(
            items, work, out, provenance, attrs, overwrite=overwrite, retry_failed=retry_failed, shard=shard
        )


@torch.no_grad()
def features(
    network: ImageEncoder, coords: Tensor, views: Asset, resolution: int, device: str = "cpu"
) -> Float[Tensor, "n c"]:
    """The mean over all views, a few views at a time so that memory stays bounded."""
    num = int(views["lengths"])
    total: Tensor | float = 0.0
    for start in range(0, num, VIEWS_AT_ONCE):
        part = decode_views(views, list(range(start, min(start + VIEWS_AT_ONCE, num))))
        maps = network.feature_maps(part.on(torch.zeros(3)).to(device))
        mean = view_average(
            coords.to(device),
            maps,
            part.cameras.extrinsics.to(device),
            part.cameras.intrinsics.to(device),
            resolution=resolution,
        )
        total = total + mean * (len(maps) / num)
    assert isinstance(total, Tensor)
    return total


def _places(groups: Sequence[StageGroup]) -> dict[str, tuple[StageGroup, int]]:
    return {id_: (group, index) for group in groups for index, id_ in enumerate(group.ids)}
