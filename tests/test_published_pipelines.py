"""Tiny random models in the released layout, from images and from texts, by the commands a user types.

The text model's decoders live in the image model's repository, both in a hub's cache; nothing asks the network.
"""

import gc
import json
import socket
import weakref
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from tests.published_models import FINE, IMAGE, OLD_IMAGE, TEXT, clip, dino, image_model, in_cache, text_model
from trellis_cli.io.gaussian_files import read_gaussians
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.main import run
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.stages import prompt_encoders
from trellis_cli.stages.conditioners import Conditioner, ImageConditioner, TextConditioner

WIDTH = 24
T = TypeVar("T")
FIXED = ("--device", "cpu", "--dtype", "float32")


def trellis(*arguments: object, code: int = 0) -> tuple[str, str]:
    """What the command prints to stdout and to stderr; it must end with `code`."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        run([str(a) for a in arguments])
    assert (caught.value.code or 0) == code, err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models and both encoders, as `trellis models fetch` leaves them."""
    home = tmp_path_factory.mktemp("published")
    hub = home / "hub"
    in_cache(clip(home / "clip", width=WIDTH), hub, "openai/clip-vit-large-patch14")
    in_cache(dino(home / "dino", width=WIDTH), hub, "facebook/dinov2-with-registers-large")
    in_cache(image_model(home / "image", width=WIDTH, conditioner="dinov2_vitl14_reg"), hub, IMAGE)
    in_cache(text_model(home / "text", width=WIDTH, conditioner="openai/clip-vit-large-patch14"), hub, TEXT)
    return hub


@pytest.fixture(autouse=True)
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def voxels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two assets: a ball and a rod."""
    path = tmp_path_factory.mktemp("given") / "two.voxels.h5"
    grid = np.stack(np.meshgrid(*[np.arange(FINE)] * 3, indexing="ij"), -1).reshape(-1, 3)
    shapes = (np.abs(np.linalg.norm(grid - 7.5, axis=1) - 6) < 0.7, (grid[:, :2] // 2 == 3).all(1))
    assets = [
        with_ids(str(k) * 64, lengths=int(s.sum()), coords=grid[s].astype("int16"), source_to_cube=np.eye(4))
        for k, s in enumerate(shapes)
    ]
    write_stage(path, {"voxels": (assets, {"resolution": FINE})}, Provenance("test", {}))
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "chair.png"
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[8:30, 10:34] = (200, 30, 60, 255)
    Image.fromarray(rgba).save(path)
    return path


PROMPTS = {"text": ("--model", TEXT, "--text", "a red chair"), "image": ("--model", IMAGE)}


def prompt(kind: str, picture: Path) -> tuple[object, ...]:
    return (*PROMPTS[kind], *(("--image", picture) if kind == "image" else ()))


@pytest.mark.parametrize("kind", ["text", "image"])
def test_prompt_to_every_format(kind: str, picture: Path, voxels: Path, tmp_path: Path) -> None:
    slat = tmp_path / "x.slat.h5"
    said = trellis("sample", *prompt(kind, picture), *FIXED, "-o", slat)[0]
    assert "1 assets" in said
    model = PROMPTS[kind][1]
    with open_stage(slat) as file:
        assert json.loads(file.attrs["model"])["id"] == model
        assert file.group("structure").asset(0)["latent"].shape == (8, 4, 4, 4)
        num = int(file.group("slat").lengths[0])
    again = (slat, "--model", model, *FIXED)
    trellis("decode", *again, "-o", tmp_path / "x.ply", "--format", "gaussians")
    assert len(read_gaussians(tmp_path / "x.ply")) == 2 * num
    trellis("decode", *again, "-o", tmp_path / "x.glb")
    assert len(read_mesh(tmp_path / "x.glb").faces)
    trellis("decode", *again, "-o", tmp_path / "x.rf.h5")
    with open_stage(tmp_path / "x.rf.h5") as file:
        assert int(file.group("radiance_field").lengths[0]) == num


class Live:
    """Which networks and encoders are in memory, by weak references; and how many there were whenever one was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refs: dict[str, weakref.ref[object]] = {}
        self.read: list[str] = []
        self.counts: list[int] = []
        load, encoder = ModelFolder.load, prompt_encoders.conditioner

        def loaded(model: ModelFolder, key: str, **options: Any) -> TorsoNetwork:
            return self.watched(key, load(model, key, **options))

        def encoding(model: ModelFolder, kind: str, **options: Any) -> Conditioner:
            made = encoder(model, kind, **options)
            assert isinstance(made, TextConditioner | ImageConditioner)
            self.watched(kind, made.encoder)
            return made

        monkeypatch.setattr(ModelFolder, "load", loaded)
        monkeypatch.setattr(prompt_encoders, "conditioner", encoding)

    def watched(self, name: str, thing: T) -> T:
        gc.collect()
        self.refs[name] = weakref.ref(thing)
        self.read.append(name)
        self.counts.append(sum(ref() is not None for ref in self.refs.values()))
        return thing

    def start_anew(self) -> None:
        self.__dict__.update(refs={}, read=[], counts=[])


