"""Checks that suites of every kind share: names that name files, objects that the toybox has."""

from collections.abc import Sequence
from pathlib import Path

from trellis_cli.data import toybox
from trellis_cli.errors import RecipeError


def check_names(what: str, names: Sequence[str], where: str) -> None:
    """Raises RecipeError for names that are there twice, or name no file."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise RecipeError(f"{where}: two {what}s are called {twice[0]!r}", hint="names name files: give each its own")
    if bad := [name for name in names if not name or Path(name).name != name]:
        raise RecipeError(f"{where}: {bad[0]!r} is no name of a file", hint=f"rename the {what}")


def check_toybox(category: str, where: str) -> None:
    """Raises RecipeError for a category that the toybox has not."""
    if category not in toybox.CATEGORIES:
        raise RecipeError(f"{where}: the toybox has no {category!r}", hint=f"it has {', '.join(toybox.CATEGORIES)}")
