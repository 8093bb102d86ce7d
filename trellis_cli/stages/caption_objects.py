"""Captions for the objects of a manifest, by a model that sees views of them."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from trellis_cli import console
from trellis_cli.data.captioning import Cost, Describer, caption_views, cost
from trellis_cli.data.index import read_manifest
from trellis_cli.data.manifest import Row, manifest_text
from trellis_cli.errors import MissingError, SomeFailed, TrellisError, UsageError
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.aside import write_text
from trellis_cli.io.chat_endpoint import Unreachable
from trellis_cli.ledger import Ledger, ledger_row
from trellis_cli.renderers.mesh import render_views
from trellis_cli.session import in_shard
from trellis_cli.stages.score_objects import mesh_path, relative_row, there
from trellis_cli.stages.sources import into_cube

_log = logging.getLogger(__name__)
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
    *,
    shard: tuple[int, int] = (0, 1),
    price_in: float | None = None,
    price_out: float | None = None,
) -> Cost:
    """What captioning what is not captioned yet would cost."""
    ids = [id_ for id_ in read_manifest(there(manifest)) if in_shard(id_, shard)]
    known = _known(_sidecar(out))
    return cost(sum(i not in known for i in ids), NUM_VIEWS, price_in=price_in, price_out=price_out)


def caption_objects(
    manifest: Path, out: Path, model: Describer, *, shard: tuple[int, int] = (0, 1), retry_failed: bool = False
) -> CaptionSummary:
    """Write the manifest with new captions: ten from short to long, and one of at most 40 words.

    Each object's are kept at once in `<out>.captions.jsonl`, with the long description: a stopped call goes on and asks
    nothing twice. An object without captions keeps those it had.

    Raises:
        UsageError: `out` is the manifest; the endpoint refuses.
        TrellisError: the endpoint did not answer for several objects in a row.
        SomeFailed: some objects could not be captioned; the ledger says why.
    """
    if out.resolve() == manifest.resolve():
        raise UsageError(f"-o {out} is the manifest itself", hint="write the captioned one beside it")
    rows = {id_: Row(**row) for id_, row in read_manifest(there(manifest)).items() if in_shard(id_, shard)}
    ledger = Ledger(out.with_name(out.name + ".ledger.jsonl"), "caption")
    known, failures = _known(_sidecar(out)), ledger.read()
    todo = [id_ for id_ in rows if id_ not in known and (retry_failed or id_ not in failures)]
    out.parent.mkdir(parents=True, exist_ok=True)
    silent = 0
    with ledger.closing(failures), _sidecar(out).open("a", encoding="utf-8") as kept:
        for id_ in console.track(todo, total=len(todo), what="trellis data caption"):
            failures.pop(id_, None)
            try:
                found = caption_views(model, _views(manifest, rows[id_]))
            except (UsageError, MissingError):
                raise
            except TrellisError as error:
                _log.warning("%s: %s", rows[id_].key, error.problem)
                failures[id_] = ledger_row(id_, rows[id_].key, error)
                silent = silent + 1 if isinstance(error, Unreachable) else 0
                if silent >= PATIENCE:
                    raise TrellisError(f"{PATIENCE} objects in a row: {error.problem}", hint=error.hint) from error
                continue
            silent = 0
            known[id_] = found.all
            told = {"id": id_, "model": model.name, "description": found.description, "captions": found.all}
            kept.write(json.dumps(told, ensure_ascii=False) + "\n")
            kept.flush()
    done = [replace(row, captions=known.get(id_, row.captions)) for id_, row in rows.items()]
    write_text(out, manifest_text([relative_row(row, manifest, out) for row in done]))
    failed = sum(id_ in failures for id_ in rows)
    summary = CaptionSummary(out, sum(id_ in known for id_ in rows), failed)
    if failed:
        console.note(summary.text)
        raise SomeFailed(f"{failed} of {len(rows)} objects could not be captioned", hint=ledger.hint)
    return summary


def _sidecar(out: Path) -> Path:
    return out.with_name(out.name + ".captions.jsonl")


def _known(sidecar: Path) -> dict[str, list[str]]:
    """Captions of before, by id; half a line, which a killed process leaves, is passed over."""
    found: dict[str, list[str]] = {}
    if sidecar.is_file():
        for line in sidecar.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                found[row["id"]] = [str(caption) for caption in row["captions"]]
            except (ValueError, KeyError, TypeError):
                continue
    return found


def _views(manifest: Path, row: Row) -> Sequence[Image.Image]:
    """An object from four sides, on white."""
    mesh, _ = into_cube(mesh_path(manifest, row))
    yaws = [math.pi + k * 2 * math.pi / NUM_VIEWS for k in range(NUM_VIEWS)]
    rgba = render_views(mesh, orbit(yaws, [math.radians(PITCH_DEG)] * NUM_VIEWS), size=SIZE).rgba
    alpha = rgba[..., 3:] / 255
    return [Image.fromarray(p) for p in (rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)]
