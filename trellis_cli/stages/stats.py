"""What latents are like: mean and deviation a channel, and how many voxels assets have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trellis_cli.data.index import MANIFEST, read_manifest, told_split
from trellis_cli.data.statistics import Normalization
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.inputs import gather
from trellis_cli.io.stage_files import open_stage
from trellis_cli.session import in_the_way


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the assets of one split; voxels: quantiles 0, 5, 25, 50, 75, 95 and 100 %."""

    assets: int
    split: str
    mean: list[float]
    std: list[float]
    voxels: list[int]

    @property
    def text(self) -> str:
        voxels = ", ".join(map(str, self.voxels))
        rows = [f"{self.assets} assets ({self.split}); voxels at 0, 5, 25, 50, 75, 95, 100 %: {voxels}"]
        rows += [
            f"channel {c}: mean {m:.4f}, std {s:.4f}" for c, (m, s) in enumerate(zip(self.mean, self.std, strict=True))
        ]
        return "\n".join(rows)


def stats(
    inputs: Sequence[Path], out: Path | None = None, *, split: str = "train", overwrite: bool = False
) -> Statistics:
    """Statistics of the /slat of stage files, or of data folders; each file is read once, an asset at a time.

    Args:
        out: where the normalisation goes: `normalization.json` of a data folder, which training then takes.
        split: "train", "test" or "all"; by the manifest of a data folder among the inputs, else by the ids' hash.

    Raises:
        FileError: no asset of the split has a latent, or some have more channels than others.
        UsageError: `out` is there and no normalisation.
    """
    manifest = {}
    for folder in (path for path in inputs if path.is_dir()):
        manifest |= read_manifest(folder / MANIFEST)
    voxels: list[int] = []
    widths = set[int]()

    def latents() -> Iterator[np.ndarray]:
        for path in gather(inputs, (".h5",), what="a stage file"):
            with open_stage(path) as file:
                if "slat" not in file.groups:
                    continue
                group = file.group("slat")
                for index, id_ in enumerate(group.ids):
                    if split in ("all", told_split(manifest, id_)):
                        feats = group.asset(index)["feats"]
                        widths.add(feats.shape[1])
                        if len(widths) > 1:
                            said = f"latents of {' and of '.join(map(str, sorted(widths)))} channels: {path}"
                            raise FileError(said, hint="take the latents of one model at a time")
                        voxels.append(len(feats))
                        yield feats

    try:
        found = Normalization.of(latents())
    except ValueError as error:
        wanted = f"no asset of the {split} split has /slat in {', '.join(map(str, inputs))}"
        raise FileError(wanted, hint="write it with `trellis encode`") from error
    if out is not None:
        _save(found, out, overwrite=overwrite)
    quantiles = np.quantile(voxels, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).round().astype(int).tolist()
    return Statistics(len(voxels), split, found.mean.tolist(), found.std.tolist(), quantiles)


def _save(found: Normalization, out: Path, *, overwrite: bool) -> None:
    """An earlier normalisation gives way, another file does not."""
    if out.suffix.lower() != ".json":
        raise UsageError(f"-o {out}: a normalisation is a .json", hint="for example -o data/normalization.json")
    if out.exists() and not overwrite:
        try:
            Normalization.read(out)
        except FileError as error:
            raise in_the_way(out) from error
    found.save(out)
