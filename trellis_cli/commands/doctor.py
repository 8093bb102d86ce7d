"""`trellis doctor`: what runs here, what does not, and why."""

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def doctor(json: o.Json = False) -> None:
    """Show versions, hardware, models, and for each op which backend would run and why others refuse.

    Exits with 4 when something needed is missing.

    Example:  trellis doctor
    """
    from trellis_cli.stages.doctor import as_text, examine

    report = examine()
    console.result(as_text(report), report, as_json=json)
    if report["problems"]:
        raise typer.Exit(4)
