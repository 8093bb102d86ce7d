"""Objects an hour of the stages that prepare data, on toys, and where the time of each goes.

python ops/bench/stages.py WORK --num 1000 --workers 2
python ops/bench/stages.py WORK --profile
"""

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from pathlib import Path

STAGES = {
    "voxelize": ["data/manifest.jsonl"],
    "render": ["data/manifest.jsonl", "--num-views", "24", "--size", "256"],
    "featurize": ["voxelize.h5", "render.h5"],
}
PLACES = {  # what a stage spends its time on: functions by their names in a profile
    "voxelize": ["read_mesh", "voxelize_file", "write_stage"],
    "render": ["read_mesh", "render_views", "encode_png", "write_stage"],
    "featurize": ["asset", "decode_views", "feature_maps", "view_average", "write_stage"],
}
NUM_PROFILED = 24


def command(stage: str, work: Path, *more: str) -> list[str]:
    inputs = [str(work / word) if word.endswith((".h5", ".jsonl")) else word for word in STAGES[stage]]
    return [stage, *inputs, "-o", str(work / f"{stage}.h5"), "--overwrite", "--quiet", *more]


def measure(work: Path, num: int, workers: int) -> None:
    run = [sys.executable, "-m", "trellis_cli"]
    one = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    subprocess.run(
        [*run, "data", "export", "toybox", "--num", str(num), "-o", str(work / "data"), "--quiet"], check=True
    )
    for stage in STAGES:
        start = time.perf_counter()
        subprocess.run([*run, *command(stage, work, "--workers", str(workers))], check=True, env=one)
        seconds = time.perf_counter() - start
        size = (work / f"{stage}.h5").stat().st_size
        told = {
            "stage": stage,
            "objects_an_hour": round(num / seconds * 3600),
            "mb_an_object": round(size / num / 1e6, 3),
        }
        print(json.dumps(told), flush=True)  # noqa: T201


def profile(work: Path) -> None:
    """Shares of a stage's time, of one process on one thread, start-up left out."""
    import torch

    from trellis_cli.main import run

    torch.set_num_threads(1)
    for stage in STAGES:
        few = work / "few.jsonl"
        rows = (work / "data/manifest.jsonl").read_text().splitlines()[:NUM_PROFILED]
        few.write_text("\n".join(json.loads(r) and r for r in rows) + "\n")
        words = command(stage, work)
        words = [str(few) if w.endswith("manifest.jsonl") else w for w in words]
        if stage != "featurize":
            (work / "objects").exists() or (work / "objects").symlink_to(work / "data" / "objects")
        timer = cProfile.Profile()
        timer.enable()
        try:
            run(words)
        except SystemExit:
            timer.disable()
        stats = pstats.Stats(timer).stats  # pyright: ignore[reportAttributeAccessIssue]
        whole = max(value[3] for (_, _, name), value in stats.items() if name == "run_batch")
        told = {name: round(max((v[3] for (_, _, n), v in stats.items() if n == name), default=0.0) / whole, 3)
                for name in PLACES[stage]}  # fmt: skip
        print(json.dumps({"stage": stage, "ms_an_object": round(1000 * whole / NUM_PROFILED), **told}))  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="where the time goes, after a measurement")
    args = parser.parse_args()
    if args.profile:
        profile(args.work.resolve())
    else:
        measure(args.work.resolve(), args.num, args.workers)


if __name__ == "__main__":
    main()
