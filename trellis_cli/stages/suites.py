"""Suites of `eval`: TOML files, shipped or one's own, each of a kind that says what is done."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from trellis_cli import recipes
from trellis_cli.errors import FileError, RecipeError
from trellis_cli.stages.ablation_suite import AblationSuite, ablation_suite
from trellis_cli.stages.edit_suite import EditSuite, edit_suite
from trellis_cli.stages.object_suite import ObjectSuite, object_suite

KINDS = {"edit": edit_suite, "objects": object_suite, "ablation": ablation_suite}
Suite = EditSuite | ObjectSuite | AblationSuite


def read_suite(name: str, overrides: Sequence[str] = ()) -> Suite:
    """A suite by path, or a shipped one by name, with `a.b=value` overrides put in.

    Raises:
        RecipeError: there is none, or it is not what a suite of its kind is.
        FileError: the file is no TOML.
    """
    shipped = recipes.folder() / recipes.SUITES / f"{name}.toml"
    path = next((p for p in (Path(name), shipped) if p.is_file()), None)
    if path is None:
        raise RecipeError(f"no suite {name!r}", hint=f"give a path, or one of: {', '.join(recipes.suites())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not TOML: {error}", hint="a suite is a .toml file") from error
    for text in overrides:
        recipes.override(table, text)
    if table.get("kind") not in KINDS:
        raise RecipeError(
            f"{path.name}: kind is {table.get('kind')!r}", hint=f"suites of these kinds run: {', '.join(KINDS)}"
        )
    return KINDS[table["kind"]](table, path.name)
