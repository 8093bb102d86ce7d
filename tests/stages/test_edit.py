"""Edits by a tiny random model: what stays, what changes, what is said of it, and what cannot be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.published_models import DECODERS, ENCODERS, write_network
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, MissingError, SomeFailed, TrellisError, UsageError
from trellis_cli.flow.repaint import Resampling
from trellis_cli.geometry.regions import Region, VoxelSet, occupancy
from trellis_cli.io.digests import file_digest
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.io.stage_files import Asset, Provenance, open_stage, with_ids, write_stage
from trellis_cli.stages.captions import captions
from trellis_cli.stages.conditioners import flows_for
from trellis_cli.stages.edit import edit
from trellis_cli.stages.edit_asset import Change, Editor, Mode, caps
from trellis_cli.stages.edit_sources import Voxels
from trellis_cli.stages.pipeline import Pipeline
from trellis_cli.stages.prompt_encoders import PromptEncoders
from trellis_cli.stages.region_options import GivenRegion, gather_region
from trellis_cli.stages.resident import Networks
from trellis_cli.stages.sample import model_settings, sample

N = 16
HOUSE = Prompt("house")


@pytest.fixture(scope="module")
def model(both_model: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """With a structure encoder and a decoder of Gaussians beside the flows."""
    folder = tmp_path_factory.mktemp("editing") / "model"
    shutil.copytree(both_model, folder)
    table = json.loads((folder / "pipeline.json").read_text())
    file = "ss_enc_conv3d_16l8_fp16"
    for key, (name, cls, args) in {
        "sparse_structure_encoder": (file, *ENCODERS[file]),
        "slat_decoder_gs": DECODERS["slat_decoder_gs"],
    }.items():
        write_network(folder, name, cls, args)
        table["args"]["models"][key] = f"ckpts/{name}"
    (folder / "pipeline.json").write_text(json.dumps(table))
    return open_model(str(folder))


@pytest.fixture(scope="module")
def networks(model: ModelFolder) -> Networks:
    return Networks(model, device="cpu", dtype=torch.float32, keep=True)


@pytest.fixture(scope="module")
def source(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One asset: a hollow block of 10 x 10 x 9 voxels, open below, with a latent on each."""
    path = tmp_path_factory.mktemp("source") / "block.slat.h5"
    write_assets(path, block())
    return path


def block() -> torch.Tensor:
    grid = torch.zeros(N, N, N, dtype=torch.bool)
    grid[3:13, 3:13, 2:11] = True
    grid[4:12, 4:12, 2:10] = False
    return torch.argwhere(grid)


def write_assets(path: Path, *coords: torch.Tensor, structure: bool = False) -> None:
    slat, latents = [], []
    for k, c in enumerate(coords):
        generator = torch.Generator().manual_seed(k)
        feats = torch.randn(len(c), 8, generator=generator)
        id_ = f"{k:064x}"
        slat.append(with_ids(id_, lengths=len(c), coords=c.numpy().astype("int16"), feats=feats.numpy()))
        latent = torch.randn(8, 4, 4, 4, generator=generator)
        latents.append(with_ids(id_, lengths=64, latent=latent.numpy()))
    groups = {"slat": (slat, {"resolution": N})} | ({"structure": (latents, {})} if structure else {})
    write_stage(path, groups, Provenance("encode", {"model": "none"}))


def region(box: str, **more: object) -> GivenRegion:
    asked = gather_region([box], resolution=N, **more)  # type: ignore[arg-type]
    assert asked is not None
    return asked


def assets(path: Path, group: str = "slat") -> list[Asset]:
    with open_stage(path) as file:
        opened = file.group(group)
        return [opened.asset(i) for i in range(len(opened))]


def latents(asset: Asset) -> dict[tuple[int, ...], bytes]:
    """Voxel to the bytes of its latent."""
    return {tuple(c): f.tobytes() for c, f in zip(asset["coords"].tolist(), asset["feats"], strict=True)}


def grid_of(voxels: dict[tuple[int, ...], bytes]) -> torch.Tensor:
    return occupancy(torch.tensor(list(voxels)).reshape(-1, 3), N)


MODES: list[tuple[Mode, bool]] = [("replace", False), ("replace", True), ("add", False), ("remove", False)]
asked = {
    "low": st.tuples(*[st.integers(0, N - 1)] * 3),
    "size": st.tuples(*[st.integers(1, 10)] * 3),
    "mode": st.sampled_from(MODES),
    "resample": st.integers(1, 2),
}
Triple = tuple[int, int, int]


