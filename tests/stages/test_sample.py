"""`sample` of texts and images: what is asked, in which order, from which seeds, and what a bad picture costs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.published_models import image_model
from trellis_cli.data.object_crop import as_tensor
from trellis_cli.data.prompt_lists import Prompt, read_prompts
from trellis_cli.errors import FileError, MissingError, SomeFailed, UsageError
from trellis_cli.flow.sampler import euler_steps
from trellis_cli.flow.schedule import time_steps
from trellis_cli.geometry.packed import dense_to_packed, packed_to_dense
from trellis_cli.io.model_folders import ModelFolder, open_model
from trellis_cli.io.stage_files import open_stage
from trellis_cli.networks.image_tokens import load_image_tokens
from trellis_cli.stages import prompts as of_prompts
from trellis_cli.stages.conditioners import ImageConditioner, conditioner, flows_for
from trellis_cli.stages.prompts import gather_prompts, prompts_of
from trellis_cli.stages.sample import sample


@pytest.fixture
def model(both_model: Path) -> ModelFolder:
    return open_model(str(both_model))


def ids_of(path: Path) -> list[str]:
    with open_stage(path) as file:
        return file.group("slat").ids


def feats_of(path: Path) -> dict[str, np.ndarray]:
    with open_stage(path) as file:
        group = file.group("slat")
        return {id_: group.asset(i)["feats"] for i, id_ in enumerate(group.ids)}


def shown(path: Path) -> list[str]:
    """What a sheet would write over each asset."""
    with open_stage(path) as file:
        names = prompts_of(file.attrs)
        return [names[id_] for id_ in file.group("slat").ids]


def test_an_image_is_sampled_as_its_parts_say(model: ModelFolder, pictures: list[Path], tmp_path: Path) -> None:
    """The first stage written out: cut out, cropped, encoded, guided Euler steps of the image flow from seed 3."""
    sample([Prompt(images=(pictures[0],))], tmp_path / "x.h5", model, seed=3)
    with open_stage(tmp_path / "x.h5") as file:
        got = torch.from_numpy(file.group("structure").asset(0)["latent"])
    cut = np.zeros((60, 80, 4), np.uint8)
    cut[10:50, 20:50] = (255, 0, 0, 255)
    tokens = load_image_tokens(Path(model.pipeline["image_cond_model"]))
    # int(39 * 1.2) = 46 pixels around (34.5, 29.5)
    crop = Image.fromarray(cut).crop((12, 6, 58, 52)).resize((tokens.image_size,) * 2, Image.Resampling.LANCZOS)
    condition = tokens(as_tensor(crop)[None])
    assert condition.pooled is not None
    zeros = type(condition)(condition.tokens * 0, condition.offsets, condition.pooled * 0)
    flow = model.load("sparse_structure_flow_model_image")
    noise = dense_to_packed(torch.randn(1, 8, 4, 4, 4, generator=torch.Generator().manual_seed(3)))

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        time = torch.tensor([t], dtype=torch.float64)
        answers = [flow(noise.with_feats(x), time, c) for c in (condition, zeros)]
        return 3 * answers[0] - 2 * answers[1] if t >= 0.5 else answers[0]

    with torch.no_grad():
        *_, last = euler_steps(velocity, noise.feats, time_steps(2, rescale=3.0))
    torch.testing.assert_close(got, packed_to_dense(noise.with_feats(last.x))[0], atol=1e-3, rtol=1e-3)


def test_ids_and_bytes_are_those_of_one_go_whatever_the_shard(
    model: ModelFolder, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "x.jsonl").write_text(
        "\n".join(json.dumps(row) for row in ({"text": "hut"}, {"image": "red.png"}, {"text": "hut", "negative": "red"},
                                              {"image": "green.png", "seed": 9}, {"text": "boat"}))
    )  # fmt: skip
    prompts = read_prompts(tmp_path / "x.jsonl")
    whole = sample(prompts, tmp_path / "whole.h5", model, num=2, seed=5)
    assert whole.done == 10
    names = ["hut", "red.png", "hut", "green.png", "boat"]
    assert shown(tmp_path / "whole.h5") == [f"{name} ({n})" for name in names for n in (1, 2)]
    together: dict[str, np.ndarray] = {}
    for i in range(7):
        sample(prompts, tmp_path / f"{i}.h5", model, num=2, seed=5, shard=(i, 7))
        together |= feats_of(tmp_path / f"{i}.h5")
    sample(prompts, tmp_path / "each", model, num=2, seed=5)
    each: dict[str, np.ndarray] = {}
    for path in sorted((tmp_path / "each").glob("*.h5")):
        each |= feats_of(path)
    want = feats_of(tmp_path / "whole.h5")
    for got in (together, each):
        assert got.keys() == want.keys()
        assert all(np.array_equal(got[id_], want[id_]) for id_ in want)
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == [
        f"000{line}-{slug}-{n}.slat.h5"
        for line, slug in enumerate(("hut", "red", "hut", "green", "boat"))
        for n in (1, 2)
    ]
    assert shown(tmp_path / "each" / "0003-green-2.slat.h5") == ["green.png (2)"]
    assert sample(prompts, tmp_path / "each", model, num=2, seed=5).kept == 10


def test_a_shard_reads_its_own_pictures_alone(
    model: ModelFolder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has become of another shard's picture changes no byte of this one."""
    prompts = [Prompt(images=(path,)) for path in pictures]
    read: list[str] = []
    digest = of_prompts.file_digest
    monkeypatch.setattr(of_prompts, "file_digest", lambda path: read.append(path.name) or digest(path))
    for target in ("x.h5", "each"):
        sample(prompts, tmp_path / target, model, shard=(0, 2))
    assert set(read) == {"red.png", "blue.png"}
    before = {path: path.read_bytes() for path in (tmp_path / "x.h5", *(tmp_path / "each").iterdir())}
    pictures[1].unlink()
    for target in ("x.h5", "each"):
        sample(prompts, tmp_path / target, model, shard=(0, 2), overwrite=True)
    assert len(before) == 3 and before == {path: path.read_bytes() for path in before}
    sample(prompts[:1], tmp_path / "alone.h5", model)
    assert ids_of(tmp_path / "x.h5")[0] == ids_of(tmp_path / "alone.h5")[0]


