"""How good objects look: a score for each row of a manifest, and pictures of how the scores are spread."""

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trellis_cli import console
from trellis_cli.data.manifest import Row, manifest_text
from trellis_cli.errors import SomeFailed, UsageError
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.aside import write_text
from trellis_cli.io.charts import histogram
from trellis_cli.io.digests import file_digest
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.ledger import Ledger
from trellis_cli.metrics.appearance import appearance
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.mesh import TexturedMesh
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

_log = logging.getLogger(__name__)
SCORERS = ("aesthetic", "simple")
NUM_VIEWS, PITCH_DEG, SIZE = 4, 20.0, 256
PAPER = {"objaverse-xl": 5.5}  # thresholds of the paper's appendix B by source
PAPER_OTHERS = 4.5
SHOWN = 10  # best and worst objects in the picture
Scorer = Callable[[TexturedMesh], dict[str, float]]  # `score`, and what it is made of


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    out: Path
    scored: int
    kept: int
    failed: int
    pictures: tuple[Path, ...]

    @property
    def text(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        pictures = f"; {', '.join(map(str, self.pictures))}" if self.pictures else ""
        return f"{self.out}: {self.kept} of {self.scored} objects{failed}{pictures}"


def score_objects(
    manifest: Path,
    out: Path,
    *,
    scorer: str = "aesthetic",
    head: Path | None = None,
    clip: str | None = None,
    threshold: str = "none",
    shard: tuple[int, int] = (0, 1),
    device: str = "cpu",
    overwrite: bool = False,
    retry_failed: bool = False,
) -> ScoreSummary:
    """Score the objects of a manifest by views of them, and write the rows of those that reach their threshold.

    Every score is kept at once in `<out>.scores.jsonl`: a stopped call goes on, and another threshold costs nothing.
    Beside `out` come `<stem>.histogram.png` and `<stem>.best-worst.png`.

    Args:
        scorer: "aesthetic", the mean over the views of the improved aesthetic predictor, as in the paper; "simple", of
            metrics/appearance.py, which needs no weights.
        head, clip: the predictor's layers, and a transformers folder or a hub id of CLIP ViT-L/14.
        threshold: "none", a number, or "paper": 5.5 for Objaverse-XL and 4.5 for all others.

    Raises:
        UsageError: an unknown scorer or threshold; `out` is the manifest, or another file.
        MissingError, FileError: the weights are missing or of another kind.
        SomeFailed: some objects could not be scored; those without a score are not in `out`.
    """
    sidecar = out.with_name(out.name + ".scores.jsonl")
    check_out(out, manifest, sidecar=sidecar, overwrite=overwrite)
    limit_of, rows = _thresholds(threshold), rows_of(manifest, shard)
    name, score = _scorer(scorer, head, clip, device)
    known = read_sidecar(sidecar, lambda row: row["scorer"] == name)

    def do(row: Row) -> dict[str, Any]:
        return {"scorer": name, **score(into_cube(mesh_path(manifest, row))[0])}

    ledger = Ledger.beside(out, name)
    failed = work_rows(
        row_items(rows), do, known, sidecar, ledger, what="trellis data score", retry_failed=retry_failed
    )
    scored = [replace(rows[i], score=round(known[i]["score"], 4), scorer=name) for i in rows if i in known]
    chosen = [row for row in scored if row.score is not None and row.score >= limit_of(row.source)]
    write_text(out, manifest_text([relative_row(row, manifest, out) for row in chosen]))
    pictures = _pictures(manifest, out, scored, limit_of, name) if scored else ()
    summary = ScoreSummary(out, len(scored), len(chosen), len(failed), pictures)
    if failed:
        console.note(summary.text)
        raise SomeFailed(f"{len(failed)} of {len(rows)} objects could not be scored", hint=ledger.hint)
    return summary


def _thresholds(text: str) -> Callable[[str], float]:
    if text == "none":
        return lambda source: -math.inf
    if text == "paper":
        return lambda source: PAPER.get(source, PAPER_OTHERS)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if math.isnan(limit):
        raise UsageError(f"--threshold {text!r} is not none, paper or a number", hint="for example 4.5")
    return lambda source: limit


def _scorer(scorer: str, head: Path | None, clip: str | None, device: str) -> tuple[str, Scorer]:
    """The scorer's name, by which its scores are known, and the scorer."""
    if scorer == "simple":
        return "simple-1", _simple
    if scorer != "aesthetic":
        raise UsageError(f"--scorer {scorer!r} is not known", hint=f"one of: {', '.join(SCORERS)}")
    if head is None:
        raise UsageError("the aesthetic scorer needs --head, its published layers", hint="or --scorer simple")
    from trellis_cli.io.encoder_files import CLIP
    from trellis_cli.networks.aesthetic import load_aesthetic_head
    from trellis_cli.networks.clip_similarity import load_clip_similarity

    layers = load_aesthetic_head(head).to(device)
    network = load_clip_similarity(clip or CLIP, device=device)

    def score(mesh: TexturedMesh) -> dict[str, float]:
        rgba = _views(mesh, lit=True)[0].astype(np.float32) / 255
        pictures = torch.from_numpy(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]).permute(0, 3, 1, 2)
        return {"score": float(layers(network.pictures(pictures.to(device))).mean())}

    return f"aesthetic-{file_digest(head)[:12]}-{_which(clip or CLIP)}", score