def change_of(low: Triple, size: Triple, mode: tuple[Mode, bool], resample: int) -> Change:
    box = ",".join(str(v) for v in (*low, *(a + b for a, b in zip(low, size, strict=True))))
    walk = Resampling(1, resample)
    return Change(mode[0], region(box, units="voxels"), mode[1], (walk, walk))


def check_edited(change: Change, before: dict[tuple[int, ...], bytes], after: dict[tuple[int, ...], bytes]) -> None:
    """Outside a region nothing changes, and inside only what the mode allows."""
    assert change.region is not None
    inside = change.region.region.grid(N)
    assert {v: f for v, f in after.items() if not inside[v]} == {v: f for v, f in before.items() if not inside[v]}
    within = {v for v in after if inside[v]}
    if change.keep_structure:
        assert after.keys() == before.keys()
        assert not any(after[v] == before[v] for v in within)
    elif change.mode == "add":
        assert {v: after[v] for v in before} == before and len(after) > len(before)
    elif change.mode == "remove":
        lid = caps(grid_of(before), inside)
        assert within == {tuple(v) for v in torch.argwhere(lid).tolist()}


@given(**asked)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_edit_stays_in_its_region_and_a_seed_gives_the_same_again(
    model: ModelFolder, networks: Networks, source: Path,
    low: Triple, size: Triple, mode: tuple[Mode, bool], resample: int,
) -> None:  # fmt: skip
    change = change_of(low, size, mode, resample)
    pair = PromptEncoders(networks).pair(HOUSE)
    editor = Editor(Pipeline(networks, flows=flows_for(model, "text")), change, model_settings(model), N)
    (old,) = assets(source)
    voxels = Voxels(torch.from_numpy(old["coords"]).int(), torch.from_numpy(old["feats"]))
    found = []
    for _ in range(2):
        try:
            made = editor.edited(voxels, pair, torch.Generator().manual_seed(5))
        except TrellisError as error:  # the region missed the block, or held all of it, or the model made nothing
            assert error.code == 1 and error.hint
            return
        found.append(latents({"coords": made.coords.numpy(), "feats": made.feats.numpy()}))
    assert found[0] == found[1]
    check_edited(change, latents(old), found[0])


@given(seed=st.integers(0, 9), **asked)
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_file_of_an_edit_has_the_same_bytes_again_and_says_all_that_made_it(
    model: ModelFolder, source: Path, tmp_path: Path, seed: int,
    low: Triple, size: Triple, mode: tuple[Mode, bool], resample: int,
) -> None:  # fmt: skip
    change = change_of(low, size, mode, resample)
    out = tmp_path / "out.h5"
    try:
        edit([source], out, model, change, prompt=HOUSE, seed=seed, overwrite=True)
    except TrellisError:
        assert not out.exists()
        return
    check_edited(change, latents(assets(source)[0]), latents(assets(out)[0]))
    with open_stage(out) as file:
        parameters, (step,) = json.loads(file.attrs["parameters"]), json.loads(file.attrs["history"])
    assert (step["file"], step["name"]) == (file_digest(source), source.name)
    assert change.region is not None and parameters["region"] == change.region.parameters
    first = out.read_bytes()
    edit([source], out, model, change, prompt=HOUSE, seed=seed, overwrite=True)
    assert out.read_bytes() == first
    out.unlink()


def test_varied_details_are_the_samples_of_given_voxels(model: ModelFolder, source: Path, tmp_path: Path) -> None:
    edit([source], tmp_path / "vary.h5", model, Change("vary"), prompt=HOUSE, seed=4)
    sample([HOUSE], tmp_path / "sample.h5", model, seed=4, structure=source)
    (varied,), (sampled,) = assets(tmp_path / "vary.h5"), assets(tmp_path / "sample.h5")
    assert np.array_equal(varied["coords"], sampled["coords"])
    assert np.array_equal(varied["feats"], sampled["feats"])
    assert not set(latents(varied).values()) & set(latents(assets(source)[0]).values())


def test_the_history_of_a_chain_is_complete(model: ModelFolder, source: Path, tmp_path: Path) -> None:
    steps: list[tuple[Mode, str | None]] = [("remove", "8,0,0,16,16,16"), ("replace", "0,0,8,16,16,16"), ("vary", None)]
    files, said = [source], []
    for k, (mode, box) in enumerate(steps):
        asked = None if box is None else region(box, units="voxels")
        prompt = None if mode == "remove" else HOUSE
        files.append(tmp_path / f"{k}.slat.h5")
        edit([files[-2]], files[-1], model, Change(mode, asked), prompt=prompt, seed=k)
        with open_stage(files[-1]) as file:
            history = json.loads(file.attrs["history"])
            said.append(file.attrs["command"])
        assert [step["file"] for step in history] == [file_digest(path) for path in files[:-1]]
        assert [step["name"] for step in history] == [path.name for path in files[:-1]]
        assert [step["command"] for step in history[1:]] == said[:-1]
    assert said[0].startswith("trellis edit block.slat.h5 --remove --box 8,0,0,16,16,16 --units voxels --steps 2 ")
    assert said[1].startswith("trellis edit 0.slat.h5 --box 0,0,8,16,16,16 --units voxels --text house --steps 2 ")
    assert said[2].startswith("trellis edit 1.slat.h5 --vary --text house ") and said[2].endswith(" --seed 2")


