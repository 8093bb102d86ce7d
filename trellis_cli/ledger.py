"""The items of a batch, and those that failed: kept beside the output with the reasons, so that a rerun knows."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli.errors import FileError, TrellisError


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of a batch: its id (a content hash), a name for messages, and whatever the work needs."""

    id: str
    name: str
    payload: Any = None


class Ledger:
    """The items that failed, one JSON object a line, beside the output. What other work left there is not read."""

    def __init__(self, path: Path, work: str) -> None:
        self.path, self.work = path, work

    @classmethod
    def beside(cls, out: Path, work: str, shard: tuple[int, int] = (0, 1)) -> "Ledger":
        """`<out>.ledger.jsonl`; each of several shards with one `out` has its own, lest they overwrite them."""
        part = f".{shard[0]}-of-{shard[1]}" if shard[1] > 1 else ""
        return cls(out.with_name(f"{out.name}{part}.ledger.jsonl"), work)

    @property
    def hint(self) -> str:
        return f"reasons in {self.path}; `--retry-failed` takes those again"

    @contextmanager
    def closing(self, failures: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
        """Write what `failures` hold when the block ends, also by an error or Ctrl-C."""
        try:
            yield
        finally:
            self.write(failures)

    def read(self) -> dict[str, dict[str, str]]:
        """Row by item id. Raises FileError for a ledger that is no such list."""
        if not self.path.is_file():
            return {}
        try:
            rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines() if line.strip()]
            return {row["id"]: row for row in rows if row.get("work") == self.work}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(f"{self.path} is damaged", hint=f"delete it: rm {self.path}") from error

    def write(self, failures: Mapping[str, Mapping[str, str]]) -> None:
        """Replace the list; without failures the file goes. Raises DiskError."""
        if not failures:
            with suppress(FileNotFoundError, NotADirectoryError):  # the output's folder may itself be what is wrong
                self.path.unlink()
            return
        from trellis_cli.io.aside import write_text

        write_text(self.path, "".join(json.dumps({**row, "work": self.work}) + "\n" for row in failures.values()))


def ledger_row(id_: str, name: str, error: Exception) -> dict[str, str]:
    """What a ledger says of an item that failed."""
    if isinstance(error, TrellisError):
        return {"id": id_, "name": name, "reason": error.problem, "hint": error.hint}
    return {"id": id_, "name": name, "reason": str(error) or type(error).__name__, "hint": ""}