def _which(clip: str) -> str:
    """What tells one CLIP from another: its weights, or its id on the hub."""
    weights = sorted(p for p in Path(clip).glob("*") if p.suffix in (".safetensors", ".bin"))
    told = "".join(map(file_digest, weights)) or clip
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _simple(mesh: TexturedMesh) -> dict[str, float]:
    rgba, normal = _views(mesh, lit=False)
    found = appearance(mesh, rgba, normal)
    parts = {name: round(getattr(found, name), 4) for name in ("texture", "colours", "parts", "detail")}
    return {"score": found.score, **parts}


def _views(mesh: TexturedMesh, *, lit: bool) -> tuple[np.ndarray, np.ndarray]:
    """Four views round an object, its front first: rgba, and normals."""
    yaws = [math.pi + k * 2 * math.pi / NUM_VIEWS for k in range(NUM_VIEWS)]
    cameras = orbit(yaws, [math.radians(PITCH_DEG)] * NUM_VIEWS)
    got = render_views(mesh, cameras, size=SIZE, normals=True, lit=lit)
    assert got.normal is not None
    return got.rgba, got.normal


def _pictures(
    manifest: Path, out: Path, rows: Sequence[Row], limit_of: Callable[[str], float], name: str
) -> tuple[Path, ...]:
    chart, sheet = (out.with_name(f"{out.stem}.{kind}.png") for kind in ("histogram", "best-worst"))
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row.source, []).append(row.score or 0.0)
    limits = {source: limit_of(source) for source in scores if limit_of(source) > -math.inf}
    histogram(chart, scores, limits, label=f"score ({name})")
    order = sorted(rows, key=lambda row: (-(row.score or 0.0), row.id))
    half = min(SHOWN, -(-len(order) // 2))
    best, worst = order[:half], order[len(order) - min(half, len(order) - half) :]
    save_picture(sheet, labelled([_strip("the best", manifest, best), _strip("the worst", manifest, worst)]))
    return chart, sheet


def _strip(title: str, manifest: Path, rows: Sequence[Row]) -> tuple[str, list[np.ndarray]]:
    """An object a picture, on white, and their scores above."""
    pictures = []
    for row in rows:
        mesh, _ = into_cube(mesh_path(manifest, row))
        rgba = render_views(mesh, orbit([math.radians(150)], [math.radians(PITCH_DEG)]), size=160).rgba[0]
        alpha = rgba[..., 3:] / 255
        pictures.append((rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8))
    told = ", ".join(f"{row.score:.2f}" for row in rows)
    return f"{title}: {told}", pictures or [np.full((160, 160, 3), 255, np.uint8)]
