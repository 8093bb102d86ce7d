"""What a suite asks for: the caption of each of its objects, or a picture of it; and a table of them for others."""

import csv
import io
from pathlib import Path

from PIL import Image

from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.renderers.mesh import render_views
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.reconstruction_scores import random_camera
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_objects import SuiteObject, suite_objects


def prompt_of(one: SuiteObject, suite: ObjectSuite, work: Path) -> Prompt:
    """The caption of an object, or a picture of it on transparent ground, put into WORK/prompts.

    Raises FileError without a caption.
    """
    protocol = suite.generation
    if protocol.prompt == "text":
        if one.prompt is None:
            raise FileError(f"{one.name} has no caption", hint="a captions.csv with file,caption beside it")
        return Prompt(one.prompt)
    path = work / "prompts" / f"{one.name}.png"
    low, high = protocol.prompt_pitch_deg
    camera = random_camera(protocol, one.name, (low, high))
    rgba = render_views(into_cube(one.mesh(work / "objects"))[0], camera, size=protocol.prompt_size).rgba[0]
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    if not path.is_file() or path.read_bytes() != buffer.getvalue():
        write_bytes(path, buffer.getvalue())
    return Prompt(images=(path,))


def write_prompts(
    suite: ObjectSuite, out: Path, *, work: Path, data: Path | None = None, overwrite: bool = False
) -> int:
    """A table of object and prompt, a caption or a picture's path, of all that are made anew; returns how many.

    With a column `file` of what another program made of each it is the table that `--assets` takes.

    Raises:
        UsageError: the output is no .csv, or in the way.
        MissingError, FileError: the set is not there, or an object has no caption.
    """
    if out.suffix.lower() != ".csv":
        raise UsageError(f"--prompts {out}: prompts are a .csv", hint="for example --prompts prompts.csv")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists", hint="pass --overwrite to replace it")
    objects = suite_objects(suite, data)["generation"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("object", "prompt"))
    for one in objects:
        prompt = prompt_of(one, suite, work)
        table.writerow((one.name, prompt.text if prompt.text is not None else prompt.images[0]))
    write_text(out, text.getvalue())
    return len(objects)
