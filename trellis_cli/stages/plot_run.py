"""The curves of a training run, as a picture."""

from pathlib import Path

from trellis_cli.errors import FileError
from trellis_cli.io.charts import curves
from trellis_cli.training.log import read_rows

NAME = "curves.png"


def plot_run(run: Path) -> Path:
    """Draw RUN/log.jsonl to RUN/curves.png: each term of the loss, the gradient's norm, the scores of evaluations.

    Raises:
        FileError: there is no log, or nothing in it yet.
    """
    log = run / "log.jsonl"
    rows = read_rows(log) if log.is_file() else []
    if not rows:
        raise FileError(f"{log}: no log of a training", hint="give the folder of a run, as --out named it")
    curves(run / NAME, rows, title=run.name)
    return run / NAME
