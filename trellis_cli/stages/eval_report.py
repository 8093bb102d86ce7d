"""What `eval` writes, whatever it has measured: one JSON with all of it, and a table for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli import console
from trellis_cli.errors import SomeFailed, UsageError
from trellis_cli.io.aside import write_text

MARK = "suite_digest"  # a key that every report has


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Where the scores are, all of them, and a table for people."""

    out: Path
    report: dict[str, Any]
    table: str

    @property
    def text(self) -> str:
        return f"{self.table}\n{self.out}"


def check_out(out: Path, *, overwrite: bool = False) -> None:
    """Raises UsageError for an output that is no .json, or another file in the way; a report is written anew."""
    if out.suffix.lower() != ".json":
        raise UsageError(f"-o {out}: scores are a .json, or a page, .html", hint="for example -o scores.json")
    if out.exists() and not overwrite and not _is_report(out):
        raise UsageError(f"{out} exists and holds no scores", hint="pass --overwrite to replace it")


def check_html(html: Path | None, *, overwrite: bool = False) -> None:
    """Raises UsageError for a page that cannot be written; before the work, not after it."""
    if html is not None and html.exists() and not overwrite:
        raise UsageError(f"{html} exists", hint="pass --overwrite to replace it")


def finished(
    out: Path, report: dict[str, Any], table: str, failed: Sequence[Mapping[str, Any]], num: int
) -> Evaluation:
    """Write a report of `num` scored things; where some failed, say so with their reasons.

    Raises:
        SomeFailed: some failed; the others' scores are written.
        DiskError: the disk is full.
    """
    assert MARK in report
    write_text(out, json.dumps(report, indent=1, sort_keys=True) + "\n")
    evaluation = Evaluation(out, report, table)
    if failed:
        console.note(evaluation.text)
        raise SomeFailed(
            f"{len(failed)} of {num + len(failed)} failed, the first: {failed[0]['reason']}", hint=f"reasons in {out}"
        )
    return evaluation


def _is_report(path: Path) -> bool:
    try:
        return MARK in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
