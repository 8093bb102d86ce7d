"""Recipes: TOML files read strictly into frozen dataclasses. An unknown key is an error, not a surprise."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from trellis_cli.errors import RecipeError

T = TypeVar("T")
SUITES = "suites"  # the folder of what `eval` runs


def folder() -> Path:
    """The shipped recipes: inside the package in a wheel, beside it in a checkout."""
    shipped = Path(str(files("trellis_cli"))) / "_recipes"
    return shipped if shipped.is_dir() else shipped.parent.parent / "recipes"


def names() -> list[str]:
    """Every shipped recipe, as `trellis recipe list` shows it and commands take it; not the suites of `eval`."""
    found = (p.relative_to(folder()).with_suffix("") for p in folder().rglob("*.toml"))
    return sorted(p.as_posix() for p in found if p.parts[0] != SUITES)


def suites() -> list[str]:
    """Every shipped suite, as `trellis eval --suite` takes it."""
    return sorted(p.stem for p in (folder() / SUITES).glob("*.toml"))


def find(name: str) -> Path:
    """A recipe's path from a path or a shipped name. Raises RecipeError when neither."""
    for path in (Path(name), folder() / f"{name}.toml"):
        if path.is_file():
            return path
    raise RecipeError(f"no recipe {name!r}", hint=f"give a path, or one of: {', '.join(names())}")


def read(name: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The recipe's table with `a.b=value` overrides put in, and its file name for error messages."""
    path = find(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is not TOML: {error}", hint="see `trellis recipe list` for examples") from error
    for text in overrides:
        override(table, text)
    return table, path.name


def override(table: dict[str, Any], text: str) -> None:
    """Put `a.b=value` into a table. Raises RecipeError."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {text!r} is not key=value", hint="for example --set optimizer.steps=100")
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {key}: {parent!r} is not a table", hint="see `trellis recipe show NAME`")
    try:
        table[last] = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        table[last] = value


def load(cls: type[T], name: str, overrides: Sequence[str] = ()) -> T:
    """The recipe as an instance of `cls`. Raises RecipeError for unknown, missing or wrongly typed keys."""
    table, where = read(name, overrides)
    return build(cls, table, where=where)


def build(cls: type[T], table: dict[str, Any], *, where: str) -> T:
    """A dataclass from a table; nested dataclasses from nested tables; ints stand for floats."""
    types = get_type_hints(cls)
    if unknown := table.keys() - types.keys():
        raise RecipeError(f"{where}: no such key {min(unknown)!r}", hint=f"known keys: {', '.join(types)}")
    values = {}
    for f in fields(cls):  # type: ignore[arg-type]
        here = f"{where}: {f.name}"
        if f.name not in table:
            if f.default is MISSING and f.default_factory is MISSING:
                raise RecipeError(f"{here} is missing", hint=f"give it, or start from one of: {', '.join(names())}")
        elif is_dataclass(types[f.name]):
            if not isinstance(table[f.name], dict):
                raise RecipeError(f"{here} is {table[f.name]!r}, expected a table", hint=f"write [{f.name}]")
            values[f.name] = build(types[f.name], table[f.name], where=here)
        else:
            values[f.name] = _typed(table[f.name], types[f.name], here)
    return cls(**values)


def _typed(value: Any, wanted: Any, here: str) -> Any:
    origin = get_origin(wanted) or wanted
    if wanted is float and type(value) is int:
        return float(value)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(v, get_args(wanted)[0], here) for v in value)
    if origin is dict and isinstance(value, dict):
        return value
    if is_dataclass(wanted) and isinstance(wanted, type) and isinstance(value, dict):
        return build(wanted, value, where=here)
    if type(value) is not wanted:
        name = getattr(wanted, "__name__", str(wanted))
        raise RecipeError(f"{here} is {value!r}, expected {name}", hint="see `trellis recipe show NAME`")
    return value


def as_table(recipe: Any) -> dict[str, Any]:
    """The resolved recipe as plain data, to be stored with what it made."""
    return asdict(recipe)


def check_values(recipe: Any, allowed: Mapping[str, tuple[bool, str]], within: str = "") -> None:
    """Raises RecipeError for the first value that is not allowed.

    Args:
        allowed: of each key, whether its value may be, and what is wanted.
        within: the table's name before the key's, as `optimizer.`.
    """
    for name, (fine, wanted) in allowed.items():
        if not fine:
            raise RecipeError(f"{within}{name} is {getattr(recipe, name)!r}", hint=f"give {wanted}")
