"""`trellis models check`: every network and encoder is compared and loaded, and the exit code says what is amiss."""

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.published_models import DECODERS, IMAGE, TEXT, clip, dino, image_model, in_cache, text_model
from tests.test_published_pipelines import trellis
from trellis_cli.errors import TrellisError
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.stages.check_model import check

pytestmark = pytest.mark.slow
WIDTH = 12
GAUSSIANS = DECODERS["slat_decoder_gs"][0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    clip(home / "clip", width=WIDTH)
    dino(home / "dino", width=WIDTH)
    image_model(home / "image", width=WIDTH, conditioner="dinov2_vitl14_reg")
    text_model(home / "text", width=WIDTH, conditioner="openai/clip-vit-large-patch14")
    return home


@pytest.fixture(autouse=True)
def cache(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both models and both encoders, as `trellis models fetch` leaves them."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(made, tmp_path / "made")
    for name, repository in (
        ("clip", "openai/clip-vit-large-patch14"), ("dino", "facebook/dinov2-with-registers-large"),
        ("image", IMAGE), ("text", TEXT),
    ):  # fmt: skip
        in_cache(tmp_path / "made" / name, tmp_path / "hub", repository)
    return tmp_path / "hub"


@pytest.fixture
def image(made: Path, tmp_path: Path) -> Path:
    """The image model as a folder that may be spoilt."""
    return Path(shutil.copytree(made / "image", tmp_path / "image"))


def problem(found: dict[str, TrellisError | None], key: str) -> str:
    error = found[key]
    assert error is not None and all(e is None for k, e in found.items() if k != key)
    return error.problem


@pytest.mark.parametrize("name", ["mini", IMAGE, TEXT])
def test_nothing_is_wrong_with_what_is_whole(name: str) -> None:
    verdicts = json.loads(trellis("models", "check", name, "--json")[0])
    assert set(verdicts.values()) == {"ok"}
    assert {"sparse_structure_encoder", "slat_encoder", "slat_decoder_rf"} <= verdicts.keys()
    assert {"text_cond_model", "image_cond_model"} & verdicts.keys()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("out_layer.bias"), "1 missing: out_layer.bias"),
        (lambda s: s.update(extra=torch.ones(1)), "1 unknown: extra"),
        (lambda s: s.update({"out_layer.bias": torch.ones(3)}), "1 of another shape: out_layer.bias is [3], not [28]"),
        (lambda s: [s.pop(k) for k in list(s)[:9]], "9 missing: "),
    ],
)
def test_what_does_not_fit_is_named(spoil: Callable[[dict[str, Tensor]], object], message: str, image: Path) -> None:
    path = image / "ckpts" / f"{GAUSSIANS}.safetensors"
    state = load_file(path)
    spoil(state)
    save_file(state, path)
    found = check(str(image))
    said = problem(found, "slat_decoder_gs")
    assert said.startswith(message) and said.endswith(", ...") == message.startswith("9")
    assert found["slat_decoder_gs"].__traceback__ is None  # type: ignore[union-attr]  # its frames hold weights
    err = trellis("models", "check", image, code=3)[1]
    assert err.splitlines()[-2].endswith("are not what they should be: slat_decoder_gs")


def test_every_network_is_loaded_and_one_at_a_time(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose header is right and whose numbers cannot be read."""
    from trellis_cli.io.weights import StoredWeights
    from trellis_cli.networks.precision import TorsoNetwork

    loaded: list[weakref.ref[TorsoNetwork]] = []
    load = ModelFolder.load

    def watched(self: ModelFolder, key: str, **options: object) -> TorsoNetwork:
        gc.collect()
        assert not any(earlier() for earlier in loaded), f"another network is still held when {key} is loaded"
        network = load(self, key, **options)  # type: ignore[arg-type]
        loaded.append(weakref.ref(network))
        return network

    monkeypatch.setattr(ModelFolder, "load", watched)
    assert not any(check(str(image)).values())
    assert len(loaded) == 8

    read = StoredWeights._read

    def torn(self: StoredWeights, name: str) -> Tensor:
        value = read(self, name)
        if self.path.stem == GAUSSIANS and name == "out_layer.bias":
            self.path.write_bytes(self.path.read_bytes()[:-100])
            return read(self, list(self)[-1])
        return value

    monkeypatch.setattr(StoredWeights, "_read", torn)
    assert "has become shorter while it was read" in problem(check(str(image)), "slat_decoder_gs")


def test_what_is_missing_has_its_own_code_and_remedy(image: Path, cache: Path) -> None:
    (image / "ckpts" / f"{GAUSSIANS}.safetensors").unlink()
    out, err = trellis("models", "check", image, code=4)
    assert f"{GAUSSIANS}.safetensors: the weights are missing" in out
    assert err.splitlines()[-2].endswith("1 of 9 parts of " + f"{image} are missing: slat_decoder_gs")
    assert err.splitlines()[-1].strip().startswith("hint: copy ckpts/" + GAUSSIANS)

    next((cache / "models--microsoft--TRELLIS-image-large").rglob(f"{GAUSSIANS}.json")).unlink()
    for name in (IMAGE, TEXT):
        assert f"hint: trellis models fetch {name}" in trellis("models", "check", name, code=4)[1]

    next((image / "ckpts").glob("slat_flow*.safetensors")).write_bytes(b"no weights")
    assert trellis("models", "check", image, code=3)[1].splitlines()[-1].strip() == "hint: fetch the model anew"


def test_encoders_of_prompts_are_looked_at(image: Path, cache: Path, tmp_path: Path) -> None:
    encoder = next(cache.glob("models--facebook--*"))
    weights = next(encoder.rglob("model.safetensors"))
    weights.resolve().write_bytes(b"no weights")
    assert "not DINOv2 with registers" in problem(check(str(image)), "image_cond_model")
    trellis("models", "check", IMAGE, code=3)
    shutil.rmtree(encoder)
    out, err = trellis("models", "check", IMAGE, code=4)
    assert "DINOv2's weights are not on this machine" in out
    assert "hint: trellis models fetch facebook/dinov2-with-registers-large" in err

    dino(tmp_path / "wide", width=24)
    pipeline = json.loads((image / "pipeline.json").read_text())
    pipeline["args"]["image_cond_model"] = str(tmp_path / "wide")
    (image / "pipeline.json").write_text(json.dumps(pipeline))
    said = problem(check(str(image)), "image_cond_model")
    assert said.endswith("wide gives 24 channels a token, sparse_structure_flow_model wants 12")