@pytest.mark.parametrize("kind", ["text", "image"])
def test_where_networks_are_changes_no_byte(
    kind: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two prompts, two assets each: all is read once and stays, or nothing stays while another is read.

    Then what a prompt was encoded to is kept for its second asset; the encoder is not.
    """
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    more = ("--text", "red") if kind == "text" else ("--image", other)
    live, read, most = Live(monkeypatch), {}, {}
    for way in ("--keep-loaded", "--one-at-a-time"):
        live.start_anew()
        latents = tmp_path / f"{way}.h5"
        trellis("sample", *prompt(kind, picture), *more, "--num", 2, *FIXED, way, "-o", latents)
        read[way] = list(live.read)
        if kind == "text":  # latents are latents
            trellis("decode", tmp_path / "--keep-loaded.h5", "--model", TEXT, *FIXED, way, "-o", tmp_path / way)
        most[way] = max(live.counts)
    names = ["--keep-loaded", "--one-at-a-time"]
    networks = ["sparse_structure_flow_model", "sparse_structure_decoder", "slat_flow_model"]
    assert [read[way] for way in names] == [[kind, *networks], 2 * [kind, *networks, *networks]]
    assert [most[way] for way in names] == [4, 1]
    assert len({(tmp_path / f"{way}.h5").read_bytes() for way in names}) == 1
    made = [{p.name: p.read_bytes() for p in (tmp_path / way).glob("*")} for way in names]
    assert len(made[0]) == (4 if kind == "text" else 0) and made[0] == made[1]


def test_several_assets_keep_small_networks(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(monkeypatch)
    trellis("sample", *prompt("text", picture), *FIXED, "-o", tmp_path / "one.h5")
    assert set(live.counts) == {1}
    live.start_anew()
    trellis("sample", *prompt("text", picture), *FIXED, "--num", 2, "-o", tmp_path / "two.h5")
    assert max(live.counts) == 4  # all fit in half of the memory that is free


def test_given_voxels(voxels: Path, tmp_path: Path) -> None:
    two = ("--model", TEXT, "--text", "a red chair", "--text", "red")
    said = ("sample", *two, "--structure", voxels, *FIXED, "-o", tmp_path / "x.h5")
    trellis(*said)
    with open_stage(tmp_path / "x.h5") as file, open_stage(voxels) as given:
        assert set(file.groups) == {"slat"}
        for k in range(2):
            assert np.array_equal(file.group("slat").asset(k)["coords"], given.group("voxels").asset(k)["coords"])
        assert voxels.name in file.attrs["inputs"]
        ids = file.group("slat").ids
    assert "done already" in trellis(*said)[0]
    trellis(*said[:-1], tmp_path / "each")
    for path in (tmp_path / "each").iterdir():
        with open_stage(path) as file:
            assert voxels.name in file.attrs["inputs"]
    # Its own output, voxels of latents now, is the same work by the same ids: what counts are the voxels.
    trellis("sample", *two, "--structure", tmp_path / "x.h5", *FIXED, "-o", tmp_path / "y.h5")
    for shard in ("0/2", "1/2"):
        part = tmp_path / f"{shard[0]}.h5"
        trellis("sample", *two, "--structure", voxels, *FIXED, "--shard", shard, "-o", part)
    parts = []
    for name in ("y", "0", "1"):
        with open_stage(tmp_path / f"{name}.h5") as file:
            parts += file.group("slat").ids
    assert parts == [*ids, *ids]


@pytest.mark.parametrize(
    ("texts", "resolution", "code", "message"),
    [
        (3, FINE, 2, "holds 2 assets for 3 prompts"),
        (2, 8, 3, "voxels of a 8^3 grid, the model works at 16^3"),
    ],
)
def test_voxels_that_do_not_fit(texts, resolution, code, message, tmp_path: Path) -> None:
    path = tmp_path / "given.h5"
    assets = [
        with_ids(str(k) * 64, lengths=1, coords=np.array([[k, 1, 2]], "int16"), source_to_cube=np.eye(4))
        for k in range(2)
    ]
    write_stage(path, {"voxels": (assets, {"resolution": resolution})}, Provenance("test", {}))
    words = [word for k in range(texts) for word in ("--text", f"chair {k}")]
    err = trellis("sample", "--model", TEXT, *words, "--structure", path, *FIXED, "-o", tmp_path / "x.h5", code=code)[1]
    assert message in err and len(err.splitlines()) == 2
    assert code != 3 or err.endswith(f"trellis voxelize MESH --resolution {FINE} -o given-{FINE}.voxels.h5\n")


def test_dry_run_computes_nothing(voxels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trellis_cli.io.weights import StoredWeights

    monkeypatch.setattr(StoredWeights, "_read", lambda self, name: pytest.fail(f"{name} was read"))
    texts = ("sample", "--model", TEXT, "--text", "a chair", "-o", tmp_path / "x.h5", "--dry-run", "--json")
    table = json.loads(trellis(*texts, "--steps", "4,2", "--dtype", "float32")[0])
    keys = [stage["network"]["key"] for stage in table["stages"]]
    assert keys == ["text_cond_model", "sparse_structure_flow_model", "sparse_structure_decoder", "slat_flow_model"]
    assert [stage["steps"] for stage in table["stages"]] == [None, 4, None, 2]
    assert table["stages"][1]["passes"] == 8  # its four times 1, 0.9, 0.75 and 0.5 all lie in the interval
    half = json.loads(trellis(*texts, "--dtype", "bfloat16")[0])
    assert half["stages"][1]["network"]["bytes"] < table["stages"][1]["network"]["bytes"]
    given = json.loads(trellis(*texts, "--text", "red", "--structure", voxels)[0])
    assert [stage["network"]["key"] for stage in given["stages"]] == ["text_cond_model", "slat_flow_model"]
    with open_stage(voxels) as file:
        assert given["voxels"] == int(file.group("voxels").lengths.max())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_encoder_of_prompts_is_planned_for(
    kind: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, whatever the networks compute in; and it counts where networks are kept."""
    command = (
        "sample",
        *prompt(kind, picture),
        "-o",
        tmp_path / "x.h5",
        "--dry-run",
        "--num",
        2,
        "--dtype",
        "bfloat16",
    )
    table = json.loads(trellis(*command, "--json")[0])
    first, *others = [entry["network"] for entry in table["stages"]]
    loaded = prompt_encoders.conditioner(open_model(PROMPTS[kind][1]), kind, device="cpu", background="plain")
    assert isinstance(loaded, TextConditioner | ImageConditioner)
    network: Any = loaded.encoder
    network = network.network if kind == "text" else network.encoder.network
    assert first["key"] == f"{kind}_cond_model"
    assert first["parameters"] == sum(p.numel() for p in network.parameters())
    assert first["bytes"] == 4 * first["parameters"]
    for free, keep in ((first["bytes"] // 2, True), (-1, False)):
        room = 2 * (first["bytes"] + sum(entry["bytes"] for entry in others)) + min(free, 0)
        monkeypatch.setattr("trellis_cli.stages.resident.free_bytes", lambda device, room=room: room)
        assert json.loads(trellis(*command, "--json")[0])["keep"] is keep


@pytest.mark.parametrize(("multi", "passes"), [("stochastic", 50), ("multidiffusion", 75)])
def test_several_images_are_planned_for(multi: str, passes: int, picture: Path, tmp_path: Path) -> None:
    images = (*prompt("image", picture), "--image", picture, "--multi", multi, "--steps", 25, "--interval", "0-1")
    table = json.loads(trellis("sample", *images, "-o", tmp_path / "x.h5", "--dry-run", "--json")[0])
    assert [entry["passes"] for entry in table["stages"]] == [None, passes, None, passes]


def test_missing_weights_exit_with_what_fetches_them(voxels: Path, tmp_path: Path) -> None:
    err = trellis("sample", "--model", "microsoft/TRELLIS-text-xlarge", "--text", "x", "-o", tmp_path / "x.h5", code=4)[
        1
    ]
    assert "microsoft/TRELLIS-text-xlarge/pipeline.json" in err
    assert err.splitlines()[1].strip() == "hint: trellis models fetch microsoft/TRELLIS-text-xlarge"


def test_encode_with_encoders_that_no_pipeline_names(voxels: Path, tmp_path: Path) -> None:
    trellis("encode", voxels, "--model", OLD_IMAGE, *FIXED, "-o", tmp_path / "x.h5")
    with open_stage(tmp_path / "x.h5") as file:
        assert file.group("structure").asset(0)["latent"].shape == (8, 4, 4, 4)


def test_models_commands(cache: Path) -> None:
    listed = {entry["id"]: entry["state"] for entry in json.loads(trellis("models", "list", "--json")[0])}
    assert listed["mini"] == "shipped" and listed[TEXT] == listed[IMAGE] == "fetched"
    assert TEXT in trellis("models", "list")[0]
    assert "SLatGaussianDecoder" in trellis("models", "info", TEXT)[0]
    assert set(json.loads(trellis("models", "check", IMAGE, "--json")[0]).values()) == {"ok"}