def test_seeds_count_an_asset_s_variants_whatever_is_edited_beside_it(model: ModelFolder, tmp_path: Path) -> None:
    write_assets(tmp_path / "two.h5", block(), block() + 1)
    write_assets(tmp_path / "one.h5", block())
    change = Change("replace", region("8,0,0,16,16,16", units="voxels"))
    edit([tmp_path / "two.h5"], tmp_path / "a.h5", model, change, prompt=HOUSE, num=2, seed=7)
    edit([tmp_path / "one.h5"], tmp_path / "b.h5", model, change, prompt=HOUSE, num=2, seed=7)
    edit([tmp_path / "one.h5"], tmp_path / "c.h5", model, change, prompt=HOUSE, seed=8)
    a, b, c = (assets(tmp_path / f"{name}.h5") for name in "abc")
    assert [len(x) for x in (a, b, c)] == [4, 2, 1]
    assert latents(a[0]) == latents(b[0]) and latents(a[1]) == latents(b[1]) == latents(c[0])
    assert latents(a[0]) != latents(a[1])
    with open_stage(tmp_path / "a.h5") as file:
        texts = captions(file.attrs)
        assert [texts[i] for i in file.group("slat").ids] == [f"replace: house ({n})" for n in (1, 2, 1, 2)]


def test_a_grown_list_keeps_what_is_done_and_shards_are_those_of_one_go(model: ModelFolder, tmp_path: Path) -> None:
    for k in range(3):
        write_assets(tmp_path / f"{k}.h5", block() + k)
    paths = [tmp_path / f"{k}.h5" for k in range(3)]
    change, out = Change("remove", region("8,0,0,16,16,16", units="voxels")), tmp_path / "out.h5"
    assert edit(paths[:2], out, model, change).done == 2
    grown = edit(paths, out, model, change)
    assert (grown.done, grown.kept) == (1, 2)
    assert edit(paths, out, model, change).kept == 3
    parts = [tmp_path / f"part-{i}.h5" for i in range(2)]
    for i, part in enumerate(parts):
        edit(paths, part, model, change, shard=(i, 2))
    whole = {bytes(a["ids"]): latents(a) for a in assets(out)}
    assert whole == {bytes(a["ids"]): latents(a) for part in parts for a in assets(part)}


