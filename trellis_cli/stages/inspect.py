"""What a stage file holds and what made it, as plain data."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from trellis_cli.io.history import steps
from trellis_cli.io.schema import GROUPS, ROOT_ATTRIBUTES
from trellis_cli.io.stage_files import open_stage


def inspect(path: Path) -> dict[str, Any]:
    """Root attributes, and for each group its assets, datasets and attributes; everything is checked on the way.

    Raises:
        FileError, SchemaError: the file is no stage file, or not what its schema says.
    """
    with open_stage(path) as file:
        made_by = {k: _value(file.attrs[k]) for k in ROOT_ATTRIBUTES if k in file.attrs}
        steps(file.attrs, path.name)
        groups = {}
        for name in file.groups:
            group = file.group(name)
            lengths = group.lengths
            groups[name] = {
                "meaning": GROUPS[name].doc,
                "assets": len(group),
                "lengths": {"min": int(lengths.min()), "mean": float(np.mean(lengths)), "max": int(lengths.max())}
                if len(group)
                else {},
                "ids": group.ids,
                "attributes": group.attrs,
                "datasets": {
                    k: {"dtype": str(d.dtype), "shape": list(d.shape), "unit": GROUPS[name].fields[k].unit}
                    for k, d in group.datasets()
                },
            }
        return {"path": str(path), "made_by": made_by, "groups": groups}


def _value(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        return json.loads(value)
    return value


def as_text(report: dict[str, Any]) -> str:
    """The report for people: short ids, one line a dataset."""
    lines = [report["path"], f"  made by  {report['made_by'].get('command', '?')}"]
    lines += [f"  from     {step['name']}: {step.get('command', '?')}" for step in report["made_by"].get("history", ())]
    lines.append(f"  format {report['made_by'].get('version')}, program {report['made_by'].get('program_version')}")
    for name, group in report["groups"].items():
        lines.append(f"/{name}  {group['meaning']}")
        size = group["lengths"]
        spread = f", {size['min']} to {size['max']} a piece, {size['mean']:.1f} on average" if size else ""
        lines.append(f"  {group['assets']} assets{spread}")
        lines += [f"  {k} = {v}" for k, v in group["attributes"].items() if len(str(v)) < 60]
        lines += [
            f"  {k:16} {d['dtype']:8} {str(tuple(d['shape'])):18} {d['unit']}" for k, d in group["datasets"].items()
        ]
        lines += [f"  id {i[:16]}" for i in group["ids"][:8]] + (["  ..."] if len(group["ids"]) > 8 else [])
    return "\n".join(lines)
