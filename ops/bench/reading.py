"""How fast training reads random assets of a large data folder: parts of 1,000 latents of the paper's size.

    python ops/bench/reading.py WORK --parts 10

One part is written, and copied under other ids: reading does not know. Assets are read in random order by a data folder
that keeps none in memory, as of a set that does not fit there. The files are read before the clock runs, so that the
system has them in its memory where they fit: this is the program's own share, not the disk's.
"""

import argparse
import hashlib
import json
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import torch

from trellis_cli.data import index
from trellis_cli.data.index import DataFolder
from trellis_cli.io.stage_files import Provenance, with_ids, write_stage

ASSETS, VOXELS, CHANNELS, RESOLUTION = 1000, 20_000, 8, 64


class Random:
    """Assets of random voxels and latents, made as they are asked for."""

    def __len__(self) -> int:
        return ASSETS

    def __getitem__(self, k: int) -> dict[str, np.ndarray]:
        if k >= ASSETS:
            raise IndexError
        rng = np.random.default_rng(k)
        flat = np.sort(rng.choice(RESOLUTION**3, VOXELS, replace=False))
        coords = np.stack(np.unravel_index(flat, [RESOLUTION] * 3), 1).astype(np.int16)
        id_ = hashlib.sha256(str(k).encode()).hexdigest()
        return with_ids(id_, lengths=VOXELS, coords=coords, feats=rng.standard_normal((VOXELS, CHANNELS), np.float32))


def write(folder: Path, parts: int) -> None:
    first = folder / "part-00000.h5"
    if not first.exists():
        groups = {"slat": (Random(), {"resolution": RESOLUTION})}
        write_stage(first, groups, Provenance("encode", {}))  # pyright: ignore[reportArgumentType]
    for part in range(1, parts):
        path = folder / f"part-{part:05d}.h5"
        if not path.exists():
            shutil.copyfile(first, path)
            with h5py.File(path, "r+") as file:
                ids = [hashlib.sha256(f"{part} {k}".encode()).hexdigest().encode() for k in range(ASSETS)]
                file["slat/ids"][:] = ids  # pyright: ignore[reportIndexIssue]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--reads", type=int, default=1000)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    write(args.work, args.parts)
    index.CACHE_BYTES = 0
    start = time.perf_counter()
    data = DataFolder(args.work)
    opened = time.perf_counter() - start
    ids = data.ids("slat")
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))[: args.reads].tolist()
    for path in args.work.glob("*.h5"):
        path.read_bytes()
    start = time.perf_counter()
    for k in order:
        data.asset("slat", ids[k])
    seconds = time.perf_counter() - start
    size = VOXELS * (CHANNELS * 4 + 6)
    told = {"assets": len(ids), "indexed_in_s": round(opened, 2), "assets_a_second": round(len(order) / seconds, 1),
            "mb_a_second": round(len(order) * size / seconds / 1e6, 1)}  # fmt: skip
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
