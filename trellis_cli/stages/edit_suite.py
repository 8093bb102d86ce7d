"""A suite of edits: a TOML file that names assets and what is to be done to them, read strictly."""

import tomllib
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from trellis_cli import recipes
from trellis_cli.data import toybox
from trellis_cli.errors import FileError, RecipeError
from trellis_cli.stages.edit_asset import Mode

KINDS = ("edit",)
SEED_STEP = 1000  # between the draws of an edit


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """An object of the toybox (its category), or the model's own sample of a text; of a seed."""

    name: str
    seed: int
    toybox: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class EditSpec:
    """One edit: boxes and spheres as `edit` takes them, in cube units; a remove needs no text."""

    name: str
    asset: str
    mode: str
    seed: int
    boxes: tuple[str, ...] = ()
    spheres: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """An edit with the seed of one of its draws."""

    spec: EditSpec
    draw: int = 0

    @property
    def stem(self) -> str:
        """Of its files."""
        return f"{self.spec.name}.{self.draw}" if self.draw else self.spec.name


@dataclass(frozen=True, slots=True)
class EditSuite:
    """Everything that is made and measured. `digest` of the contents goes into every score."""

    name: str
    kind: str
    model: str
    assets: tuple[AssetSpec, ...]
    edits: tuple[EditSpec, ...]

    @property
    def table(self) -> dict[str, Any]:
        return asdict(self)

    def tasks(self, only: Collection[str] = (), draws: int = 1) -> list[Task]:
        """Every edit, or those named, so many times: draw k has the edit's seed + 1000 k."""
        edits = [edit for edit in self.edits if not only or edit.name in only]
        return [Task(replace(edit, seed=edit.seed + SEED_STEP * k), k) for edit in edits for k in range(draws)]

    def asset(self, name: str) -> AssetSpec:
        return next(asset for asset in self.assets if asset.name == name)


def read_suite(name: str) -> EditSuite:
    """A suite by path, or a shipped one by name.

    Raises:
        RecipeError: there is none, or it is not what a suite of edits is.
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
    if table.get("kind") not in KINDS:
        raise RecipeError(
            f"{path.name}: kind is {table.get('kind')!r}", hint=f"suites of these kinds run: {', '.join(KINDS)}"
        )
    suite = recipes.build(EditSuite, table, where=path.name)
    _check(suite, path.name)
    return suite


def _check(suite: EditSuite, where: str) -> None:
    """Raises RecipeError for names that are twice, missing or no names, and for modes and assets that do not exist."""
    for kind, names in (("asset", [a.name for a in suite.assets]), ("edit", [e.name for e in suite.edits])):
        if twice := [n for n in names if names.count(n) > 1]:
            raise RecipeError(
                f"{where}: two {kind}s are called {twice[0]!r}", hint="names name files: give each its own"
            )
        if bad := [n for n in names if not n or Path(n).name != n]:
            raise RecipeError(f"{where}: {bad[0]!r} is no name of a file", hint=f"rename the {kind}")
    for asset in suite.assets:
        if bool(asset.toybox) == bool(asset.text):
            raise RecipeError(f"{where}: asset {asset.name!r} is a toybox object or a text, one of the two")
        if asset.toybox and asset.toybox not in toybox.CATEGORIES:
            raise RecipeError(
                f"{where}: the toybox has no {asset.toybox!r}", hint=f"it has {', '.join(toybox.CATEGORIES)}"
            )
    known = {asset.name for asset in suite.assets}
    for edit in suite.edits:
        if edit.asset not in known:
            raise RecipeError(f"{where}: edit {edit.name!r} is of {edit.asset!r}, which is no asset")
        if edit.mode not in get_args(Mode):
            raise RecipeError(f"{where}: edit {edit.name!r} has mode {edit.mode!r}", hint=", ".join(get_args(Mode)))


def mode_of(edit: EditSpec) -> Mode:
    return cast(Mode, edit.mode)
