"""Scores of how objects look: the published predictor by an independent computation, the simple one by its parts."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.tiny_world import trellis
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.glb import textured_glb
from trellis_cli.metrics.appearance import appearance
from trellis_cli.networks.aesthetic import load_aesthetic_head
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.mesh import Material, TexturedMesh
from trellis_cli.stages.export_objects import export_objects
from trellis_cli.stages.sources import into_cube

BOX = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]], np.int32,
)  # fmt: skip


def boxes(num: int, *, colours: int = 1) -> TexturedMesh:
    """A row of boxes apart from each other, of so many colours in turn."""
    vertices = np.concatenate([BOX * 0.8 / num + [(k + 0.5) / num - 0.5, 0, 0] for k in range(num)])
    faces = np.concatenate([FACES + 8 * k for k in range(num)]).astype(np.int32)
    materials = tuple(Material(colour=(k / colours, 0.3, 1 - k / colours, 1.0)) for k in range(colours))
    return TexturedMesh(vertices, faces, (np.arange(num).repeat(12) % colours).astype(np.int32), materials)


def scored(mesh: TexturedMesh):
    cameras = orbit([0.0, math.pi / 2, math.pi, -math.pi / 2], [0.35] * 4)
    got = render_views(mesh, cameras, size=96, normals=True, lit=False)
    assert got.normal is not None
    return appearance(mesh, got.rgba, got.normal)


def test_a_bare_box_is_worth_little_and_each_part_counts_its_own() -> None:
    bare = scored(boxes(1))
    assert bare.texture == bare.colours == bare.parts == 0 and bare.detail < 0.2 and bare.score < 0.6
    assert scored(boxes(4)).parts == pytest.approx(0.5)  # four of sixteen, by logarithms
    assert scored(boxes(16)).parts == 1 == scored(boxes(30)).parts
    assert 0.5 <= scored(boxes(8, colours=8)).colours < 0.7  # eight of 64, and some at their edges
    assert scored(boxes(8, colours=8)).texture == 0


def test_a_picture_on_half_the_surface_is_half_of_the_texture() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8)
    plain = np.full((8, 8, 4), 200, np.uint8)
    two = boxes(2)
    uvs = np.random.default_rng(1).random((24, 3, 2)).astype(np.float32)
    materials = (Material(texture=noise), Material(texture=plain))
    halves = TexturedMesh(two.vertices, two.faces, np.arange(2).repeat(12).astype(np.int32), materials, uvs)
    found = scored(halves)
    assert found.texture == pytest.approx(0.5) and found.colours > 0.5
    rough = TexturedMesh(two.vertices, two.faces, two.face_materials, two.materials, None, np.random.rand(16, 4))
    assert scored(rough).texture == 1


def test_bends_are_detail() -> None:
    rng = np.random.default_rng(0)
    axis = np.linspace(-0.5, 0.5, 40)
    flat = np.stack([*np.meshgrid(axis, axis), np.zeros((40, 40))], -1).reshape(-1, 3)
    corner = np.arange(39 * 40).reshape(39, 40)[:, :39].reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 41], 1), np.stack([corner, corner + 41, corner + 40], 1)]
    )
    rough = flat + rng.normal(0, 0.02, flat.shape) * [0, 0, 1]
    smooth, bent = (
        scored(TexturedMesh(v, faces.astype(np.int32), np.zeros(len(faces), np.int32), (Material(),)))
        for v in (flat, rough)
    )
    assert smooth.detail < 0.05 < 0.9 < bent.detail


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    export_objects("toybox", None, tmp_path, num=8)
    return tmp_path / "manifest.jsonl"


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_manifest_is_scored_once_and_cut_at_any_threshold(manifest: Path) -> None:
    out = manifest.with_name("scored.jsonl")
    command = ("data", "score", manifest, "--scorer", "simple", "-o", out)
    trellis(*command)
    rows = rows_of(out)
    assert len(rows) == 8 and all(0 <= row["score"] <= 10 and row["scorer"] == "simple-1" for row in rows)
    sidecar = out.with_name("scored.jsonl.scores.jsonl")
    before = sidecar.read_text()
    limit = sorted(row["score"] for row in rows)[4]
    said = trellis(*command, "--threshold", limit)
    assert "4 of 8 objects" in said and {r["id"] for r in rows_of(out)} == {
        r["id"] for r in rows if r["score"] >= limit
    }
    assert sidecar.read_text() == before  # nothing was scored again
    sidecar.write_text("".join(before.splitlines(keepends=True)[:5]) + '{"id": "ha')  # killed there
    trellis(*command)
    assert rows_of(out) == rows
    for name, shape in (("histogram", 3), ("best-worst", 3)):
        picture = np.asarray(Image.open(out.with_name(f"scored.{name}.png")).convert("RGB"))
        assert picture.ndim == shape and picture.std() > 5
    trellis("voxelize", out, "-o", manifest.with_name("v.h5"), "--resolution", 16)  # it is a manifest like any other


def test_shards_and_another_folder(manifest: Path, tmp_path: Path) -> None:
    ids: list[str] = []
    for k in range(2):
        out = tmp_path / "elsewhere" / f"scored-{k}.jsonl"
        trellis("data", "score", manifest, "--scorer", "simple", "-o", out, "--shard", f"{k}/2")
        ids += [row["id"] for row in rows_of(out)]
        assert all((out.parent / row["path"]).is_file() for row in rows_of(out))
    assert sorted(ids) == sorted(row["id"] for row in rows_of(manifest))


def test_a_broken_object_is_left_out_and_told_of(manifest: Path) -> None:
    objects = sorted((manifest.parent / "objects").iterdir())
    whole = objects[0].read_bytes()
    objects[0].write_bytes(b"no mesh")
    out = manifest.with_name("scored.jsonl")
    trellis("data", "score", manifest, "--scorer", "simple", "-o", out, code=5)
    assert len(rows_of(out)) == 7
    objects[0].write_bytes(whole)
    trellis("data", "score", manifest, "--scorer", "simple", "-o", out, code=5)  # not tried again by itself
    trellis("data", "score", manifest, "--scorer", "simple", "-o", out, "--retry-failed")
    assert len(rows_of(out)) == 8


def test_the_papers_thresholds_are_by_source(manifest: Path) -> None:
    rows = rows_of(manifest)
    for k, row in enumerate(rows):
        row["source"] = "objaverse-xl" if k % 2 else "abo"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = manifest.with_name("scored.jsonl")
    trellis("data", "score", manifest, "--scorer", "simple", "-o", out, "--threshold", "paper")
    scores = {r["id"]: r for r in map(json.loads, out.with_name("scored.jsonl.scores.jsonl").read_text().splitlines())}
    limits = {"objaverse-xl": 5.5, "abo": 4.5}
    wanted = {row["id"] for row in rows if round(scores[row["id"]]["score"], 4) >= limits[row["source"]]}
    assert {row["id"] for row in rows_of(out)} == wanted


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.networks.test_clip_similarity import tiny_model

    return tiny_model(tmp_path_factory.mktemp("clip"))


def test_the_published_predictor(manifest: Path, clip: Path, tmp_path: Path) -> None:
    """Against transformers' own features and matrices multiplied here; from a pickle and from safetensors alike."""
    from transformers import CLIPModel

    generator = torch.Generator().manual_seed(0)
    widths = [8, 6, 4, 1]
    state = {}
    for k, (a, b) in zip((0, 2, 7), zip(widths, widths[1:], strict=False), strict=True):
        state[f"layers.{k}.weight"] = torch.randn(b, a, generator=generator)
        state[f"layers.{k}.bias"] = torch.randn(b, generator=generator)
    heads = [tmp_path / "head.pth", tmp_path / "head.safetensors"]
    torch.save(state, heads[0])
    save_file(state, heads[1])
    told = []
    for head in heads:
        out = tmp_path / f"{head.suffix[1:]}.jsonl"
        trellis("data", "score", manifest, "-o", out, "--head", head, "--clip", clip, "--device", "cpu")
        told.append({row["id"]: row["score"] for row in rows_of(out)})
    assert told[0] == told[1]
    network = CLIPModel.from_pretrained(clip).eval()
    id_ = next(iter(told[0]))
    mesh, _ = into_cube(manifest.parent / "objects" / f"{id_}.glb")
    yaws = [math.pi + k * math.pi / 2 for k in range(4)]
    rgba = render_views(mesh, orbit(yaws, [math.radians(20)] * 4), size=256).rgba / np.float32(255)
    pictures = torch.from_numpy(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]).permute(0, 3, 1, 2)
    size = network.config.vision_config.image_size
    small = torch.nn.functional.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    with torch.no_grad():
        pooled = network.vision_model(pixel_values=(small - mean) / std).pooler_output
        x = network.visual_projection(pooled)
    x = x / x.norm(dim=1, keepdim=True)
    for k in (0, 2, 7):
        x = x @ state[f"layers.{k}.weight"].T + state[f"layers.{k}.bias"]
    assert told[0][id_] == pytest.approx(float(x.mean()), abs=2e-3)


