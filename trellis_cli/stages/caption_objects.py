"""Captions for the objects of a manifest, by a model that sees views of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trellis_cli import console
from trellis_cli.data.captioning import PROMPTS, Cost, Describer, caption_views, cost
from trellis_cli.data.manifest import Row, manifest_text
from trellis_cli.errors import SomeFailed, TrellisError, Unreachable
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.aside import write_text
from trellis_cli.ledger import Ledger
from trellis_cli.renderers.mesh import render_views
from trellis_cli.stages.manifest_rows import (
    check_out,
    mesh_path,
    read_sidecar,
    relative_row,
    row_items,
    rows_of,
    work_rows,
)
from trellis_cli.stages.sources import into_cube

NUM_VIEWS, SIZE, PITCH_DEG = 4, 512, 20.0
PATIENCE = 5  # objects in a row without an answer, before the endpoint is given up


@dataclass(frozen=True, slots=True)
class CaptionSummary:
    out: Path
    captioned: int
    failed: int

    @property
    def text(self) -> str:
        return f"{self.out}: {self.captioned} objects captioned" + (f", {self.failed} failed" if self.failed else "")


def caption_cost(
    manifest: Path,
    out: Path,
    model: str,
    *,
    shard: tuple[int, int] = (0, 1),
    price_in: float | None = None,
    price_out: float | None = None,
) -> Cost:
    """What captioning what is not captioned yet would cost."""
    rows, known = rows_of(manifest, shard), _known(out, model)
    return cost(sum(id_ not in known for id_ in rows), NUM_VIEWS, price_in=price_in, price_out=price_out)


def caption_objects(
    manifest: Path,
    out: Path,
    model: Describer,
    *,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> CaptionSummary:
    """Write the manifest with new captions: ten from short to long, and one of at most 40 words.

    Each object's are kept at once in `<out>.captions.jsonl`, with the long description: a stopped call goes on and asks
    nothing twice. An object without captions keeps those it had.

    Raises:
        UsageError: `out` is the manifest, or another file; the endpoint refuses.
        TrellisError: the endpoint did not answer for several objects in a row.
        SomeFailed: some objects could not be captioned; the ledger says why.
    """
    check_out(out, manifest, sidecar=_sidecar(out), overwrite=overwrite)
    rows, known, silent = rows_of(manifest, shard), _known(out, model.name), 0

    def do(row: Row) -> dict[str, Any]:
        found = caption_views(model, _views(manifest, row))
        return {"model": model.name, "prompts": PROMPTS, "description": found.description, "captions": found.all}

    def heard(error: TrellisError | None) -> None:
        nonlocal silent
        silent = silent + 1 if isinstance(error, Unreachable) else 0
        if error is not None and silent >= PATIENCE:
            raise TrellisError(f"{PATIENCE} objects in a row: {error.problem}", hint=error.hint) from error

    ledger = Ledger.beside(out, f"caption {model.name} {PROMPTS}")
    failed = work_rows(
        row_items(rows),
        do,
        known,
        _sidecar(out),
        ledger,
        what="trellis data caption",
        retry_failed=retry_failed,
        heard=heard,
    )
    done = [replace(row, captions=known[id_]["captions"]) if id_ in known else row for id_, row in rows.items()]
    write_text(out, manifest_text([relative_row(row, manifest, out) for row in done]))
    summary = CaptionSummary(out, sum(id_ in known for id_ in rows), len(failed))
    if failed:
        console.note(summary.text)
        raise SomeFailed(f"{len(failed)} of {len(rows)} objects could not be captioned", hint=ledger.hint)
    return summary


def _sidecar(out: Path) -> Path:
    return out.with_name(out.name + ".captions.jsonl")


def _known(out: Path, model: str) -> dict[str, dict[str, Any]]:
    """What this model has said, asked in these words."""

    def wanted(row: dict[str, Any]) -> bool:
        told = (row["model"], row["prompts"]) == (model, PROMPTS)
        return told and all(isinstance(caption, str) for caption in row["captions"])

    return read_sidecar(_sidecar(out), wanted)


def _views(manifest: Path, row: Row) -> Sequence[Image.Image]:
    """An object from four sides, on white."""
    mesh, _ = into_cube(mesh_path(manifest, row))
    yaws = [math.pi + k * 2 * math.pi / NUM_VIEWS for k in range(NUM_VIEWS)]
    rgba = render_views(mesh, orbit(yaws, [math.radians(PITCH_DEG)] * NUM_VIEWS), size=SIZE).rgba
    alpha = rgba[..., 3:] / 255
    return [Image.fromarray(p) for p in (rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)]
