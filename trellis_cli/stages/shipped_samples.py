"""The sample files that docs/editing.md works on, copied out of the package."""

from pathlib import Path

from trellis_cli import recipes
from trellis_cli.errors import UsageError
from trellis_cli.io.aside import write_bytes

FOLDER = "samples"
NOT_COPIED = (".py", ".pyc")


def shipped_samples() -> list[Path]:
    """The shipped files: objects with their latents, a mesh, a mask of each kind, a picture and what they are."""
    found = (recipes.folder() / FOLDER).iterdir()
    return sorted(path for path in found if path.is_file() and path.suffix not in NOT_COPIED)


def copy_samples(out: Path, *, overwrite: bool = False) -> list[Path]:
    """Copy them into a folder; files that are there and the same stay. Returns where they are.

    Raises:
        UsageError: another file of such a name is in the way; nothing is copied.
        DiskError: the disk is full, or the folder cannot be made.
    """
    todo: dict[Path, bytes] = {}
    targets = [(path, out / path.name) for path in shipped_samples()]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder", hint="for example -o samples")
    for path, target in targets:
        data = path.read_bytes()
        if not target.exists():
            todo[target] = data
        elif not target.is_file() or target.read_bytes() != data:
            if not overwrite or not target.is_file():
                raise UsageError(f"{target} exists and is another file", hint="another folder, or --overwrite")
            todo[target] = data
    for target, data in todo.items():
        write_bytes(target, data)
    return [target for _, target in targets]
