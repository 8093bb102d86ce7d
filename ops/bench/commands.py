"""Time and peak memory of whole commands with the shipped model, start-up included; one JSON line each.

    python ops/bench/commands.py [--repeat 3] [--text "log cabin"]

Each command runs in a process of its own; the fastest of `repeat` runs counts, and the largest memory of all. `edit`
works on the shipped samples.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(arguments: list[str], repeat: int, folder: Path) -> dict[str, object]:
    """Seconds and the peak resident set of `python -m trellis_cli ARGUMENTS`. Raises RuntimeError where it fails."""
    seconds, peak = [], 0
    for _ in range(repeat):
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "trellis_cli", *arguments], cwd=folder, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        seconds.append(time.perf_counter() - start)
        if status:
            raise RuntimeError(f"trellis {' '.join(arguments)} ended with status {status}")
        peak = max(peak, usage.ru_maxrss)  # kilobytes on Linux
    return {"command": "trellis " + " ".join(arguments), "seconds": round(min(seconds), 2), "peak_mb": peak // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--text", default="log cabin")
    args = parser.parse_args()
    house, robot, chair = ("samples/" + name for name in ("house.slat.h5", "robot.slat.h5", "chair.slat.h5"))
    region, out = ["--box", "0.1,-0.5,0,0.5,0.5,0.5"], ["-o", "edited.slat.h5", "--overwrite"]
    commands = (
        ["--help"],
        ["sample", "--text", args.text, "-o", "x.slat.h5", "--overwrite"],
        ["decode", "x.slat.h5", "--format", "mesh", "--overwrite"],
        ["decode", "x.slat.h5", "--format", "gaussians", "--overwrite"],
        ["data", "samples", "-o", "samples"],
        ["edit", house, "--vary", "--text", "a snow-covered stone house", *out],
        ["edit", house, *region, "--text", "a round tower", *out],
        ["edit", robot, "--box", "-0.5,-0.5,0.3,0.5,0.5,0.5", "--remove", *out],
        ["edit", chair, "--mask", "samples/seat.glb", "--image", "samples/leather.png", *out],
    )
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            sys.stdout.write(json.dumps(measure(command, args.repeat, Path(folder))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
