"""Ablations: suites read strictly, figures put together by hand-made reports, and one trained and scored for real."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny_world import trellis
from trellis_cli import recipes
from trellis_cli.errors import RecipeError
from trellis_cli.metrics.uncertainty import seed_interval
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.networks.published import num_parameters
from trellis_cli.stages.ablation_suite import AblationSuite, Training, ablation_suite
from trellis_cli.stages.eval_ablation import figures, summarised, table
from trellis_cli.stages.generation_scores import retrieval
from trellis_cli.stages.run_suite import scored_by
from trellis_cli.stages.suites import read_suite
from trellis_cli.stages.train_flow import FlowRecipe
from trellis_cli.stages.train_slat_vae import SlatVaeRecipe

ROOT = Path(__file__).parents[2]
SHIPPED = [name for name in recipes.suites() if name.startswith("ablation-")]
TINY = """
name = "tiny"
kind = "ablation"
about = "as small as can be"
model = "mini"
scored_by = "toybox"
scored_set = ["choice.generation=2", "choice.reconstruction=2", "generation.size=32", "generation.steps=1"]
part = "generation"
seeds = [3]
"""
VARIANT = """
[[variants]]
name = "{}"
[[variants.trains]]
command = "train-flow"
recipe = "ablations/structure-flow"
data = "structure"
set = ["optimizer.steps=2", "optimizer.batch=2", "network.args.objective={}"]
"""
WHOLE = TINY + VARIANT.format("flow", "flow") + VARIANT.format("noise", "diffusion")


def read(path: Path, text: str) -> AblationSuite:
    path.write_text(text)
    suite = read_suite(str(path))
    assert isinstance(suite, AblationSuite)
    return suite


def recipe_of(training: Training) -> FlowRecipe | SlatVaeRecipe:
    cls = SlatVaeRecipe if training.command == "train-vae" else FlowRecipe
    return recipes.load(cls, training.recipe, training.set)


def test_the_paper_s_four_tables_are_there() -> None:
    tables = {int(read_suite(name).table["about"].split()[1].strip(",:")) for name in SHIPPED}
    assert tables == {3, 4, 5, 7}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_variant_of_a_shipped_suite_can_be_built(name: str) -> None:
    suite = read_suite(name)
    assert isinstance(suite, AblationSuite) and len(suite.seeds) == 3
    assert scored_by(suite).choice.name and len({run.name for run in suite.runs}) == 3 * len(suite.variants)
    sizes = []
    for variant in suite.variants:
        found = [recipe_of(training) for training in variant.trains]
        with torch.device("meta"):
            built = [r.network.build() if isinstance(r, FlowRecipe) else r.decoder.build() for r in found]
        sizes.append(sum(map(num_parameters, built)))
    if name == "ablation-size":
        assert sizes[1] < sizes[0] / 2 and sizes[2] > 2 * sizes[0]
    elif name != "ablation-latent-size":
        assert len(set(sizes)) == 1  # what differs is what is said to differ
    for first, second in zip(suite.variants[0].trains, suite.variants[1].trains, strict=True):
        assert replace(first, set=()) == replace(second, set=()) or name == "ablation-latent-size"


def test_the_diffusions_of_table_4_are_diffusions() -> None:
    for name in ("ablation-diffusion", "ablation-diffusion-latents"):
        suite = read_suite(name)
        assert isinstance(suite, AblationSuite)
        kinds = []
        for variant in suite.variants:
            with torch.device("meta"):
                network = recipe_of(variant.trains[0]).network.build()  # type: ignore[union-attr]
            assert isinstance(network, FlowNetwork)
            kinds.append(network.objective)
        assert kinds == ["flow", "diffusion"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "noise"', 'name = "flow"', "two variants are called"),
        ("seeds = [3]", "seeds = []", "two variants and a seed"),
        ("seeds = [3]", "seeds = [3, 3]", "no seed twice"),
        ('part = "generation"', 'part = "all"', "part is 'all'"),
        ('command = "train-flow"', 'command = "sample"', "'sample' trains nothing"),
        ("ablations/structure-flow", "ablations/none", "no recipe 'ablations/none'"),
        ('about = "as', 'more = "as', "no such key 'more'"),
        ('scored_by = "toybox"', 'scored_by = "edit-mini"', "no such key"),
        ("choice.generation=2", "choice.many=2", "no such key 'many'"),
    ],
)
def test_suites_that_are_none(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(RecipeError) as caught:
        scored_by(read(tmp_path / "x.toml", WHOLE.replace(old, new)))
    assert said in caught.value.problem


def test_two_variants_at_least(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="two variants"):
        read(tmp_path / "x.toml", TINY + VARIANT.format("flow", "flow"))
    alone = {**read(tmp_path / "y.toml", WHOLE).table, "variants": [{"name": "a", "trains": []}] * 2}
    with pytest.raises(RecipeError):
        ablation_suite(alone, "z")


def row(variant: str, seed: int, **values: float) -> dict[str, object]:
    return {"variant": variant, "seed": seed, "figures": values}


def test_variants_are_compared_seed_by_seed() -> None:
    """Seeds differ by 100; the second variant is 1, 2 and 3 above the first, and has a seed of its own besides."""
    rows = [row("a", k, fd=100.0 * k) for k in range(3)] + [row("b", k, fd=100.0 * k + k + 1) for k in range(4)]
    found = summarised(rows)
    apart = found["differences"]["b - a"]["fd"]
    assert apart["mean"] == pytest.approx(2) and apart["deviation"] == pytest.approx(1) and apart["num"] == 3
    assert apart["high"] - 2 == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # Student's t for 3 seeds, from a table
    assert found["variants"]["b"]["fd"]["num"] == 4 and found["variants"]["a"]["fd"]["mean"] == pytest.approx(100)
    lines = table(found).splitlines()
    assert lines[-1].split()[:5] == ["b", "-", "a", "fd", "+2"] and lines[-1].endswith("3")


def test_a_single_seed_has_no_interval() -> None:
    assert seed_interval([2.0]) == {"mean": 2.0, "deviation": None, "low": None, "high": None, "num": 1}
    assert "-" in table(summarised([row("a", 0, fd=1.0), row("b", 0, fd=2.0)])).splitlines()[-1]
    assert summarised([row("a", 0, fd=1.0), row("b", 1, fd=2.0)])["differences"] == {}


def test_figures_are_taken_from_both_parts_of_a_report() -> None:
    one = {"value": 3.0, "deviation": 1.0}
    report = {
        "reconstruction": {"means": {"gaussians.psnr": {"mean": 20.0, "num": 2}}},
        "generation": {"objects": {}, "missing": {}, "clip": {"mean": 25.0},
                       "alexnet": {"frechet": one, "kernel": {"value": 4.0}, "retrieval": {"mean": 0.75}}},
    }  # fmt: skip
    assert figures(report) == {"gaussians.psnr": 20.0, "FD alexnet": 3.0, "KD x 100 alexnet": 4.0,
                               "retrieval alexnet": 0.75, "CLIP x 100": 25.0}  # fmt: skip


def test_retrieval_says_whose_prompt_it_was(rng: torch.Generator) -> None:
    real = torch.randn(20, 3, 8, generator=rng)
    assert retrieval(real + 0.01 * torch.randn(20, 3, 8, generator=rng), real) == [1.0] * 20
    by_chance = [sum(retrieval(torch.randn(20, 3, 8, generator=rng), real)) / 20 for _ in range(20)]
    assert sum(by_chance) / 20 == pytest.approx(0.5, abs=0.05)
    assert retrieval(torch.ones(5, 2, 4), torch.zeros(5, 2, 4)) == [0.5] * 5  # nothing tells them apart
    made = real.roll(1, 0)  # each looks like another's object
    assert max(retrieval(made, real)) < 1


def test_an_ablation_is_trained_and_scored(tmp_path: Path) -> None:
    """By the very script and suite form that the paper's tables are made with, two steps a training."""
    suite = read(tmp_path / "tiny.toml", WHOLE)
    train = [sys.executable, ROOT / "recipes/ablations/train.py", tmp_path / "work", tmp_path / "tiny.toml"]
    train += ["--toys", "16", "--only", "flow-3"]
    command = ("eval", "--suite", tmp_path / "tiny.toml", "--device", "cpu", "--quiet", "-o", tmp_path / "x.json")
    trellis(*command, code=4)
    trellis(*command, "--data", tmp_path, code=4)
    trellis(*command, "--data", tmp_path, "--model", "mini", code=2)
    trellis(*command, "--data", tmp_path, "--only", "flow-7", code=2)
    subprocess.run(train, check=True)
    trellis(*command, "--data", tmp_path / "work", code=5)
    report = json.loads((tmp_path / "x.json").read_text())
    assert [r["variant"] for r in report["runs"]] == ["flow"] and report["failed"][0]["run"] == "noise-3"
    subprocess.run(train[:-2], check=True)
    said = trellis(*command, "--data", tmp_path / "work")
    report = json.loads((tmp_path / "x.json").read_text())
    assert [r["variant"] for r in report["runs"]] == [v.name for v in suite.variants] and not report["failed"]
    assert "noise - flow" in said and {"FD alexnet", "retrieval alexnet"} <= report["runs"][1]["figures"].keys()
    models = [tmp_path / "work/models" / f"{name}-3" for name in ("flow", "noise")]
    samplers = [json.loads((m / "pipeline.json").read_text())["args"]["sparse_structure_sampler"] for m in models]
    assert [s["name"] for s in samplers] == ["FlowEulerGuidanceIntervalSampler", "DDIMSampler"]
    before = (tmp_path / "x.json").read_bytes()
    trellis(*command, "--data", tmp_path / "work", "--merge")
    assert (tmp_path / "x.json").read_bytes() == before