def test_the_structure_latent_in_the_file_is_what_the_first_stage_keeps(model: ModelFolder, tmp_path: Path) -> None:
    """Else the encoder's; without either there is nothing to keep."""
    write_assets(tmp_path / "with.h5", block(), structure=True)
    write_assets(tmp_path / "without.h5", block())
    change = Change("add", region("8,0,0,16,16,16", units="voxels"))
    for name in ("with", "without"):
        edit([tmp_path / f"{name}.h5"], tmp_path / f"{name}-out.h5", model, change, prompt=HOUSE)
    own, encoded = (assets(tmp_path / f"{name}-out.h5")[0] for name in ("with", "without"))
    assert latents(own) != latents(encoded)
    bare = tmp_path / "bare"
    shutil.copytree(model.path, bare)
    for path in bare.glob("ckpts/ss_enc*"):
        path.unlink()
    table = json.loads((bare / "pipeline.json").read_text())
    del table["args"]["models"]["sparse_structure_encoder"]
    (bare / "pipeline.json").write_text(json.dumps(table))
    edit([tmp_path / "with.h5"], tmp_path / "bare-out.h5", open_model(str(bare)), change, prompt=HOUSE)
    assert latents(assets(tmp_path / "bare-out.h5")[0]) == latents(own)
    kept = assets(tmp_path / "bare-out.h5", "structure")[0]["latent"]
    assert np.array_equal(kept[:, :2], assets(tmp_path / "with.h5", "structure")[0]["latent"][:, :2])
    with pytest.raises(MissingError, match="sparse_structure_encoder"):
        edit([tmp_path / "without.h5"], tmp_path / "x.h5", open_model(str(bare)), change, prompt=HOUSE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Change("remove", region("0,0,12,16,16,16", units="voxels")), "holds none of the"),
        (lambda: Change("replace", region("0,0,12,16,16,16", units="voxels"), True), "holds none of the"),
        (lambda: Change("remove", region("-1,-1,-1,1,1,1")), "nothing would be kept"),
        (lambda: Change("replace", region("-1,-1,-1,1,1,1")), "nothing would be kept"),
    ],
)
def test_a_change_of_nothing_or_of_all_says_so(
    model: ModelFolder, source: Path, tmp_path: Path, change: Callable[[], Change], said: str
) -> None:
    with pytest.raises(TrellisError, match=said) as caught:
        edit([source], tmp_path / "x.h5", model, change(), prompt=HOUSE)
    assert caught.value.code == 1 and caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "prompt", "said"),
    [
        (Change("replace"), HOUSE, "which region to replace"),
        (Change("vary"), None, "what --vary is to make"),
        (Change("vary", GivenRegion(Region((VoxelSet(torch.zeros(1, 3).int(), N),)), {})), HOUSE, "all voxels"),
        (Change("add", GivenRegion(Region(()), {}), True), HOUSE, "does not go with --add"),
    ],
)
def test_options_that_contradict(
    model: ModelFolder, source: Path, tmp_path: Path, change: Change, prompt: Prompt | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        edit([source], tmp_path / "x.h5", model, change, prompt=prompt)


def test_files_that_cannot_be_edited(model: ModelFolder, source: Path, tmp_path: Path) -> None:
    change = Change("remove", region("8,0,0,16,16,16", units="voxels"))
    with pytest.raises(UsageError, match="is a mesh"):
        (tmp_path / "chair.glb").write_bytes(b"glTF")
        edit([tmp_path / "chair.glb"], tmp_path / "x.h5", model, change)
    coarse = tmp_path / "coarse.h5"
    asset = with_ids("0" * 64, lengths=1, coords=np.zeros((1, 3), "int16"), feats=np.zeros((1, 8), "float32"))
    write_stage(coarse, {"slat": ([asset], {"resolution": 8})}, Provenance("encode", {}))
    with pytest.raises(FileError, match=r"8\^3 grid, the model works at 16\^3"):
        edit([coarse], tmp_path / "x.h5", model, change)
    with pytest.raises(SomeFailed, match="1 of 2 inputs failed"):
        edit([coarse, source], tmp_path / "x.h5", model, change)
    assert len(assets(tmp_path / "x.h5")) == 1


def test_an_edit_without_a_prompt_follows_from_what_is_around_it(
    model: ModelFolder, source: Path, tmp_path: Path
) -> None:
    change = Change("add", region("8,0,0,16,16,16", units="voxels"))
    edit([source], tmp_path / "x.h5", model, change)
    with open_stage(tmp_path / "x.h5") as file:
        parameters = json.loads(file.attrs["parameters"])
    assert parameters["prompts"] == [] and parameters["slat"]["guidance"] == 0.0


def test_a_picture_prompts_an_edit(model: ModelFolder, source: Path, pictures: list[Path], tmp_path: Path) -> None:
    change = Change("replace", region("8,0,0,16,16,16", units="voxels"), keep_structure=True)
    edit([source], tmp_path / "x.h5", model, change, prompt=Prompt(images=(pictures[0],)), background="plain")
    edit([source], tmp_path / "y.h5", model, change, prompt=Prompt(images=(pictures[1],)), background="plain")
    assert latents(assets(tmp_path / "x.h5")[0]) != latents(assets(tmp_path / "y.h5")[0])
    with open_stage(tmp_path / "x.h5") as file:
        assert "--image red.png" in file.attrs["command"] and "--background plain" in file.attrs["command"]


def test_a_lid_closes_the_inside_where_it_is_cut() -> None:
    before = occupancy(block(), N)
    cut = torch.zeros_like(before)
    cut[8:] = True
    lid = caps(before, cut)
    want = {(8, y, z) for y in range(4, 12) for z in range(2, 10)}
    assert {tuple(v) for v in torch.argwhere(lid).tolist()} == want
    assert not caps(before, torch.zeros_like(before)).any()


def test_a_cut_along_the_surface_leaves_a_skin_over_what_is_shut_off() -> None:
    """A block's whole top is cut away: over a closed inside its last layer stays; one open below has none there."""
    cut = torch.zeros(N, N, N, dtype=torch.bool)
    cut[:, :, 10:] = True
    closed = occupancy(block(), N)
    closed[3:13, 3:13, 2] = True
    assert {tuple(v) for v in torch.argwhere(caps(closed, cut)).tolist()} == {
        (x, y, 10) for x in range(4, 12) for y in range(4, 12)
    }
    assert not caps(occupancy(block(), N), cut).any()
