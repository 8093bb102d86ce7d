"""Models named by their id on the hub: found in its cache, whatever lies where; nothing asks the network."""

import hashlib
import shutil
import socket
from pathlib import Path

import pytest
import torch

from tests.published_models import DECODERS, IMAGE, OLD_IMAGE, TEXT, image_model, in_cache, text_model
from trellis_cli.errors import FileError, MissingError
from trellis_cli.io import hub
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.networks.heads import GaussianDecoder


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    image_model(home / "TRELLIS-image-large", width=12, conditioner="dinov2_vitl14_reg")
    text_model(home / "TRELLIS-text-base", width=12, conditioner="openai/clip-vit-large-patch14")
    return home


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way out of this machine."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "hub"


def fetched(originals: Path, cache: Path, *ids: str) -> None:
    for id_ in ids:
        copy = cache.parent / "copy"
        shutil.copytree(originals / id_.partition("/")[2], copy)
        in_cache(copy, cache, id_)
        shutil.rmtree(copy)


def test_decoders_in_another_repository(originals: Path, cache: Path) -> None:
    """The published text pipelines name them under an owner of before."""
    fetched(originals, cache, IMAGE, TEXT)
    text, image = open_model(TEXT), open_model(OLD_IMAGE)
    assert (text.id, image.id) == (TEXT, IMAGE)
    assert text.models["slat_decoder_gs"].startswith(OLD_IMAGE)
    assert text.stem("slat_decoder_gs") == image.stem("slat_decoder_gs")
    assert isinstance(text.load("slat_decoder_gs"), GaussianDecoder)
    assert text.stem("slat_flow_model").is_relative_to(cache)


def test_folders_side_by_side(originals: Path, cache: Path) -> None:
    text = open_model(str(originals / "TRELLIS-text-base"))
    wanted = originals / "TRELLIS-image-large" / "ckpts" / DECODERS["slat_decoder_mesh"][0]
    assert text.stem("slat_decoder_mesh") == wanted


@pytest.mark.parametrize("where", ["folder", "cache"])
def test_encoders_that_the_pipeline_does_not_name(where: str, originals: Path, cache: Path) -> None:
    fetched(originals, cache, IMAGE, TEXT)
    for name in (IMAGE, TEXT):
        model = open_model(name if where == "cache" else str(originals / name.partition("/")[2]))
        assert model.load("sparse_structure_encoder").state_dict()
        assert model.has("slat_encoder")


def test_a_model_that_was_never_fetched(cache: Path) -> None:
    with pytest.raises(MissingError, match="TRELLIS-image-large/pipeline.json is not in the hub's cache") as caught:
        open_model(IMAGE)
    assert caught.value.hint == f"trellis models fetch {IMAGE}"


def test_weights_that_are_missing_are_named_with_what_fetches_them(originals: Path, cache: Path) -> None:
    fetched(originals, cache, TEXT)
    with pytest.raises(MissingError, match=r"ss_dec_conv3d_16l8_fp16\.json") as caught:
        open_model(TEXT).load("sparse_structure_decoder")
    assert caught.value.hint == f"trellis models fetch {TEXT}"
    alone = cache.parent / "alone"
    shutil.copytree(originals / "TRELLIS-text-base", alone)
    with pytest.raises(MissingError) as caught:
        open_model(str(alone)).load("slat_decoder_gs")
    assert caught.value.hint == f"trellis models fetch {IMAGE}"
    weights = next((alone / "ckpts").glob("slat_flow*.safetensors"))
    weights.unlink()
    with pytest.raises(MissingError, match=weights.name):
        open_model(str(alone)).load("slat_flow_model")


def test_a_file_whose_blob_is_gone_is_missing(originals: Path, cache: Path) -> None:
    fetched(originals, cache, IMAGE)
    stem = open_model(IMAGE).stem("slat_decoder_gs")
    stem.with_name(stem.name + ".safetensors").resolve().unlink()
    with pytest.raises(MissingError, match="slat_dec_gs.*the weights are missing"):
        open_model(IMAGE).load("slat_decoder_gs")


