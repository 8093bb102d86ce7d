"""The `trellis` command: every subcommand registered, and every expected error made two lines."""

import errno
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from trellis_cli import __version__, console, invocation
from trellis_cli.errors import TrellisError

# Typer brings its own click in newer releases and uses the library in older ones: take the one it stands on.
click = import_module(typer.Context.__mro__[1].__module__.removesuffix(".core"))

# What no program can help: the places that write files say more, this is for those that write a line here and there.
_DISK = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space",
    errno.EIO: "look after the disk",
    errno.EROFS: "choose another folder",
    errno.EACCES: "check its permissions",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose another folder",
    errno.EEXIST: "choose another folder",
}

# In the order of the pipeline, which is the order `trellis --help` shows.
COMMANDS = (
    "voxelize", "render", "featurize", "encode", "train-vae", "train-flow",
    "sample", "decode", "edit", "eval", "study", "view", "inspect", "stats", "merge", "split",
    "verify",
    "models", "recipe", "data", "doctor",
)  # fmt: skip


class InOrder(TyperGroup):
    """Lists the commands as registered, not by the alphabet."""

    def list_commands(self, ctx: Any) -> list[str]:  # a Context of whichever click typer stands on
        return list(self.commands)


app = typer.Typer(
    cls=InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Structured 3D latents: words or pictures to 3D objects, and everything around that.",
)


def _version(show: bool) -> bool:
    if show:
        console.result(f"trellis {__version__}")
        raise typer.Exit
    return show


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    as_worker: str = typer.Option("", "--as-worker", hidden=True),
) -> None:
    invocation.set_role(as_worker)


def _register() -> None:
    for name in COMMANDS:
        module = import_module(f"trellis_cli.commands.{name.replace('-', '_')}")
        if (sub := getattr(module, "app", None)) is not None:
            app.add_typer(sub, name=name)
        else:
            app.command(name)(getattr(module, name.replace("-", "_")))


_register()


def run(arguments: list[str] | None = None) -> None:
    """Entry point of the console scripts: exit codes as errors.py lists them, 130 for Ctrl-C, 141 for a closed pipe."""
    try:
        code = _answer(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `trellis ... | head`: nobody reads on, as with any other program
        _close_stdout()
        code = 141
    sys.exit(code)


def _answer(arguments: list[str]) -> int:
    """Run one command; its exit code. Only bugs, and a closed pipe, come out as exceptions."""
    invocation.begin(arguments)
    command = typer.main.get_command(app)
    try:  # not `app(...)`, which in some versions of typer answers Ctrl-C and closed pipes in its own way
        with command.make_context("trellis", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except TrellisError as error:
        console.error(error.problem, error.hint)
        return error.code
    except click.exceptions.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # newer ones have shown the help, older ones show it now
            error.show()
            return 2
        context = getattr(error, "ctx", None)
        console.error(error.format_message(), f"see `{context.command_path if context else 'trellis'} --help`")
        return 2
    except (typer.Abort, KeyboardInterrupt) as stop:
        code = getattr(stop, "code", 130)  # training says which signal it was
        by = "the user" if code == 130 else signal.Signals(code - 128).name
        console.error(f"stopped by {by}", "what was finished is kept; run the same command again to go on")
        return code
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        console.error(f"{where}{error.strerror}", f"{_DISK[error.errno]}, then run the same command again")
        return 1
    return 0


def _close_stdout() -> None:
    """Lead stdout nowhere, or the interpreter would complain once more when it flushes at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
