"""`--steps --guidance --interval --rescale-t`: one value for both stages or one for each, strictly read."""

import pytest

from trellis_cli.errors import UsageError
from trellis_cli.stages.pipeline import SamplerSettings
from trellis_cli.stages.sampler_options import changed_settings

OWN = (SamplerSettings(25, 7.5, (0.5, 0.95), 3.0), SamplerSettings(12, 3.0, (0.0, 1.0), 1.0))


def test_the_models_own_stay() -> None:
    assert changed_settings(OWN) == OWN


def test_one_for_both_or_one_for_each() -> None:
    first, second = changed_settings(OWN, steps="50", guidance="0,4.5", interval="0.5-1.0, 0-.25", rescale_t="1e0")
    assert first == SamplerSettings(50, 0.0, (0.5, 1.0), 1.0)
    assert second == SamplerSettings(50, 4.5, (0.0, 0.25), 1.0)
    assert changed_settings(OWN, interval="1e-3-0.5")[0].interval == (0.001, 0.5)


BAD = {
    "steps": ("0", "1001", "25,", "1,2,3", "2.5", "-1", "", "many", "1" * 5000),
    "guidance": ("-1", "nan", "inf", "3,", "1_0", "x"),
    "interval": ("0.5", "0.9-0.5", "0-1.1", "-0.1-1", "0-1,", "a-b", "0,1", "nan-1"),
    "rescale_t": ("0", "-3", "nan", "1e999", ""),
}


@pytest.mark.parametrize(("option", "text"), [(o, t) for o, texts in BAD.items() for t in texts])
def test_strictly(option: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} ") as caught:
        changed_settings(OWN, **{option: text})
    assert caught.value.hint.startswith("for example")
