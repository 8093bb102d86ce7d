"""A suite of edits: a TOML file that names assets and what is to be done to them, read strictly."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, cast, get_args

from trellis_cli import recipes
from trellis_cli.errors import RecipeError
from trellis_cli.stages.edit_asset import Mode
from trellis_cli.stages.suite_names import check_names, check_toybox

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


def edit_suite(table: dict[str, Any], where: str) -> EditSuite:
    """A suite from its TOML table. Raises RecipeError for what no suite of edits is."""
    suite = recipes.build(EditSuite, table, where=where)
    _check(suite, where)
    return suite


def _check(suite: EditSuite, where: str) -> None:
    """Raises RecipeError for names that are twice, missing or no names, and for modes and assets that do not exist."""
    check_names("asset", [asset.name for asset in suite.assets], where)
    check_names("edit", [edit.name for edit in suite.edits], where)
    for asset in suite.assets:
        if bool(asset.toybox) == bool(asset.text):
            raise RecipeError(f"{where}: asset {asset.name!r} is a toybox object or a text, one of the two")
        if asset.toybox:
            check_toybox(asset.toybox, where)
    known = {asset.name for asset in suite.assets}
    for edit in suite.edits:
        if edit.asset not in known:
            raise RecipeError(f"{where}: edit {edit.name!r} is of {edit.asset!r}, which is no asset")
        if edit.mode not in get_args(Mode):
            raise RecipeError(f"{where}: edit {edit.name!r} has mode {edit.mode!r}", hint=", ".join(get_args(Mode)))


def mode_of(edit: EditSpec) -> Mode:
    return cast(Mode, edit.mode)
