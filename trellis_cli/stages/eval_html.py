"""A report of `eval` as one page that opens from disk: tables, distributions, pictures of the best and the worst."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from trellis_cli.io.aside import write_text
from trellis_cli.io.pictures import to_uint8
from trellis_cli.stages.eval_tables import GENERATION, flat, generation_rows, mean_row

SHOWN = 4  # of the best, and of the worst
BINS = 12
LARGE_IS_BAD = ("lpips", "chamfer")
Pictures = Callable[[str, str], Mapping[str, Tensor]]
"""Part and name of an object to its pictures by label, [3 h w] in [0, 1]."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f4f4f4; }
figure { display: inline-block; margin: 0 .4rem .6rem 0; } figcaption { font-size: 12px; color: #555; }
img { width: 160px; image-rendering: auto; display: block; } .row { margin: .6rem 0; }
svg { background: #fafafa; margin: 0 1rem 1rem 0; } code { background: #f4f4f4; } .bars rect { fill: #4878a8; }
"""


def write_html(path: Path, report: Mapping[str, Any], pictures: Pictures) -> None:
    """Put a report of a suite of objects at `path`. Raises DiskError."""
    parts = [_head(report)]
    if "reconstruction" in report:
        parts.append(_reconstruction(report["reconstruction"], pictures))
    if "generation" in report:
        parts.append(_generation(report["generation"], pictures))
    if report["failed"]:
        rows = [(row["object"], row["part"], row["reason"]) for row in report["failed"]]
        parts.append("<h2>Failed</h2>" + _table(("object", "part", "reason"), rows))
    parts.append(f"<h2>Protocol</h2><pre>{escape(_lines(report['protocol']))}</pre>")
    title = f"trellis eval: {escape(str(report['suite']))}"
    write_text(
        path,
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{''.join(parts)}</body></html>\n",
    )


def _head(report: Mapping[str, Any]) -> str:
    said = {"model": report["model"], "program": report["program_version"], "dtype": report["dtype"]}
    return f"<pre>{escape(_lines(said))}</pre>"


def _reconstruction(found: Mapping[str, Any], pictures: Pictures) -> str:
    rows = [mean_row(name, s) for name, s in found["means"].items()]
    scores = {name: dict(flat(row)) for name, row in found["objects"].items()}
    out = ["<h2>Reconstruction</h2>", _table(("score", "mean", "95 % interval", "objects"), rows), '<div class="bars">']
    out += [histogram(name, [row[name] for row in scores.values() if name in row]) for name in found["means"]]
    out.append("</div>")
    by = next((name for name in found["means"] if name.endswith(".psnr")), None)
    if by is not None:
        order = ranked({name: row[by] for name, row in scores.items() if by in row}, by)
        worst = [name for name in order[-SHOWN:][::-1] if name not in order[:SHOWN]]
        for heading, names in ((f"Best by {by}", order[:SHOWN]), (f"Worst by {by}", worst)):
            out.append(f"<h3>{escape(heading)}</h3>")
            out += [_row(f"{n}: {scores[n][by]:.4g}", pictures("reconstruction", n)) for n in names]
    return "".join(out)


def _generation(found: Mapping[str, Any], pictures: Pictures) -> str:
    out = ["<h2>Generation</h2>", _table(("score", *GENERATION), generation_rows(found))]
    names = list(found["objects"])[: 2 * SHOWN]
    out.append(f"<h3>The first {len(names)}, not chosen</h3>")
    out += [_row(f"{n}: {found['objects'][n]['prompt']}", pictures("generation", n)) for n in names]
    return "".join(out)


def ranked(values: Mapping[str, float], score: str) -> list[str]:
    """Names from the best to the worst."""
    large_is_bad = score.rsplit(".", 1)[-1] in LARGE_IS_BAD
    return sorted(values, key=lambda name: (values[name] if large_is_bad else -values[name], name))


def histogram(name: str, values: Sequence[float], *, width: int = 240, height: int = 90) -> str:
    """How often which values are there, as an SVG with the lowest and the highest below."""
    if not values:
        return ""
    counts, edges = np.histogram(values, BINS)
    step, tall = width / BINS, height - 32
    bars = "".join(
        f'<rect x="{i * step + 1:.1f}" y="{16 + tall * (1 - c / counts.max()):.1f}" width="{step - 2:.1f}" '
        f'height="{tall * c / counts.max():.1f}"/>'
        for i, c in enumerate(counts)
    )
    text = 'font-size="11" font-family="sans-serif"'
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{escape(name)}">'
        f'<text x="2" y="11" {text}>{escape(name)}</text>{bars}'
        f'<text x="2" y="{height - 3}" {text}>{edges[0]:.4g}</text>'
        f'<text x="{width - 2}" y="{height - 3}" text-anchor="end" {text}>{edges[-1]:.4g}</text></svg>'
    )


def _row(text: str, pictures: Mapping[str, Tensor]) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(label.strip())}" src="{_data(picture)}"><figcaption>{escape(label.strip())}'
        "</figcaption></figure>"
        for label, picture in pictures.items()
    )
    return f'<div class="row">{escape(text)}<br>{figures}</div>'


def _data(picture: Tensor) -> str:
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(picture.permute(1, 2, 0))).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _lines(table: Mapping[str, Any], indent: str = "") -> str:
    out = []
    for key, value in table.items():
        out.append(f"{indent}{key}:" if isinstance(value, Mapping) else f"{indent}{key}: {value}")
        out += [_lines(value, indent + "  ")] if isinstance(value, Mapping) else []
    return "\n".join(out)
