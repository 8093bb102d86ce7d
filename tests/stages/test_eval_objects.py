"""Suites of objects: read strictly, each score held to a case that is known, and run on the tiny trained model."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_world import FIXED, World, trellis
from trellis_cli import recipes
from trellis_cli.data import toybox
from trellis_cli.data.manifest import split_of
from trellis_cli.errors import RecipeError
from trellis_cli.metrics.uncertainty import mean_interval, set_deviation
from trellis_cli.stages.feature_networks import Features
from trellis_cli.stages.generation_scores import cameras, generation_scores
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.reconstruction_scores import outer_points, random_camera
from trellis_cli.stages.score_cache import cached
from trellis_cli.stages.suite_objects import suite_objects
from trellis_cli.stages.suites import read_suite

SMALL = """
name = "small"
kind = "objects"
model = "mini"
[reconstruction]
representations = ["gaussians", "radiance-field"]
input_views = 4
input_size = 64
radius = 2.0
fov_deg = 40.0
size = 64
depth_views = 6
depth_size = 32
points = 500
f_radius = 0.05
[generation]
representation = "gaussians"
radius = 2.0
fov_deg = 40.0
yaws_deg = [0.0, 180.0]
pitch_deg = 30.0
size = 64
features = ["alexnet"]
kernel_subsets = 2
kernel_subset_size = 3
[[objects]]
name = "hut"
toybox = "house"
seed = 5
[[objects]]
name = "seat"
toybox = "chair"
seed = 5
"""


@pytest.fixture(scope="module")
def mini() -> ObjectSuite:
    suite = read_suite("mini")
    assert isinstance(suite, ObjectSuite)
    return suite


def test_the_shipped_suite_is_what_it_says(mini: ObjectSuite) -> None:
    toys, files = ([one for one in mini.objects if bool(one.file) == given] for given in (False, True))
    assert len(toys) == 20 == len({toy.toybox for toy in toys})
    assert all(split_of(toybox.make(toy.toybox, toy.seed).group) == "test" for toy in toys)
    assert len(files) == 5 and {(recipes.folder() / one.file).stem for one in files} == {one.name for one in files}
    objects = suite_objects(mini, None)["generation"]
    assert len(objects) == 25 and objects[-1].prompt == "a towel" and objects[-1].mesh(Path()).is_file()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "seat"', 'name = "hut"', "two objects are called"),
        ('toybox = "chair"', 'toybox = "throne"', "the toybox has no"),
        ('representation = "gaussians"', 'representation = "mesh"', "no representation 'mesh'"),
        ('features = ["alexnet"]', 'features = ["eyes"]', "no feature 'eyes'"),
        ('toybox = "house"', 'file = "suites/objects/towel.glb"', "has no caption"),
        ('toybox = "house"', 'file = "none.glb"\ncaption = "x"', "no file of the shipped"),
        ('toybox = "house"', 'toybox = "house"\nfile = "x.glb"', "one of the two"),
        ("points = 500", "point = 500", "no such key 'point'"),
        ('kind = "objects"', 'kind = "sing"', "kind is 'sing'"),
        ("points = 500", "points = -5", "points = -5 is too small"),
        ("depth_size = 32", "depth_size = 0", "depth_size = 0 is too small"),
        ("fov_deg = 40.0", "fov_deg = 180.0", "fov_deg is under 180"),
        ("yaws_deg = [0.0, 180.0]", "yaws_deg = []", "yaws_deg has one"),
    ],
)
def test_a_suite_that_is_none(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL
    (tmp_path / "x.toml").write_text(SMALL.replace(old, new))
    with pytest.raises(RecipeError, match=said):
        read_suite(str(tmp_path / "x.toml"))


def test_random_cameras_are_even_over_the_sphere_and_stay_where_they_are(mini: ObjectSuite) -> None:
    protocol = mini.reconstruction
    centres = torch.cat([random_camera(protocol, str(k)).centres for k in range(400)])
    assert torch.allclose(centres.norm(dim=1), torch.tensor(2.0), atol=1e-5)
    assert centres.mean(0).abs().max() < 3 * 2 / (3 * 400) ** 0.5
    share_high = float((centres[:, 2] > 1).float().mean())  # a quarter of a sphere lies above half its radius
    assert share_high == pytest.approx(0.25, abs=3 * (0.25 * 0.75 / 400) ** 0.5)
    assert torch.equal(random_camera(protocol, "7").centres, centres[7:8])


def test_what_lies_inside_an_object_is_not_among_its_points(mini: ObjectSuite) -> None:
    from trellis_cli.renderers.mesh import textured
    from trellis_cli.representations.mesh import Mesh

    def box(half: float) -> tuple[torch.Tensor, torch.Tensor]:
        corners = torch.tensor([[x, y, z] for x in (-half, half) for y in (-half, half) for z in (-half, half)])
        quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        return corners, torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])

    (outer, faces), (inner, more) = box(0.4), box(0.2)
    mesh = textured(Mesh(torch.cat([outer, inner]), torch.cat([faces, more + 8])))
    points = outer_points(mesh, mini.reconstruction)
    assert len(points) == mini.reconstruction.points
    assert (points.abs().max(1).values - 0.4).abs().max() < 1e-3


def test_the_cameras_of_generated_objects(mini: ObjectSuite) -> None:
    """Seen from yaws 0, 90, 180, 270 degrees at a pitch of 30: z = 2 sin 30, and opposite ones face each other."""
    centres = cameras(mini.generation).centres
    assert torch.allclose(centres[:, 2], torch.full((4,), 2 * math.sin(math.pi / 6)), atol=1e-5)
    assert torch.allclose(centres[0, :2], -centres[2, :2], atol=1e-5)


def test_a_set_is_near_itself_and_far_from_another(mini: ObjectSuite) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(12, 4, 16, generator=generator) for _ in range(2))
    same, other = generation_scores(a, a, mini.generation), generation_scores(a, b + 1, mini.generation)
    assert same["frechet"]["value"] == pytest.approx(0, abs=1e-6) and same["objects"] == 12 and same["views"] == 48
    assert other["frechet"]["value"] > 16 and other["kernel"]["value"] > 100 * 0.1
    assert 0 < other["frechet"]["deviation"] < other["frechet"]["value"]


def test_features_tell_pictures_apart_and_know_them_again() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, 64, 64, generator=generator)
    features = Features(Path())
    found = features("alexnet", pictures)
    assert found.shape == (2, 256) and torch.allclose(found[:1], features("alexnet", pictures[:1]), atol=1e-5)
    assert (found[0] - found[1]).norm() > 0.01 * found[0].norm() > 0


def test_intervals_hold_what_they_say() -> None:
    """Of 200 sets of 30 normal numbers about 95 % of the intervals hold the true mean."""
    generator = np.random.default_rng(0)
    held = sum(i["low"] < 0 < i["high"] for i in (mean_interval(list(generator.normal(size=30))) for _ in range(200)))
    assert 180 <= held <= 198
    values = generator.normal(size=400)
    assert set_deviation(lambda which: float(values[which].mean()), 400) == pytest.approx(1 / 20, rel=0.25)


def test_kept_scores_are_those_of_the_very_same(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(0)
        return {"n": len(made)}

    path = tmp_path / "x.json"
    assert cached(path, {"a": 1, "b": 2}, make) == cached(path, {"b": 2, "a": 1}, make) == {"n": 1}
    assert cached(path, {"a": 2, "b": 2}, make) == {"n": 2} and cached(path, {"a": 2, "b": 2}, make, anew=True) == {
        "n": 3
    }
    path.write_text("{")  # a kill while it was copied
    assert cached(path, {"a": 2, "b": 2}, make) == {"n": 4}


def test_a_suite_is_run_and_gives_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    command = ("eval", "--suite", tmp_path / "small.toml", "--model", world.model, *FIXED, "--quiet")
    said = trellis(*command, "-o", tmp_path / "a.json", "--work", tmp_path / "a")
    assert "gaussians.psnr" in said and "FD alexnet" in said
    report = json.loads((tmp_path / "a.json").read_text())
    hut = report["reconstruction"]["objects"]["hut"]
    assert 0 < hut["gaussians"]["psnr"] < 100 and 0 < hut["mesh"]["chamfer"] < 2 and 0 <= hut["mesh"]["f_score"] <= 1
    mean = report["reconstruction"]["means"]["radiance-field.psnr"]
    psnrs = [o["radiance-field"]["psnr"] for o in report["reconstruction"]["objects"].values()]
    assert mean["mean"] == pytest.approx(sum(psnrs) / 2) and mean["num"] == 2
    assert report["generation"]["alexnet"]["views"] == 4 and report["failed"] == []
    before = (tmp_path / "a.json").read_bytes()
    trellis(*command, "-o", tmp_path / "page.html", "--work", tmp_path / "a")
    assert (tmp_path / "page.json").read_bytes() == before
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * 5 + 2 * 4 and page.count("<svg") == len(
        report["reconstruction"]["means"]
    )
    assert not re.search(r"(src|href)=.?(http|//|/|\.)", page)  # it opens from disk
    trellis(*command, "-o", tmp_path / "b.json", "--work", tmp_path / "a")
    assert (tmp_path / "b.json").read_bytes() == before
    trellis(*command, "-o", tmp_path / "c.json", "--sheet", tmp_path / "x.png", code=2)
    trellis(*command, "-o", tmp_path / "c.json", "--only", "nothing", code=2)
    trellis(*command, "-o", tmp_path / "c.json", "--method", "paste", code=2)
    trellis(*command, "-o", tmp_path / "c.json", "--part", "nothing", code=2)
    trellis(*command, "-o", tmp_path / "c.json", "--data", tmp_path, code=2)
    (tmp_path / "a.json").write_text("[]")
    trellis(*command, "-o", tmp_path / "a.json", code=2)
    assert (tmp_path / "a.json").read_text() == "[]"


def report(path: Path, psnr: dict[str, float], frechet: float, **more: object) -> Path:
    objects = {name: {"gaussians": {"psnr": value}} for name, value in psnr.items()}
    score = {"value": frechet, "deviation": 1.0}
    made = {"suite": "mini", "suite_digest": "a", "reconstruction": {"objects": objects},
            "generation": {"objects": {}, "alexnet": {"frechet": score, "objects": 20}}, **more}  # fmt: skip
    path.write_text(json.dumps(made))
    return path


def test_two_reports_are_compared_by_pairs(tmp_path: Path) -> None:
    """Objects differ by 40 dB among themselves and by one between the reports; two are in one report alone."""
    a = report(tmp_path / "a.json", {str(k): 10.0 + 5 * k for k in range(9)}, 8.0)
    b = report(tmp_path / "b.json", {str(k): 11.0 + 5 * k + 0.1 * (k % 2) for k in range(1, 10)}, 9.0)
    found = json.loads(trellis("eval", "--compare", a, b, "--json"))
    psnr = found["reconstruction gaussians.psnr"]
    assert psnr["num"] == 8 and psnr["difference"] == pytest.approx(1.05) and 1 < psnr["low"] < psnr["high"] < 1.1
    frechet = found["generation frechet alexnet"]
    assert frechet["difference"] == 1 and frechet["low"] == pytest.approx(1 - 1.96 * 2**0.5)
    said = trellis("eval", "--compare", a, b)
    stars = {line.split()[1]: line.endswith("*") for line in said.splitlines() if line.startswith(("recon", "gener"))}
    assert stars == {"gaussians.psnr": True, "frechet": False}


def test_reports_that_cannot_be_compared(tmp_path: Path) -> None:
    a, b = report(tmp_path / "a.json", {"x": 1.0}, 1.0), report(tmp_path / "b.json", {"x": 1.0}, 1.0, suite="other")
    trellis("eval", "--compare", a, b, code=2)
    (tmp_path / "c.json").write_text("{}")
    trellis("eval", "--compare", a, tmp_path / "c.json", code=3)
    trellis("eval", "--compare", a, tmp_path / "missing.json", code=3)
    trellis("eval", "-o", tmp_path / "x.json", code=2)
    trellis("eval", "--suite", "edit-mini", "-o", tmp_path / "x.json", "--part", "generation", code=2)


def test_shards_and_what_is_put_together_are_one_run_s(world: World, tmp_path: Path) -> None:
    """Both shards into one folder; before the second has run, its objects are missing and said to be."""
    from trellis_cli.shards import in_shard

    (tmp_path / "small.toml").write_text(SMALL.replace("size = 64", "size = 32"))
    names = ["hut", "seat"]
    parts = next(n for n in range(2, 40) if len({in_shard(name, (0, n)) for name in names}) == 2)
    first = next(name for name in names if in_shard(name, (0, parts)))
    command = ("eval", "--suite", tmp_path / "small.toml", "--model", world.model, *FIXED, "--quiet")
    shared = ("--work", tmp_path / "work", "--part", "reconstruction")
    trellis(*command, *shared, "-o", tmp_path / "0.json", "--shard", f"0/{parts}")
    trellis(*command, *shared, "-o", tmp_path / "x.json", "--merge", code=5)
    half = json.loads((tmp_path / "x.json").read_text())
    assert list(half["reconstruction"]["objects"]) == [first] and "not scored yet" in half["failed"][0]["reason"]
    trellis(*command, *shared, "-o", tmp_path / "1.json", "--only", next(name for name in names if name != first))
    trellis(*command, *shared, "-o", tmp_path / "merged.json", "--merge")
    trellis(*command, "-o", tmp_path / "whole.json", "--part", "reconstruction")
    assert (tmp_path / "merged.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_broken_object_is_listed_and_does_not_stop_the_others(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trellis_cli.errors import FileError
    from trellis_cli.stages import made_objects

    encode = made_objects.encode_mesh

    def broken(mesh: Path, *args: object, **options: object) -> Path:
        if mesh.stem == "hut":
            raise FileError("hut.glb: no triangles", hint="")
        return encode(mesh, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(made_objects, "encode_mesh", broken)
    (tmp_path / "small.toml").write_text(SMALL.replace("size = 64", "size = 32"))
    command = ("eval", "--suite", tmp_path / "small.toml", "--model", world.model, *FIXED, "--quiet")
    trellis(*command, "-o", tmp_path / "a.json", "--part", "reconstruction", code=5)
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["failed"] == [{"object": "hut", "part": "reconstruction", "reason": "hut.glb: no triangles"}]
    assert list(found["reconstruction"]["objects"]) == ["seat"]


def test_a_page_ranks_by_what_is_good_and_escapes_what_it_is_told(tmp_path: Path) -> None:
    from trellis_cli.stages.eval_html import histogram, ranked, write_html

    values = {"a": 0.1, "b": 0.3, "c": 0.2}
    assert ranked(values, "gaussians.psnr") == ["b", "c", "a"] and ranked(values, "mesh.chamfer") == ["a", "c", "b"]
    bars = re.findall(r'height="([0-9.]+)"/>', histogram("psnr", [1.0, 1.0, 1.0, 2.0]))
    assert float(bars[0]) == 58 and float(bars[-1]) == pytest.approx(58 / 3, abs=0.1) and set(bars[1:-1]) == {"0.0"}
    made = {
        "suite": "<b>", "model": {"id": "m"}, "program_version": "0", "dtype": "float32", "protocol": {},
        "failed": [{"object": "x", "part": "generation", "reason": "<script>"}],
        "generation": {"missing": {}, "objects": {"y": {"prompt": "<img>"}}},
    }  # fmt: skip
    write_html(tmp_path / "x.html", made, lambda part, name: {"object": torch.zeros(3, 4, 4)})
    page = (tmp_path / "x.html").read_text()
    assert "&lt;script&gt;" in page and "&lt;img&gt;" in page and "<script" not in page and "<b>" not in page


def test_objects_are_made_of_pictures_too(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)

    asked = 'prompt = "image"\nprompt_size = 48\nrepresentation = "gaussians"'
    text = SMALL.replace('[generation]\nrepresentation = "gaussians"', f"[generation]\n{asked}")
    (tmp_path / "small.toml").write_text(text.replace("size = 64", "size = 32"))
    command = ("eval", "--suite", tmp_path / "small.toml", "--model", world.model, *FIXED, "--quiet")
    trellis(*command, "-o", tmp_path / "a.json", "--part", "generation")
    found = json.loads((tmp_path / "a.json").read_text())["generation"]
    assert found["objects"] == {"hut": {"prompt": "hut.png"}, "seat": {"prompt": "seat.png"}}
    picture = Image.open(tmp_path / "a.work" / "prompts" / "hut.png")
    assert picture.size == (48, 48) and picture.mode == "RGBA" and picture.getextrema()[3] == (0, 255)
    trellis(*command, "-o", tmp_path / "b.json", "--part", "generation")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    trellis(*command, "--part", "generation")  # without -o by the suite's name
    assert (tmp_path / "small.json").read_bytes() == (tmp_path / "a.json").read_bytes()
