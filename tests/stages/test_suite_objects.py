"""Sets that the user has: which objects a suite takes of them, and the paper's protocol on a stand-in of Toys4k."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.tiny_world import FIXED, World, trellis
from trellis_cli import recipes
from trellis_cli.errors import FileError
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.suite_assets import make_toy
from trellis_cli.stages.suite_objects import CAPTIONS, chosen, read_captions, suite_objects
from trellis_cli.stages.suites import read_suite

TOYS = {"chair/chair_000/mesh.glb": "chair", "cup/cup_001/mesh.glb": "cup", "cup/cup_002/mesh.glb": "cup",
        "hat/hat_000/mesh.glb": "hat"}  # fmt: skip


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four objects in the layout of Toys4k, with captions; one of them is judged ugly."""
    data = tmp_path_factory.mktemp("toys4k")
    lines = ["file,caption,aesthetic_score"]
    for k, (name, category) in enumerate(TOYS.items()):
        make_toy(category, k, data / name)
        lines.append(f'{name},"a {category}, number {k}",{4.0 if name.startswith("hat") else 5.5}')
    (data / CAPTIONS).write_text("\n".join(lines) + "\n")
    (data / "hat" / "notes.txt").write_text("no mesh")
    return data


def small(tmp_path: Path) -> Path:
    """The shipped suite with everything small."""
    text = (recipes.folder() / "suites" / "toys4k.toml").read_text()
    for old, new in (
        ("reconstruction = 500", "reconstruction = 1"), ("generation = 1250", "generation = 3"),
        ("input_views = 150", "input_views = 4"), ("= 512", "= 64"), ("depth_views = 100", "depth_views = 6"),
        ("points = 100000", "points = 600"), ("cloud = 4096", "cloud = 512"), ("steps = 50", "steps = 2"),
        ('encoder = "dinov2"', 'encoder = "alexnet"'),
        ("kernel_subset_size = 1000", "kernel_subset_size = 4"), ("kernel_subsets = 100", "kernel_subsets = 2"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "stand-in.toml"
    path.write_text(text)
    return path


def test_the_shipped_suite_is_the_paper_s_protocol() -> None:
    suite = read_suite("toys4k")
    assert isinstance(suite, ObjectSuite)
    r, g, c = suite.reconstruction, suite.generation, suite.choice
    pictures = read_suite("toys4k-image")
    assert isinstance(pictures, ObjectSuite) and pictures.choice == c and pictures.reconstruction == r
    changed = {"prompt": "image"}
    assert asdict(pictures.generation) == asdict(g) | changed
    assert (c.reconstruction, c.generation, c.min_aesthetic) == (500, 1250, 4.5)
    assert (r.radius, r.fov_deg, r.points, r.depth_views, r.f_radius) == (2.0, 40.0, 100_000, 100, 0.05)
    assert g.yaws_deg == (0.0, 90.0, 180.0, 270.0) and g.pitch_deg == 30.0 and (g.steps, g.guidance) == (50, 3.0)
    assert g.clip_yaws_deg == tuple(45.0 * k for k in range(8)) and {"incep", "dinov2", "point"} <= set(g.features)


def test_the_rule_gives_everyone_the_same(stand_in: Path, tmp_path: Path) -> None:
    """By the hash of a path, wherever the folder lies and whatever else is in it; without the ugly one."""
    captions = read_captions(stand_in / CAPTIONS, 4.5)
    assert captions is not None and len(captions) == 3
    found = [o.name for o in chosen(stand_in, "salt", captions)]
    want = sorted((n for n in TOYS if "hat" not in n), key=lambda n: hashlib.sha256(f"salt/{n}".encode()).hexdigest())
    assert found == [name.replace("/", "__") for name in want]
    assert [o.name for o in chosen(stand_in, "pepper", captions)] != found
    for name in TOYS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((stand_in / name).read_bytes())
    every = [o.name for o in chosen(tmp_path, "salt", None)]
    assert len(every) == 4 and [name for name in every if "hat" not in name] == found


def test_what_is_no_table_of_captions(tmp_path: Path) -> None:
    assert read_captions(tmp_path / CAPTIONS, 0.0) is None
    for text in ("name,caption\na,b\n", "file,caption,aesthetic_score\na,b,nice\n"):
        (tmp_path / CAPTIONS).write_text(text)
        with pytest.raises(FileError, match="no table of captions"):
            read_captions(tmp_path / CAPTIONS, 0.0)


def test_a_set_that_is_not_there_or_too_small(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    suite = read_suite("toys4k")
    assert isinstance(suite, ObjectSuite)
    with pytest.raises(FileError, match="holds 3 objects of Toys4k, and the suite takes 1250"):
        suite_objects(suite, stand_in)
    for more in ((), ("--data", tmp_path / "nothing")):
        trellis("eval", "--suite", "toys4k", "-o", tmp_path / "x.json", *more, code=4)
    assert not list(tmp_path.iterdir())


def test_the_paper_s_protocol_on_a_stand_in(
    world: World, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no weights here is reported as missing, by name, with what gets it; a broken object stops nothing."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    names = [o.name for o in suite_objects_of(small(tmp_path), stand_in)["generation"]]
    broken = tmp_path / "data"
    for path in (p for p in stand_in.rglob("*") if p.is_file()):
        target = broken / path.relative_to(stand_in)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (broken / names[-1].replace("__", "/")).write_bytes(b"no mesh")
    command = ("eval", "--suite", small(tmp_path), "--model", world.model, *FIXED, "--quiet", "--data", broken)
    weights = ("--weights", tmp_path / "weights")
    trellis(*command, *weights, "-o", tmp_path / "a.json", code=5)
    report = json.loads((tmp_path / "a.json").read_text())
    assert {row["object"] for row in report["failed"]} == {names[-1]}
    assert set(report["generation"]["missing"]) == {"incep", "dinov2", "point", "clip"}
    got = {name: why["get"] for name, why in report["generation"]["missing"].items()}
    assert got["clip"] == "trellis models fetch openai/clip-vit-large-patch14"
    assert got["incep"].startswith(f"curl -L --create-dirs -o {tmp_path / 'weights'}")
    assert report["generation"]["alexnet"]["objects"] == 2 and list(report["reconstruction"]["objects"]) == names[:1]
    prompts = {name: o["prompt"] for name, o in report["generation"]["objects"].items()}
    assert prompts.keys() == set(names[:2]) and all("number" in prompt for prompt in prompts.values())


def suite_objects_of(path: Path, data: Path) -> dict[str, list]:
    suite = read_suite(str(path))
    assert isinstance(suite, ObjectSuite)
    return suite_objects(suite, data)


def test_points_and_pictures_of_downloaded_weights_are_used(world: World, stand_in: Path, tmp_path: Path) -> None:
    """Random weights in the published files' form: the metrics that were missing are there, under their own names."""
    import torch

    from trellis_cli.networks.inception import InceptionV3
    from trellis_cli.networks.pointnet2 import PointNet2
    from trellis_cli.stages.feature_networks import INCEPTION, POINTNET

    torch.manual_seed(0)
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save(InceptionV3().state_dict(), weights / INCEPTION)
    torch.save({"model_state_dict": PointNet2().state_dict()}, weights / POINTNET)
    command = ("eval", "--suite", small(tmp_path), "--model", world.model, *FIXED, "--quiet", "--data", stand_in)
    said = trellis(*command, "--part", "generation", "--weights", weights, "-o", tmp_path / "a.json")
    assert "FD incep" in said and "FD point" in said and "clip" in said
    found = json.loads((tmp_path / "a.json").read_text())["generation"]
    first = found["incep"]["frechet"]["value"]
    assert set(found["weights"]) == {"incep", "point", "alexnet"} and len(set(found["weights"].values())) == 3
    torch.save(InceptionV3().state_dict(), weights / INCEPTION)  # other weights: scored anew, and said so
    trellis(*command, "--part", "generation", "--weights", weights, "-o", tmp_path / "a.json")
    other = json.loads((tmp_path / "a.json").read_text())["generation"]
    assert other["incep"]["frechet"]["value"] != first and other["point"] == found["point"]
    assert {name for name in other["weights"] if other["weights"][name] != found["weights"][name]} == {"incep"}
    assert found["incep"]["views"] == 12 and found["point"]["views"] == 3 and "dinov2" in found["missing"]


def test_a_plan_needs_no_data_and_no_model(tmp_path: Path) -> None:
    said = trellis("eval", "--suite", "toys4k", "--dry-run")
    assert "reconstruction: 500 objects" in said and "generation: 1250 objects" in said
    assert "f_radius = 0.05" in said and "captions.csv" in said and "TRELLIS-text-large" in said
    assert "mini: objects of the toybox" in trellis("eval", "--suite", "mini", "--dry-run")
    assert "32 edits of 17 assets, 76 runs" in trellis("eval", "--suite", "edit-mini", "--dry-run")
    assert "228 runs" in trellis("eval", "--suite", "edit-mini", "--dry-run", "--draws", 3)
    table = json.loads(trellis("eval", "--suite", "mini", "--dry-run", "--json"))
    assert table["generation"]["yaws_deg"] == [0.0, 90.0, 180.0, 270.0]


def test_a_data_folder_gives_what_training_never_sees(tmp_path: Path) -> None:
    suite = read_suite("mini-sweethome")
    mini = read_suite("mini")
    assert isinstance(suite, ObjectSuite) and isinstance(mini, ObjectSuite)
    assert (suite.reconstruction, suite.generation) == (mini.reconstruction, mini.generation)
    trellis("data", "export", "toybox", "-o", tmp_path / "data", "--num", 60, "--seed", 1000000, "--quiet")
    rows = [json.loads(line) for line in (tmp_path / "data" / "manifest.jsonl").read_text().splitlines()]
    unseen = {row["id"]: row for row in rows if row["split"] == "test"}
    assert 1 < len(unseen) < 20
    few = replace(suite, choice=replace(suite.choice, reconstruction=1, generation=2))
    found = suite_objects(few, tmp_path / "data")
    names = [o.name for o in found["generation"]]
    assert len(names) == 2 and [o.name for o in found["reconstruction"]] == names[:1]
    order = sorted(
        unseen.values(), key=lambda r: hashlib.sha256(f"{suite.choice.salt}/{r['key']}".encode()).hexdigest()
    )
    assert names == [f"{row['name'].replace(' ', '-')}-{row['id'][:8]}" for row in order[:2]]
    assert len({o.seed for o in found["generation"]}) == 2
    assert all(o.caption in unseen[o.source.stem]["captions"] for o in found["generation"])  # type: ignore[union-attr]
    with pytest.raises(FileError, match="the suite takes 20"):
        suite_objects(suite, tmp_path / "data")
