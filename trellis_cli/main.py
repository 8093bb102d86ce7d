"""The `trellis` command: every subcommand registered, and every expected error made two lines."""

import sys
from importlib import import_module

import typer
from typer.core import TyperGroup

from trellis_cli import __version__, console
from trellis_cli.errors import TrellisError

# Typer brings its own click in newer releases and uses the library in older ones: take the one it stands on.
click = import_module(typer.Context.__mro__[1].__module__.removesuffix(".core"))

# In the order of the pipeline, which is the order `trellis --help` shows.
COMMANDS = (
    "voxelize", "render", "featurize", "encode", "train-vae", "train-flow",
    "sample", "decode", "view", "inspect", "models", "recipe", "data", "doctor",
)  # fmt: skip


class InOrder(TyperGroup):
    """Lists the commands as registered, not by the alphabet."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
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
) -> None:
    pass


def _register() -> None:
    for name in COMMANDS:
        module = import_module(f"trellis_cli.commands.{name.replace('-', '_')}")
        if (sub := getattr(module, "app", None)) is not None:
            app.add_typer(sub, name=name)
        else:
            app.command(name)(getattr(module, name.replace("-", "_")))


_register()


def run(arguments: list[str] | None = None) -> None:
    """Entry point of the console scripts: exit codes as errors.py lists them."""
    try:
        code = app(arguments, standalone_mode=False)
    except TrellisError as error:
        console.error(error.problem, error.hint)
        sys.exit(error.code)
    except click.exceptions.UsageError as error:
        path = error.ctx.command_path if error.ctx else "trellis"
        console.error(error.format_message(), f"see `{path} --help`")
        sys.exit(2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        console.error("stopped by the user", "what was finished is kept; run the same command again to go on")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
