"""What `trellis edit` is told, as the stage takes it: the mode, the prompt, the region, both samplers."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import UsageError
from trellis_cli.flow.repaint import Resampling
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.stages.edit_asset import Change, Mode
from trellis_cli.stages.pipeline import Multi, fine_resolution
from trellis_cli.stages.prompts import gather_prompts
from trellis_cli.stages.region_options import gather_region
from trellis_cli.stages.sample import Settings, model_settings
from trellis_cli.stages.sampler_options import changed_settings, resampling_of

DEFAULT_RESAMPLING = (Resampling(jump=8, resample=2), Resampling())  # measured in docs/editing.md


def mode_of(*, vary: bool, add: bool, remove: bool) -> Mode:
    """The mode that flags name; "replace" without any. Raises UsageError for two."""
    given = [mode for mode, on in (("vary", vary), ("add", add), ("remove", remove)) if on]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} do not go together", hint="one after the other, as two edits")
    return cast(Mode, given[0] if given else "replace")


def gather_prompt(
    text: str | None,
    images: Sequence[Path] = (),
    *,
    masks: Sequence[Path] = (),
    negative: str | None = None,
    multi: str | None = None,
    background: str = "auto",
) -> tuple[Prompt | None, Multi | None]:
    """The one prompt of an edit, or None, and how several images are to be one. Raises UsageError, FileError."""
    if text is None and not images:
        for option, given in (("--negative", negative), ("--image-mask", masks), ("--multi", multi)):
            if given:
                raise UsageError(f"{option} goes with a prompt, and there is none", hint="--text or --image")
        return None, None
    prompts, way = gather_prompts(
        [] if text is None else [text], images, masks=masks, negative=negative, multi=multi, background=background
    )
    if len(prompts) > 1:
        raise UsageError(
            f"an edit has one prompt, and {len(prompts)} are given",
            hint="several images of one object go with --multi; texts one after the other, as several edits",
        )
    return prompts[0], way


def gather_change(
    mode: Mode,
    model: ModelFolder,
    *,
    boxes: Sequence[str] = (),
    spheres: Sequence[str] = (),
    masks: Sequence[Path] = (),
    voxels: Sequence[Path] = (),
    units: str = "cube",
    grow: int = 0,
    keep_structure: bool = False,
    jump: str | None = None,
    resample: str | None = None,
    feather: float | None = None,
) -> Change:
    """The change that options describe, for the grid of a model. Raises UsageError, FileError as `gather_region`."""
    region = gather_region(boxes, spheres, masks, voxels, units=units, grow=grow, resolution=fine_resolution(model))
    if region is None and grow:
        raise UsageError("--grow is of a region, and there is none", hint="give one of --box --sphere --mask --voxels")
    walks = resampling_of(DEFAULT_RESAMPLING, jump=jump, resample=resample)
    return Change(mode, region, keep_structure, walks, feather)


def settings_of(
    model: ModelFolder, *, steps: str | None, guidance: str | None, interval: str | None, rescale_t: str | None
) -> Settings:
    """Both samplers' settings: the model's own, where nothing else is given. Raises UsageError, FileError."""
    own = model_settings(model)
    return changed_settings(own, steps=steps, guidance=guidance, interval=interval, rescale_t=rescale_t)


def default_out(inputs: Sequence[Path], mode: Mode) -> Path:
    """`x.slat.h5` and `x.glb` to `x-MODE.slat.h5` beside it. Raises UsageError where there are several inputs."""
    if len(inputs) != 1 or inputs[0].is_dir() or inputs[0].suffix.lower() == ".txt":
        raise UsageError("several assets need a name for their output", hint="for example -o edited.slat.h5")
    name = inputs[0].name
    for suffix in (".slat.h5", ".voxels.h5", inputs[0].suffix):
        name = name.removesuffix(suffix)
    return inputs[0].with_name(f"{name}-{mode}.slat.h5")