def test_a_seed_of_its_own_counts_from_there(model: ModelFolder, tmp_path: Path) -> None:
    """The third asset of seed 4 draws from 6, which is what the prompt's own seed says."""
    sample(["hut", "hut", "hut"], tmp_path / "a.h5", model, seed=4)
    sample([Prompt("hut", seed=6)], tmp_path / "b.h5", model)
    a, b = feats_of(tmp_path / "a.h5"), feats_of(tmp_path / "b.h5")
    np.testing.assert_array_equal(list(a.values())[2], list(b.values())[0])
    assert not set(a) & set(b)
    sample([Prompt("hut", seed=0)], tmp_path / "c.h5", model, seed=4)
    sample(["hut"], tmp_path / "d.h5", model)
    np.testing.assert_array_equal(*(list(feats_of(tmp_path / f"{n}.h5").values())[0] for n in "cd"))


def test_a_grown_list_keeps_what_is_done(model: ModelFolder, pictures: list[Path], tmp_path: Path) -> None:
    images = [Prompt(images=(path,)) for path in pictures]
    for out in (tmp_path / "x.h5", tmp_path / "each"):
        assert sample(images[:2], out, model).done == 2
        grown = sample([*images, Prompt("hut")], out, model)
        assert (grown.done, grown.kept) == (2, 2)
    assert shown(tmp_path / "x.h5") == ["red.png", "green.png", "blue.png", "hut"]
    with pytest.raises(UsageError, match="was not made by this very command"):
        sample(images[:2], tmp_path / "x.h5", model)


@pytest.mark.parametrize("target", ["x.h5", "each"])
def test_a_bad_picture_among_several(model: ModelFolder, pictures: list[Path], tmp_path: Path, target: str) -> None:
    broken, lost = tmp_path / "broken.png", tmp_path / "lost.png"
    broken.write_bytes(pictures[0].read_bytes()[:60])
    prompts = [Prompt(images=(path,)) for path in (pictures[0], broken, lost, pictures[1])]
    out = tmp_path / target
    with pytest.raises(SomeFailed, match="2 of 4 inputs failed"):
        sample(prompts, out, model)
    ledger = out.with_name(f"{target}.ledger.jsonl")
    reasons = [json.loads(line)["reason"] for line in ledger.read_text().splitlines()]
    assert sorted("damaged" in reason for reason in reasons) == [False, True] and "no such file" in " ".join(reasons)
    before = {p: p.read_bytes() for p in (out.rglob("*.h5") if out.is_dir() else [out])}
    with pytest.raises(SomeFailed):  # nothing is done twice
        sample(prompts, out, model)
    assert {p: p.read_bytes() for p in before} == before
    for path in (broken, lost):
        shutil.copy(pictures[2], path)
    mended = sample(prompts, out, model)
    assert (mended.done, mended.kept) == (2, 2) and not ledger.exists()
    if target == "x.h5":
        assert shown(out) == ["red.png", "broken.png", "lost.png", "green.png"]


