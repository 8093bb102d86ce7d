"""The command that a file says it was made by: words that the command line takes, and that say the same."""

import shlex
from typing import Any

import pytest

from trellis_cli.io.canonical_command import canonical_command
from trellis_cli.stages.pipeline import SamplerSettings
from trellis_cli.stages.sampler_options import changed_settings

FIRST: dict[str, Any] = {"steps": 25, "guidance": 7.5, "interval": (0.5, 0.95), "rescale_t": 3.0}
SECOND: dict[str, Any] = FIRST | {"steps": 12}
SAMPLERS = "--steps 25,12 --guidance 7.5 --interval 0.5-0.95 --rescale-t 3"
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def sampled(*prompts: dict[str, Any], seed: int = 0, inputs: Any = (), **more: Any) -> str:
    """What stands between the command and its samplers."""
    parameters = {"prompts": list(prompts), "num": 1, "structure": FIRST, "slat": SECOND, "dtype": "float32"} | more
    whole = canonical_command("sample", parameters, seed=seed, inputs=inputs)
    before, _, after = whole.partition(f" {SAMPLERS}")
    assert before.startswith("trellis sample ") and after.startswith(" ")
    return before.removeprefix("trellis sample ") + " |" + after


def image(line: int, *files: str, images: int = 1, masks: int = 0, **more: Any) -> dict[str, Any]:
    return {"line": line, "image": "x.png", "images": images, "masks": masks, "files": list(files), **more}


def test_prompts_as_they_are_typed() -> None:
    hut, cabin = {"line": 0, "text": "hut"}, {"line": 1, "text": "log cabin"}
    assert sampled(hut, cabin, model="mini") == "--text hut --text 'log cabin' | --dtype float32 --model mini --seed 0"
    negative = [{**entry, "negative": "red"} for entry in (hut, cabin)]
    assert sampled(*negative).startswith("--text hut --text 'log cabin' --negative red |")
    assert sampled({"line": 0, "image": "x.png", "images": 1, "masks": 0}).startswith("--image x.png |")
    names = [(A, "a.png"), (B, "b.png"), (C, "c.png")]
    assert sampled(hut, image(1, A, B, masks=1), inputs=names).startswith("--text hut --image a.png --mask b.png |")
    both = sampled(image(0, A, C, images=2), inputs=names, multi="stochastic", background="plain")
    assert both == "--image a.png --image c.png | --background plain --dtype float32 --multi stochastic --seed 0"
    assert sampled(image(0, A), inputs=names[:2], voxels=[C]).startswith("--image a.png --structure b.png |")


def test_one_prompt_of_a_list_has_its_own_seed() -> None:
    """So that the command draws what the file holds."""
    assert sampled({"line": 3, "text": "hut"}, seed=5, num=2).endswith("--num 2 --seed 11")
    assert sampled({"line": 3, "text": "hut", "seed": 9}, seed=5).endswith("--seed 9")


@pytest.mark.parametrize(
    "prompts",
    [
        [{"line": k, "text": "hut"} for k in range(9)],
        [{"line": 0, "text": "hut", "seed": 7}, {"line": 1, "text": "hut"}],
        [image(0, A), {"line": 1, "text": "hut"}],
        [{"line": 0, "text": "hut", "negative": "red"}, {"line": 1, "text": "hut"}],
        [image(0, A, B, images=2), image(1, C)],
        [{"line": 0, "text": "hut " * 1000}],
    ],
)
def test_what_options_cannot_say_is_a_list(prompts: list[dict[str, Any]]) -> None:
    assert sampled(*prompts).startswith("--prompts prompts.jsonl |")


def test_settings_come_back() -> None:
    tiny: dict[str, Any] = SECOND | {"guidance": 1e-7}
    words = shlex.split(canonical_command("sample", {"structure": FIRST, "slat": tiny}))
    given = {k[2:].replace("-", "_"): v for k, v in zip(words[2::2], words[3::2], strict=True) if k != "--seed"}
    other = SamplerSettings(1, 0.0, (0.0, 1.0), 1.0)
    first, second = changed_settings((other, other), **given)
    assert first == SamplerSettings(**FIRST) and second == SamplerSettings(**tiny)


def test_inputs_and_flags() -> None:
    parameters = {"depth": True, "normal": False, "fov_deg": 40.0, "size": 64}
    rendered = canonical_command("render", parameters, seed=2, inputs=[(B, "b c.glb"), (A, "a.glb")])
    assert rendered == "trellis render a.glb 'b c.glb' --depth --fov-deg 40 --size 64 --seed 2"
    many = [(f"{k:064x}", f"{k}.glb") for k in range(9)]
    assert (
        canonical_command("voxelize", {"resolution": 64}, inputs=many) == "trellis voxelize inputs.txt --resolution 64"
    )
