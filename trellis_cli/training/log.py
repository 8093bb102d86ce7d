"""A run's log: RUN/log.jsonl, the console, and the trackers that a recipe names."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trellis_cli import console
from trellis_cli.io.aside import write_text

PHASES = ("data", "forward", "backward", "optimizer")


class Log:
    """One row a report. `track` hands the same figures on, as {name: value}, with the step."""

    def __init__(self, path: Path, start: int, steps: int, *, active: bool = True, track: Any = None) -> None:
        self.path, self.start, self.steps, self.active, self.track = path, start, steps, active, track
        self.scored: set[int] = set()
        if path.exists() and active:  # rows after the checkpoint are done again
            rows = [r for r in read_rows(path) if r["step"] <= start]
            write_text(path, "".join(json.dumps(r) + "\n" for r in rows))
            self.scored = {r["step"] for r in rows if "scores" in r}
        self._clear()

    def _clear(self) -> None:
        self.sums: dict[str, float] = {}
        self.seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self.count = self.assets = self.skipped = 0
        self.since = time.monotonic()

    def add(self, terms: Mapping[str, float], norm: float, assets: int, *, skipped: bool) -> None:
        """One step's terms; a step that was left out is counted, its terms are not."""
        self.count += 1
        self.assets += assets
        self.skipped += skipped
        for name, value in {} if skipped else {**terms, "norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def spent(self, phase: str, since: float) -> float:
        """Book the time since a moment of the clock `time.perf_counter` to a phase; gives the present moment."""
        now = time.perf_counter()
        self.seconds[phase] += now - since
        return now

    def flush(self, step: int) -> None:
        seconds = time.monotonic() - self.since
        taken = max(1, self.count - self.skipped)
        means = {k: round(v / taken, 6) for k, v in self.sums.items()}
        whole = sum(self.seconds.values()) or 1.0
        row: dict[str, Any] = {"step": step, **means, "seconds_a_step": round(seconds / self.count, 4)}
        row["shares"] = {k: round(v / whole, 4) for k, v in self.seconds.items()}
        row |= {"skipped": self.skipped} if self.skipped else {}
        self._write(row)
        left = (self.steps - step) * seconds / self.count / 60
        shown = "  ".join(f"{k} {v:.4g}" for k, v in means.items())
        shown += f"  {self.skipped} steps left out" if self.skipped else ""
        if self.active:
            console.note(
                f"step {step}/{self.steps}  {shown}  {self.assets / seconds:.1f} assets/s  {left:.0f} min left"
            )
        self._tracked(means, step)
        self._clear()

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        self.scored.add(step)
        if scores:
            self._write({"step": step, "scores": dict(scores)})
            console.note(f"step {step}  " + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))
            self._tracked(scores, step)
        self.since = time.monotonic() if not self.count else self.since

    def _tracked(self, values: Mapping[str, float], step: int) -> None:
        if self.track is not None and self.active:
            self.track(dict(values), step)

    def _write(self, row: dict[str, Any]) -> None:
        if not self.active:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; half a line, which a killed process leaves, is passed over."""
    rows = map(_row, path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if isinstance(row, dict) and "step" in row]


def _row(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