@pytest.mark.parametrize("target", ["x.h5", "each"])
def test_bad_pictures_of_one_name_are_told_apart(
    model: ModelFolder, pictures: list[Path], tmp_path: Path, target: str
) -> None:
    """In two folders, and one of them asked for twice: each is a row of the ledger that says which it is."""
    lost = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "a" / "x.png"]
    with pytest.raises(SomeFailed, match="3 of 4 inputs failed"):
        sample([Prompt(images=(path,)) for path in (*lost, pictures[0])], tmp_path / target, model)
    rows = [json.loads(line) for line in (tmp_path / f"{target}.ledger.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == [f"prompt {line}: {path}" for line, path in enumerate(lost)]
    assert len({row["id"] for row in rows}) == 3


@pytest.mark.parametrize("num", [1, 2])
@pytest.mark.parametrize("target", ["x.h5", "each"])
def test_the_only_picture_has_its_own_error(model: ModelFolder, tmp_path: Path, num: int, target: str) -> None:
    Image.new("RGBA", (9, 9)).save(tmp_path / "clear.png")
    for name, words in (("clear.png", "clear.png shows no object"), ("lost.png", "no such file")):
        with pytest.raises(FileError, match=words):
            sample([Prompt(images=(tmp_path / name,))], tmp_path / target, model, num=num)
    assert [p.name for p in tmp_path.iterdir()] == ["clear.png"]


def test_several_images_of_one_object(model: ModelFolder, pictures: list[Path], tmp_path: Path) -> None:
    """Twice the same image is that image; two steps of two images in turn are not their mean."""
    alone = Prompt(images=(pictures[0],))
    twice, pair = Prompt(images=(pictures[0], pictures[0])), Prompt(images=(pictures[0], pictures[1]))
    sample([alone], tmp_path / "alone.h5", model)
    latents, ids = {}, set()
    for multi in ("stochastic", "multidiffusion"):
        for name, prompt in (("twice", twice), ("pair", pair)):
            out = tmp_path / f"{multi}-{name}.h5"
            sample([prompt], out, model, multi=multi)
            with open_stage(out) as file:
                latents[multi, name] = file.group("structure").asset(0)["latent"]
                ids |= set(file.group("slat").ids)
    with open_stage(tmp_path / "alone.h5") as file:
        want = file.group("structure").asset(0)["latent"]
    for multi in ("stochastic", "multidiffusion"):
        np.testing.assert_allclose(latents[multi, "twice"], want, atol=1e-4)
        assert abs(latents[multi, "pair"] - want).max() > 1e-3
    assert abs(latents["stochastic", "pair"] - latents["multidiffusion", "pair"]).max() > 1e-3
    assert len(ids) == 4 and shown(tmp_path / "stochastic-pair.h5") == ["red.png+green.png"]


def test_what_changes_an_id(model: ModelFolder, pictures: list[Path], tmp_path: Path) -> None:
    """Not the picture's name or folder; its bytes, the mask, the way its background is found, the line."""
    mask = tmp_path / "mask.png"
    Image.new("L", (80, 60), 255).save(mask)
    (tmp_path / "far").mkdir()
    moved = shutil.copy(pictures[0], tmp_path / "far" / "other.png")

    def id_of(*prompts: Prompt, **options: str) -> str:
        out = tmp_path / "x.h5"
        sample(prompts, out, model, overwrite=True, **options)  # type: ignore[arg-type]
        return ids_of(out)[-1]

    one = Prompt(images=(pictures[0],))
    want = id_of(one, background="plain")
    assert id_of(Prompt(images=(moved,)), background="plain") == want
    others = [
        id_of(one, background="keep"),
        id_of(Prompt(images=(pictures[1],)), background="plain"),
        id_of(Prompt(images=(pictures[0],), masks=(mask,)), background="plain"),
        id_of(one, one, background="plain"),
    ]
    assert len({want, *others}) == 5
    masked = Prompt(images=(pictures[0],), masks=(mask,))
    assert id_of(masked, background="keep") == others[2]  # a mask leaves nothing to find


def test_the_picture_as_the_encoder_sees_it(model: ModelFolder, pictures: list[Path], tmp_path: Path) -> None:
    sample([Prompt("hut"), Prompt(images=(pictures[0],))], tmp_path / "x.h5", model, prepared=tmp_path / "seen")
    (seen,) = (tmp_path / "seen").iterdir()
    with Image.open(seen) as picture:
        assert seen.name == "0001-red.png" and picture.mode == "RGBA" and picture.size == (128, 128)
        assert picture.getpixel((64, 64)) == (255, 0, 0, 255) and picture.getpixel((2, 2))[3] == 0  # type: ignore[index]
    sample([Prompt("hut"), Prompt(images=(seen,))], tmp_path / "y.h5", model, prepared=tmp_path / "seen")
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["0001-0001-red.png", "0001-red.png"]
    with pytest.raises(UsageError, match="--prepared is for image prompts"):
        sample(["hut"], tmp_path / "z.h5", model, prepared=tmp_path / "seen")


def test_models_for_one_kind_refuse_the_other(model: ModelFolder, tmp_path: Path) -> None:
    images = open_model(str(image_model(tmp_path / "images", width=12, conditioner="dinov2_vitl14_reg")))
    assert (flows_for(model, "text"), flows_for(model, "image"), flows_for(images, "image")) == ("", "_image", "")
    with pytest.raises(MissingError, match="images does not answer to text prompts") as caught:
        flows_for(images, "text")
    assert caught.value.hint == "choose --model mini or --model microsoft/TRELLIS-text-large"
    only_text = ModelFolder("texts", model.path)
    only_text.__dict__["pipeline"] = {k: v for k, v in model.pipeline.items() if k != "image_cond_model"}
    with pytest.raises(MissingError, match="texts does not answer to image prompts") as caught:
        flows_for(only_text, "image")
    assert "--model microsoft/TRELLIS-image-large" in caught.value.hint
    with pytest.raises(MissingError):
        sample(["hut"], tmp_path / "x.h5", images)


def test_missing_conditioners_say_what_to_fetch(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for kind, source, wanted in (
        ("text", "openai/clip-vit-large-patch14", "openai/clip-vit-large-patch14"),
        ("image", "dinov2_vitl14_reg", "facebook/dinov2-with-registers-large"),
    ):
        other = ModelFolder("x", tmp_path)
        other.__dict__["pipeline"] = {f"{kind}_cond_model": source}
        with pytest.raises(MissingError) as caught:
            conditioner(other, kind, device="cpu", background="plain")
        assert wanted in caught.value.hint
    other.__dict__["pipeline"] = {"text_cond_model": "lost"}
    with pytest.raises(MissingError, match="the text encoder's file is missing"):
        conditioner(other, "text", device="cpu", background="plain")


def test_options_that_do_not_fit(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "pair.jsonl").write_text(json.dumps({"image": ["red.png", "green.png"]}))
    (tmp_path / "names.csv").write_text("text,name\nhut,a\nboat,a\n")
    with pytest.raises(UsageError, match="--multi 'both' is not known"):
        gather_prompts(images=pictures, multi="both")
    with pytest.raises(UsageError, match="several images of one object, and there are none"):
        gather_prompts(images=pictures[:1], multi="stochastic")
    with pytest.raises(UsageError, match="--background 'foo' is not known"):
        gather_prompts(["hut"], background="foo")
    with pytest.raises(UsageError, match="2 --mask for 3 --image"):
        gather_prompts(images=pictures, masks=pictures[:2])
    with pytest.raises(UsageError, match="--negative goes with text prompts"):
        gather_prompts(images=pictures, negative="red")
    with pytest.raises(FileError, match="pair.jsonl line 1 has 2 images of one object"):
        gather_prompts(lists=[tmp_path / "pair.jsonl"])
    with pytest.raises(FileError, match="two prompts have the name 'a'"):
        gather_prompts(lists=[tmp_path / "names.csv"])


def test_the_order_of_prompts(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("boat\n")
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.png", "words.txt"):
        (tmp_path / "in" / name).write_bytes(pictures[0].read_bytes())
    asked, multi = gather_prompts(
        ["hut"], [tmp_path / "in", pictures[1]], [tmp_path / "x.txt"], masks=pictures, negative="red"
    )
    assert [p.label for p in asked] == ["hut", "a.png", "b.png", "green.png", "boat"] and multi is None
    assert [p.negative for p in asked] == ["red", "", "", "", "red"]
    assert [p.masks for p in asked[1:4]] == [(path,) for path in pictures]
    asked, multi = gather_prompts(images=[tmp_path / "in"], multi="stochastic")
    assert [p.label for p in asked] == ["a.png+b.png"] and multi == "stochastic"


def test_a_picture_is_encoded_once_for_all_its_assets(
    model: ModelFolder, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = conditioner(model, "image", device="cpu", background="plain")
    assert isinstance(encoder, ImageConditioner)
    first = encoder.condition(Prompt(images=tuple(pictures)))
    assert len(first) == 3 and len(encoder.negative(Prompt(images=tuple(pictures)))) == 1
    monkeypatch.setattr(encoder, "encoder", None)
    assert encoder.condition(Prompt(images=tuple(pictures))) is first