def test_the_digest_is_of_the_bytes_wherever_they_lie(originals: Path, cache: Path, tmp_path: Path) -> None:
    fetched(originals, cache, IMAGE, TEXT)
    for name in (IMAGE, TEXT):
        assert open_model(name).digest == open_model(str(originals / name.partition("/")[2])).digest
    other = tmp_path / "other"
    shutil.copytree(originals / "TRELLIS-image-large", other)
    weights = other / "ckpts" / "slat_enc_swin8_B_64l8_fp16.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert ModelFolder("other", other).digest != open_model(IMAGE).digest


@pytest.mark.parametrize("id_", [IMAGE, TEXT])
def test_the_digest_is_of_the_encoder_too(id_: str, originals: Path, cache: Path, tmp_path: Path) -> None:
    fetched(originals, cache, id_)
    digests = [open_model(id_).digest]
    encoder = {IMAGE: "facebook/dinov2-with-registers-large", TEXT: "openai/clip-vit-large-patch14"}[id_]
    names = ("config.json", "model.safetensors", "tokenizer.json", "vocab.json", "flax_model.msgpack")
    for changed in (None, *names):
        folder = tmp_path / "encoder"
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name if name != changed else "other")
        home = in_cache(folder, cache, encoder).parent.parent
        shutil.rmtree(folder)
        digests.append(open_model(id_).digest)
        shutil.rmtree(home)
    without, whole, *others = digests
    assert len({without, whole, *others[:3]}) == 5
    assert set(others[3:]) == {whole}  # tokenizer.json is read in the place of vocab.json


def test_an_encoder_of_the_models_own_counts_as_before(originals: Path, cache: Path, tmp_path: Path) -> None:
    """The digest of the shipped layout, written out: ids of what was sampled stay what they are."""
    folder = tmp_path / "own"
    shutil.copytree(originals / "TRELLIS-image-large", folder)
    text = (folder / "pipeline.json").read_text()
    (folder / "pipeline.json").write_text(text.replace("dinov2_vitl14_reg", "ckpts"))
    for name in ("image_encoder.json", "image_encoder.safetensors", "licence.txt"):
        (folder / "ckpts" / name).write_text(name)
    want = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors")):
        want.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    assert ModelFolder("own", folder).digest == want.hexdigest()


def test_a_cached_digest_is_that_of_the_bytes(originals: Path, cache: Path) -> None:
    fetched(originals, cache, IMAGE)
    model = open_model(IMAGE)
    known = {name: hub.known_digest(path) for name, path in model.files.items()}
    assert {name for name, digest in known.items() if digest} == {n for n in known if n.endswith(".safetensors")}
    assert all(d == hashlib.sha256(model.files[n].read_bytes()).hexdigest() for n, d in known.items() if d)
    plain = next((originals / "TRELLIS-image-large" / "ckpts").glob("*.safetensors"))
    assert hub.known_digest(plain) is None


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_HUB_CACHE": "/a/b"}, "/a/b"),
        ({"HUGGINGFACE_HUB_CACHE": "/c"}, "/c"),
        ({"HF_HOME": "/d"}, "/d/hub"),
        ({"XDG_CACHE_HOME": "/e"}, "/e/huggingface/hub"),
        ({"HOME": "/f"}, "/f/.cache/huggingface/hub"),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert hub.cache_folder() == Path(folder)


def test_names_that_are_no_model(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no model 'nothing'"):
        open_model("nothing")
    with pytest.raises(FileError, match="has no pipeline.json"):
        open_model(str(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_are_cast_as_they_are_read(dtype: torch.dtype, originals: Path, cache: Path) -> None:
    network = open_model(str(originals / "TRELLIS-image-large")).load("slat_flow_model", dtype=dtype)
    for name, value in network.state_dict().items():
        assert value.dtype == (dtype if network.is_half(name) else torch.float32), name
    assert not any(value.is_meta for value in (*network.parameters(), *network.buffers()))
