"""Write docs/formats.md from trellis_cli/io/schema.py, and docs/cli.md from the commands' own help.

    python docs/generate.py          (or `just docs`)

tests/test_docs.py fails while a committed page differs from what this writes.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer

from trellis_cli.io import schema
from trellis_cli.main import COMMANDS

FOLDER = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py; change the source and run it again. -->"
SHARED_BY = 4  # commands that have an option before it is listed once for all
HEAD = ("option", "value", "default", "meaning")


def pages() -> dict[str, str]:
    """File name to content."""
    return {"formats.md": formats_page(), "cli.md": cli_page()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def formats_page() -> str:
    lines = [
        "# Stage files",
        NOTE,
        "",
        f"HDF5, format `{schema.FORMAT}` version {schema.FORMAT_VERSION}. A file holds one group or more; a group "
        "holds b assets packed end to end: `ids [b]` names them, `lengths [b]` says how many rows of the packed "
        "datasets each has. `trellis inspect FILE` shows and checks all of it.",
        "",
        f"Axes: {schema.AXES}.",
        "",
        "Every float is finite; strings are UTF-8 attributes; no links leave the file. The attribute `content` of a "
        "group is the sha256 over its datasets in the order below: name, type and shape as text and a zero byte, then "
        "the values; `trellis verify` holds them to it, and files from before it lack it. The same work writes the "
        "same bytes.",
        "",
        "## Attributes of the file",
        "",
        *table(("attribute", "meaning"), [(f"`{k}`", v) for k, v in schema.ROOT_ATTRIBUTES.items()]),
    ]
    for group in schema.GROUPS.values():
        lines += ["", *_group(group)]
    return "\n".join(lines) + "\n"


def _group(group: schema.Group) -> Iterator[str]:
    yield f"## /{group.name}"
    yield ""
    yield f"{group.doc} Written by `{group.command}`; version {group.version}."
    if group.attrs:
        yield ""
        yield "Attributes: " + ", ".join(f"`{name}` ({kind.__name__})" for name, kind in group.attrs.items()) + "."
    packed = [f"{axis} by `{name}`" for axis, name in group.packed.items()]
    yield ""
    yield f"Packed: {', '.join(packed)}."
    yield ""
    rows = [_dataset(name, field) for name, field in group.fields.items()]
    yield from table(("dataset", "type", "shape", "unit", "meaning"), rows)


def _dataset(name: str, field: schema.Field) -> tuple[str, ...]:
    low_high = f"; {field.bounds[0]} to {field.bounds[1]:g}" if field.bounds and field.bounds[1] <= 1e4 else ""
    optional = "; may be missing" if field.optional else ""
    shape = f"[{', '.join(map(str, field.shape))}]"
    return f"`{name}`", field.dtype, shape, field.unit, field.doc + low_high + optional


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command, as its function declares it."""

    names: tuple[str, ...]  # of an option "-o", "--out"; of an argument "inputs"
    type: Any
    default: Any
    info: Any  # typer's OptionInfo or ArgumentInfo

    @property
    def is_option(self) -> bool:
        return isinstance(self.info, typer.models.OptionInfo)

    @property
    def many(self) -> bool:
        return get_origin(self.type) is list or any(get_origin(t) is list for t in get_args(self.type))

    @property
    def needed(self) -> bool:
        return self.default in (inspect.Parameter.empty, ...)

    @property
    def value(self) -> str:
        plain = {bool: "", int: "N", float: "X", Path: "PATH", str: "TEXT"}
        inner = [t for t in (self.type, *get_args(self.type)) if t in plain] or [str]
        return self.info.metavar or plain[inner[0]]

    def row(self) -> tuple[str, ...]:
        text = self.info.help or ""
        low, high = self.info.min, self.info.max
        if high is not None:
            text += f" ({low} to {high})"
        elif low:
            text += f" (at least {low})"
        default = "" if self.default is None or self.default is False else f"`{self.default}`"
        if isinstance(self.info.show_default, str):
            default = self.info.show_default
        value = f"`{self.value}`" if self.is_option and self.value else ""
        return ", ".join(f"`{n}`" for n in self.names), value, "needed" if self.needed else default, text


@dataclass(frozen=True)
class Command:
    name: str
    function: Callable[..., None]

    @property
    def parameters(self) -> list[Parameter]:
        hints = get_type_hints(self.function, include_extras=True)
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            type_, info = get_args(hints[name])
            option = isinstance(info, typer.models.OptionInfo)
            first = (info.default,) if isinstance(info.default, str) else ()  # where Annotated puts the first name
            names = (*first, *(info.param_decls or ())) or (f"--{name.replace('_', '-')}" if option else name,)
            found.append(Parameter(names, type_, parameter.default, info))
        return found

    def text(self) -> tuple[str, list[str], list[str]]:
        """Summary, further paragraphs and examples of the docstring."""
        paragraphs = inspect.cleandoc(self.function.__doc__ or "").split("\n\n")
        examples = [p.removeprefix("Example:").strip() for p in paragraphs if p.startswith("Example:")]
        others = [" ".join(p.split()) for p in paragraphs if not p.startswith("Example:")]
        return others[0], others[1:], examples

    def usage(self) -> str:
        words = [self.name]
        for p in self.parameters:
            if not p.is_option:
                word = p.names[0] + ("..." if p.many else "")
                words.append(word if p.needed else f"[{word}]")
            elif p.needed:
                words.append(f"{p.names[0]} {p.value}")
        return " ".join([*words, "[OPTIONS]"])


def commands() -> Iterator[Command]:
    """Every command that does something, in the order of `trellis --help`, with its full name."""
    for name in COMMANDS:
        module = import_module(f"trellis_cli.commands.{name.replace('-', '_')}")
        if (sub := getattr(module, "app", None)) is None:
            yield Command(f"trellis {name}", getattr(module, name.replace("-", "_")))
        else:
            for info in sub.registered_commands:
                yield Command(f"trellis {name} {info.name or info.callback.__name__}", info.callback)


def cli_page() -> str:
    every = list(commands())
    shared = Counter(p.row() for c in every for p in c.parameters if p.is_option)
    common = {row for row, count in shared.items() if count >= SHARED_BY}
    lines = [
        "# Commands",
        NOTE,
        "",
        "`-o` names the output, and its extension the format. Results go to stdout, messages to stderr. Exit codes: 0 "
        "done, 1 failed, 2 wrong usage, 3 a file is not what it should be, 4 a library or weights are missing, 5 some "
        "items failed.",
        "",
        *table(
            ("command", "what it does"),
            [(f"[`{c.name}`](#{c.name.replace(' ', '-')})", c.text()[0]) for c in every],
        ),
        "",
        "## Common options",
        "",
        "They mean the same wherever a command has them; each command below names those it has.",
        "",
        *table(HEAD, sorted(common, key=lambda row: row[0].split("--")[1])),
    ]
    for command in every:
        lines += ["", *_command(command, common)]
    return "\n".join(lines) + "\n"


def _command(command: Command, common: set[tuple[str, ...]]) -> Iterator[str]:
    summary, more, examples = command.text()
    yield from (f"## {command.name}", "", " ".join([summary, *more]), "", "```", command.usage(), "```")
    for example in examples:
        yield from ("", f"For example `{example}`.")
    if own := [p.row() for p in command.parameters if p.row() not in common]:
        yield from ("", *table(HEAD, own))
    if also := [p.row()[0] for p in command.parameters if p.row() in common]:
        yield from ("", "Common: " + ", ".join(also) + ".")


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
