"""`trellis models`: what it says of models here and elsewhere, fetching without a network, and packing foreign runs."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from tests.published_models import DECODERS, IMAGE, TEXT, image_model, in_cache, text_model
from trellis_cli.errors import MissingError, UsageError
from trellis_cli.io.model_folders import open_model
from trellis_cli.networks.published import build_network
from trellis_cli.stages import models

GAUSSIANS = DECODERS["slat_decoder_gs"][0]


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return image_model(tmp_path / "TRELLIS-image-large", width=12, conditioner="dinov2_vitl14_reg")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return text_model(tmp_path / "TRELLIS-text-base", width=12, conditioner="openai/clip-vit-large-patch14")


def states() -> dict[str, str]:
    return {entry.id: entry.state for entry in models.listing()}


def test_list_says_what_is_here(image: Path, text: Path, hub_cache: Path, tmp_path: Path) -> None:
    assert states() == {"mini": "shipped", **dict.fromkeys(models.RELEASED, "not fetched")}
    in_cache(text, hub_cache, TEXT)
    assert states()[TEXT] == "in part"  # its decoders are in the other repository
    shutil.copytree(image, tmp_path / "mine")
    in_cache(image, hub_cache, IMAGE)
    in_cache(tmp_path / "mine", hub_cache, "someone/chairs")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "pipeline.json").write_text('{"args": {"models": {}}}')
    in_cache(foreign, hub_cache, "other/kind")
    assert states() == {
        "mini": "shipped", **dict.fromkeys(models.RELEASED, "not fetched"), TEXT: "fetched", IMAGE: "fetched",
        "someone/chairs": "fetched",
    }  # fmt: skip
    assert {e.licence for e in models.listing() if e.id in models.RELEASED} == {"MIT"}


def test_list_counts_the_bytes_that_are_here(image: Path, text: Path, hub_cache: Path) -> None:
    def megabytes() -> dict[str, float]:
        return {entry.id: entry.megabytes for entry in models.listing()}

    assert megabytes()[TEXT] == round(models.RELEASED[TEXT].bytes / 1e6, 1)
    size = sum(p.stat().st_size for p in text.rglob("*") if p.is_file())
    in_cache(text, hub_cache, TEXT)
    assert megabytes()[TEXT] == round(size / 1e6, 1) < 1  # in part
    in_cache(image, hub_cache, IMAGE)
    assert round(size / 1e6, 1) < megabytes()[TEXT] < 20  # with the decoders of the other repository


def test_a_folder_called_mini_is_not_the_shipped_one(image: Path, tmp_path: Path) -> None:
    image.rename(tmp_path / "mini")
    assert models.describe(str(tmp_path / "mini"))["licence"] == "unknown; see its model card"
    assert models.describe("mini")["licence"] == models.SHIPPED_LICENCE


def test_info(image: Path, hub_cache: Path) -> None:
    report = models.describe(str(image))
    assert report["digest"] == open_model(str(image)).digest and report["image_cond_model"] == "dinov2_vitl14_reg"
    decoder = report["networks"]["slat_decoder_gs"]
    name, args = DECODERS["slat_decoder_gs"][1:]
    assert decoder["parameters"] == sum(p.numel() for p in build_network(name, args).parameters())
    assert (decoder["name"], decoder["dtype"]) == (name, "F16+F32")
    (image / "ckpts" / f"{GAUSSIANS}.safetensors").unlink()
    assert "weights are missing" in models.describe(str(image))["networks"]["slat_decoder_gs"]["problem"]


class NoRepository(RepositoryNotFoundError):
    def __init__(self) -> None:
        Exception.__init__(self, "404")  # without the server's answer that its base asks for


class Hub:
    """huggingface_hub.snapshot_download of repositories that are folders here; remembers what was asked of it.

    As the true one: patterns are globs, what is cached stays as it is, and a repository that is cached in part is
    answered by its snapshot where the network is forbidden or down.
    """

    def __init__(self, repositories: dict[str, Path], cache: Path) -> None:
        self.repositories, self.cache = repositories, cache
        self.asked: list[str] = []
        self.is_down = False

    def snapshot_download(
        self, repo_id: str, *, allow_patterns: list[str], cache_dir: Path, local_files_only: bool
    ) -> str:
        assert cache_dir == self.cache
        self.asked.append(repo_id)
        home = self.cache / ("models--" + repo_id.replace("/", "--"))
        snapshot = home / "snapshots" / "main"
        if local_files_only or self.is_down:
            if snapshot.is_dir():
                return str(snapshot)
            raise LocalEntryNotFoundError("no snapshot of it is here")
        if repo_id not in self.repositories:
            raise NoRepository
        snapshot.mkdir(parents=True, exist_ok=True)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / "main").write_text("main")
        source = self.repositories[repo_id]
        for path in (p.relative_to(source) for p in sorted(source.rglob("*")) if p.is_file()):
            if any(fnmatch(str(path), pattern) for pattern in allow_patterns) and not (snapshot / path).exists():
                (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / path, snapshot / path)
        return str(snapshot)


@pytest.fixture
def there(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, within reach, without any repository."""
    import huggingface_hub

    made = Hub({}, hub_cache)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_fetch_brings_networks_decoders_and_encoder(
    image: Path, text: Path, hub_cache: Path, tmp_path: Path, there: Hub
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for name in ("config.json", "model.safetensors", "flax_model.msgpack"):
        (clip / name).write_text("{}")
    (text / "ckpts" / "training.pt").write_text("not wanted")
    there.repositories |= {IMAGE: image, TEXT: text, "openai/clip-vit-large-patch14": clip}
    report = models.fetch(TEXT)
    assert there.asked == [TEXT, TEXT, IMAGE, "openai/clip-vit-large-patch14"]
    assert report["id"] == TEXT and not models.missing_files(open_model(TEXT))
    assert open_model(TEXT).load("slat_decoder_gs").state_dict()
    names = {p.name for p in hub_cache.rglob("*") if p.is_file()}
    assert "training.pt" not in names and "flax_model.msgpack" not in names
    assert not any(name.startswith("slat_flow_img") for name in names)  # the other model's own flows


def test_fetch_of_encoders(image: Path, hub_cache: Path, tmp_path: Path, there: Hub) -> None:
    """Of a model that names any repository as its encoder, of one with its own encoder in it, and an encoder alone."""
    wanted = {"config.json", "model-00001-of-00001.safetensors", "model.safetensors.index.json", "tokenizer.json"}
    (tmp_path / "clip").mkdir()
    for name in (*wanted, "pytorch_model.bin", "README.md"):
        (tmp_path / "clip" / name).write_text("{}")
    pipeline = json.loads((image / "pipeline.json").read_text())
    pipeline["args"] |= {"text_cond_model": "someone/clip", "image_cond_model": "ckpts"}
    (image / "pipeline.json").write_text(json.dumps(pipeline))
    (image / "ckpts" / "image_encoder.safetensors").write_text("weights")
    there.repositories |= {"someone/chairs": image, "someone/clip": tmp_path / "clip"}
    models.fetch("someone/chairs")
    assert there.asked == ["someone/chairs", "someone/chairs", "someone/clip"]
    assert {p.name for p in (hub_cache / "models--someone--clip" / "snapshots" / "main").iterdir()} == wanted
    assert list(hub_cache.rglob("image_encoder.safetensors"))

    shutil.rmtree(hub_cache)
    report = models.fetch("someone/clip")
    assert {p.name for p in Path(report["path"]).iterdir()} == wanted
    (tmp_path / "clip" / "model-00001-of-00001.safetensors").unlink()
    shutil.rmtree(hub_cache)
    with pytest.raises(MissingError, match=r"someone/clip: model\.safetensors did not come"):
        models.fetch("someone/clip")


def test_fetch_by_torch_hubs_name(tmp_path: Path, there: Hub) -> None:
    (tmp_path / "dino").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "dino" / name).write_text("{}")
    there.repositories["facebook/dinov2-with-registers-large"] = tmp_path / "dino"
    assert models.fetch("dinov2_vitl14_reg")["id"] == "facebook/dinov2-with-registers-large"


