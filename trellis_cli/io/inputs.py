"""Which files a command was given: several files, folders, or a list file, all alike."""

import os
from collections.abc import Sequence
from pathlib import Path

from trellis_cli.errors import FileError, UsageError


def gather(arguments: Sequence[Path], suffixes: Sequence[str], *, what: str, others: bool = False) -> list[Path]:
    """The files meant by `arguments`: files as they are, folders searched for `suffixes`, `.txt` read as a list.

    Args:
        others: let single files of other kinds pass, for a caller that says better than this what they are.

    Raises:
        FileError: a folder without such files, a list that is no text or names none.
        UsageError: a single file of another kind.
    """
    found: list[Path] = []
    for argument in arguments:
        if argument.is_dir():
            inside = sorted(p for p in argument.rglob("*") if _meant(p, suffixes))
            if not inside:
                raise FileError(
                    f"{argument} holds nothing that is {what} ({', '.join(suffixes)})",
                    hint="give another folder, or files",
                )
            found += inside
        elif argument.suffix.lower() == ".txt" and argument.is_file():
            found += _listed(argument)
        elif not others and not argument.name.lower().endswith(tuple(suffixes)):
            there = "files of that kind, folders of them, or a .txt that lists them"
            raise UsageError(
                f"{argument} is not {what}: its name ends in none of {', '.join(suffixes)}",
                hint=there if argument.exists() else "there is no such file or folder: check the path",
            )
        else:
            found.append(argument)
    return found


def unfinished(path: Path) -> bool:
    """Whether a file is one of the parts of a batch that is still running, or was stopped."""
    return any(folder.suffix == ".parts" for folder in path.parents)


def _meant(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes)) and path.is_file() and not unfinished(path)


def _listed(path: Path) -> list[Path]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is no list: {error}", hint="a .txt names one path a line, in UTF-8") from error
    files = [path.parent / line for line in lines if line and not line.startswith("#")]
    if not files:
        raise FileError(f"{path} lists nothing", hint="one path a line")
    return files


def require_file(path: Path) -> Path:
    """The path itself. Raises FileError unless it is a readable file."""
    if not path.is_file():
        raise FileError(f"{path}: no such file", hint="check the path")
    if not os.access(path, os.R_OK):
        raise FileError(f"{path} may not be read", hint="check its permissions")
    return path
