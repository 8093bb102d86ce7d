"""Train every variant of an ablation from every seed, and pack each into a model: what `trellis eval` then scores.

    python recipes/ablations/train.py WORK ablation-timesteps
    trellis eval --suite ablation-timesteps --data WORK -o ablation-timesteps.json

WORK holds data/ (objects of the toybox), the folders that trainings read (structure/, latents/, looks-32/, looks-16/),
runs/VARIANT-SEED/RECIPE and models/VARIANT-SEED. Only what a suite needs is made; suites share what is there. The same
command again goes on where it stopped. Needs `trellis` on the PATH; --jobs trainings run side by side, each on one
thread. Exit code 75 where --max-minutes, of each training, was too short: call it again.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trellis_cli import console
from trellis_cli.errors import TrellisError
from trellis_cli.stages.ablation_suite import AblationRun, AblationSuite, Training
from trellis_cli.stages.suites import read_suite

AGAIN = 75
VIEWS = ("--num-views", "24", "--size", "128")


class Failed(Exception):
    """A command ended with an exit code that stops everything."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def trellis(*args: str | Path, threads: int | None = None, some_may_fail: bool = False) -> str:
    """What a command prints. some_may_fail: exit code 5, a few broken objects, is none that stops."""
    env = dict(os.environ)
    if threads:
        env |= {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(["trellis", *map(str, args)], env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode and not (some_may_fail and done.returncode == 5):
        console.note(f"error: trellis {' '.join(map(str, args))}")
        raise Failed(done.returncode)
    return done.stdout


class Data:
    """The objects, and the folders that trainings read."""

    def __init__(self, work: Path, model: str, toys: int, looks: int) -> None:
        self.work, self.model, self.toys, self.looks = work, model, toys, looks
        self.objects = work / "data" / "objects"

    def make(self, name: str) -> None:
        if not (self.work / "data" / f".complete-{self.toys}").exists():
            trellis("data", "export", "toybox", "--num", str(self.toys), "-o", self.work / "data")
            (self.work / "data" / f".complete-{self.toys}").touch()
        folder = self.work / name
        folder.mkdir(exist_ok=True)
        if not (folder / "manifest.jsonl").exists():
            (folder / "manifest.jsonl").symlink_to("../data/manifest.jsonl")
        if name == "structure":
            voxels = self._voxels(32)
            trellis("encode", voxels, "-o", folder / "latents.h5", "--model", self.model)
            trellis("encode", voxels, "-o", folder / "mirrored.h5", "--model", self.model, "--mirror")
        elif name == "latents":
            self.make("looks-32")
            features = self.work / "looks-32" / "features.h5"
            trellis("encode", features, "-o", folder / "latents.h5", "--model", self.model)
        else:
            self._looks(folder, int(name.removeprefix("looks-")))

    def _voxels(self, resolution: int) -> Path:
        out = self.work / "data" / f"voxels-{resolution}.h5"
        trellis("voxelize", self.objects, "-o", out, "--resolution", str(resolution), some_may_fail=True)
        return out

    def _looks(self, folder: Path, resolution: int) -> None:
        """Views, which folders of every resolution share, and features."""
        views, listed = self.work / "data" / "views.h5", self.work / "data" / "looks.txt"
        rows = [json.loads(line) for line in (self.work / "data" / "manifest.jsonl").read_text().splitlines()]
        chosen = [row["id"] for row in rows if int(row["key"].split("/")[1]) < self.looks]
        listed.write_text("".join(f"objects/{id_}.glb\n" for id_ in chosen))
        trellis("render", listed, "-o", views, *VIEWS, some_may_fail=True)
        if not (folder / "views.h5").exists():
            (folder / "views.h5").symlink_to("../data/views.h5")
        trellis("featurize", self._voxels(resolution), views, "-o", folder / "features.h5", some_may_fail=True)


def train(work: Path, suite: AblationSuite, run: AblationRun, limit: list[str], threads: int | None) -> bool:
    """Train one variant from one seed, and pack it; False where the time was too short."""
    variant = next(v for v in suite.variants if v.name == run.variant)
    folders = [work / "runs" / run.name / Path(training.recipe).name for training in variant.trains]
    for training, folder in zip(variant.trains, folders, strict=True):
        if not json.loads(trellis(*command(work, training, folder, run.seed), *limit, "--json", threads=threads))[
            "finished"
        ]:
            return False
    model = work / "models" / run.name / "pipeline.json"
    checkpoints = [folder / "checkpoint.safetensors" for folder in folders]
    if not model.exists() or any(c.stat().st_mtime > model.stat().st_mtime for c in checkpoints):
        trellis("models", "pack", *folders, "--base", suite.model, "-o", model.parent, "--overwrite")
    console.note(f"{run.name}: {model.parent}")
    return True


def command(work: Path, training: Training, folder: Path, seed: int) -> list[str | Path]:
    sets = [word for text in (*training.set, f"seed={seed}") for word in ("--set", text)]
    return [training.command, training.recipe, "--data", work / training.data, "--out", folder, *sets]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("suite", help="a shipped suite of kind ablation, or a .toml")
    parser.add_argument("--only", action="append", help="train this run alone, variant and seed; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side, each on one thread where above 1")
    parser.add_argument("--max-minutes", help="of each training")
    parser.add_argument("--toys", type=int, default=3000, help="objects")
    parser.add_argument(
        "--looks", type=int, default=800, help="of these so many are rendered, where a training reads views"
    )
    args = parser.parse_args()
    suite = read_suite(args.suite)
    if not isinstance(suite, AblationSuite):
        parser.error(f"{args.suite} is no ablation")
    if unknown := set(args.only or ()) - {run.name for run in suite.runs}:
        parser.error(f"{args.suite} has no run {min(unknown)}; it has {', '.join(run.name for run in suite.runs)}")
    (args.work / "data").mkdir(parents=True, exist_ok=True)
    data = Data(args.work, suite.model, args.toys, args.looks)
    for name in dict.fromkeys(t.data for variant in suite.variants for t in variant.trains):
        data.make(name)
    runs = [run for run in suite.runs if not args.only or run.name in args.only]
    limit = ["--max-minutes", args.max_minutes] if args.max_minutes else []
    with ThreadPoolExecutor(args.jobs) as pool:
        each = [pool.submit(train, args.work, suite, run, limit, 1 if args.jobs > 1 else None) for run in runs]
        done = [future.result() for future in each]
    return 0 if all(done) else AGAIN


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(error.code)
    except TrellisError as error:
        console.note(f"error: {error.problem}\n hint: {error.hint}")
        sys.exit(error.code)