def test_a_single_layer_is_a_head_too(tmp_path: Path) -> None:
    torch.save({"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}, tmp_path / "linear.pth")
    assert load_aesthetic_head(tmp_path / "linear.pth")(torch.tensor([[1.0, 1.0]])).tolist() == [6.0]


def test_what_is_no_head(manifest: Path, clip: Path, tmp_path: Path) -> None:
    out, bad = tmp_path / "o.jsonl", tmp_path / "bad.pth"
    bad.write_bytes(b"nothing")
    trellis("data", "score", manifest, "-o", out, "--head", bad, "--clip", clip, code=3)
    trellis("data", "score", manifest, "-o", out, "--head", tmp_path / "none.pth", "--clip", clip, code=4)
    trellis("data", "score", manifest, "-o", out, code=2)
    trellis("data", "score", manifest, "-o", out, "--scorer", "taste", code=2)
    trellis("data", "score", manifest, "-o", out, "--scorer", "simple", "--threshold", "high", code=2)
    trellis("data", "score", manifest, "-o", manifest, "--scorer", "simple", code=2)
    trellis("data", "score", tmp_path / "none.jsonl", "-o", out, "--scorer", "simple", code=3)


def test_glb_of_boxes_can_be_scored(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a.glb").write_bytes(textured_glb(boxes(3)))
    trellis("data", "index", "folder", tmp_path / "objects", "-o", tmp_path / "m.jsonl")
    trellis("data", "score", tmp_path / "m.jsonl", "--scorer", "simple", "-o", tmp_path / "s.jsonl")
    [row] = rows_of(tmp_path / "s.jsonl")
    assert row["score"] == pytest.approx(2.5 * (math.log(3) / math.log(16)), abs=0.6)
