"""What runs here, what does not, and why."""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

import torch

import trellis_ops
from trellis_cli import __version__
from trellis_cli.errors import first_line
from trellis_cli.io.model_folders import shipped
from trellis_ops._dispatch import OPS
from trellis_ops._processor import has_fast_bfloat16

NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "h5py",
    "numba",
    "trimesh",
    "safetensors",
    "tokenizers",
    "accelerate",
    "typer",
    "rich",
)
LICENCES = {  # of what an adapter hands an op to
    "open3d": "MIT", "gsplat": "Apache-2.0", "triton": "MIT", "numba": "BSD-2-Clause", "torch": "BSD-3-Clause",
}  # fmt: skip
RUNS_ON = {"cpu": "numba", "cuda": "torch", "triton": "triton", "reference": "torch"}


def examine() -> dict[str, Any]:
    """Versions, hardware, models and every op's backends; `problems` lists what must be mended."""
    versions = {name: _version(name) for name in NEEDED}
    problems = [f"{name} is not installed: pip install {name}" for name, v in versions.items() if v is None]
    if (broken := _broken_torchvision()) is not None:
        problems.append(f"torchvision is installed but broken ({broken}): pip uninstall torchvision")
    return {
        "trellis": __version__,
        "python": platform.python_version(),
        "libraries": versions,
        "processor": {"cores": torch.get_num_threads(), "fast bfloat16": has_fast_bfloat16()},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "models": shipped(),
        "ops": _ops(),
        "problems": problems,
    }


def _ops() -> dict[str, dict[str, dict[str, str | None]]]:
    """Each op's backends: what would keep it from running at all here, its library's version and licence."""
    for module in iter_modules(trellis_ops.__path__):
        if module.ispkg:
            importlib.import_module(f"trellis_ops.{module.name}")
    return {name: {b: _backend(b) for b in op.backends} for name, op in sorted(OPS.items())}


def _backend(backend: str) -> dict[str, str | None]:
    library = RUNS_ON.get(backend, backend)
    refusal = None
    if find_spec(library) is None:
        refusal = f"{library} is not installed"
    elif backend in ("cuda", "triton", "gsplat") and not torch.cuda.is_available():
        refusal = "no CUDA device"
    return {"refusal": refusal, "library": library, "version": _version(library), "licence": LICENCES.get(library)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _broken_torchvision() -> str | None:
    """Beside a CPU build of torch a torchvision for CUDA raises on import, and takes transformers with it."""
    if find_spec("torchvision") is None:
        return None
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # whatever it raises is the finding
        return first_line(error)
    return None


def as_text(report: dict[str, Any]) -> str:
    lines = [f"trellis {report['trellis']}, Python {report['python']}"]
    lines += [f"  {name:12} {v or 'MISSING'}" for name, v in report["libraries"].items()]
    processor = report["processor"]
    lines.append(
        f"processor: {processor['cores']} threads, fast bfloat16: {'yes' if processor['fast bfloat16'] else 'no'}"
    )
    lines.append(f"GPU: {report['gpu'] or 'none'}")
    lines.append(f"shipped models: {', '.join(report['models']) or 'none'}")
    for op, backends in report["ops"].items():
        lines.append(op)
        for name, b in backends.items():
            answer = "runs" if b["refusal"] is None else b["refusal"]
            lines.append(f"  {name:10} {answer:28} {b['library']} {b['version'] or '-'} {b['licence'] or ''}".rstrip())
    lines += [f"problem: {p}" for p in report["problems"]]
    return "\n".join(lines)