def test_fetch_says_what_the_hub_lacks(image: Path, there: Hub) -> None:
    there.repositories[IMAGE] = image
    (image / "ckpts" / f"{GAUSSIANS}.safetensors").unlink()
    with pytest.raises(MissingError, match="the hub has no public model 'nobody/nothing'"):
        models.fetch("nobody/nothing")
    with pytest.raises(MissingError, match=f"{IMAGE}: ckpts/{GAUSSIANS}.safetensors did not come") as caught:
        models.fetch(IMAGE)
    assert caught.value.hint == f"with a network, `trellis models fetch {IMAGE}` goes on"


def test_fetch_of_what_is_no_hub_model() -> None:
    with pytest.raises(UsageError, match="nothing to fetch"):
        models.fetch("mini")
    with pytest.raises(UsageError, match="no id on the hub"):
        models.fetch("./folder/of/mine")


def test_offline_nothing_is_fetched(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError, match="HF_HUB_OFFLINE forbids fetching it"):
        models.fetch(IMAGE)


@pytest.mark.parametrize("lost", [f"ckpts/{GAUSSIANS}.safetensors", "pipeline.json"])
def test_offline_what_is_cached_in_part_is_named(
    lost: str, image: Path, hub_cache: Path, there: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_cache(image, hub_cache, IMAGE) / lost).unlink()
    snapshot = hub_cache / "models--microsoft--TRELLIS-image-large" / "snapshots"
    (snapshot / ("0" * 40)).rename(snapshot / "main")
    (snapshot.parent / "refs" / "main").write_text("main")
    there.is_down = True  # what is cached is then the answer
    with pytest.raises(MissingError, match=f"{IMAGE}: {lost}.* did not come: the hub was out of reach, or"):
        models.fetch(IMAGE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError, match=f"{IMAGE}: {lost}.* is not in the cache .*HF_HUB_OFFLINE forbids") as caught:
        models.fetch(IMAGE)
    assert caught.value.code == 4 and caught.value.hint == f"HF_HUB_OFFLINE=0 trellis models fetch {IMAGE}"


def test_no_network_is_told_as_such(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*args: object, **kwargs: object) -> str:
        raise LocalEntryNotFoundError("cannot reach the hub\nand more lines")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(MissingError, match=f"{IMAGE} cannot be fetched: cannot reach the hub$") as caught:
        models.fetch(IMAGE)
    assert f"trellis models fetch {IMAGE}" in caught.value.hint
