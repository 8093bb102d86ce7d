"""Read and write Gaussians as other programs know them: 3DGS .ply, and .splat of browser viewers.

Both are written as the published code does, turned by (x, y, z) -> (x, -z, y), and turned back on reading. A .ply keeps
values before activation: logit of the opacity, log of the scales. A .splat keeps colours and rotations in 8 bits each.
"""

from pathlib import Path

import numpy as np
import torch

from trellis_cli.errors import FileError, UsageError
from trellis_cli.geometry.rotations import Y_UP_TO_Z_UP, matrix_to_quat, quat_multiply
from trellis_cli.io.aside import write_bytes
from trellis_cli.io.stamps import BLANK, stamped
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import from_colours, to_colours

PLY_FIELDS = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
NEEDED = tuple(name for name in PLY_FIELDS if name not in ("nx", "ny", "nz"))
PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8", "int8": "i1", "uint8": "u1",
    "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
HEADER_LIMIT = 1 << 16  # bytes; Gaussians with three orders of harmonics need about 1500
SPLAT = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])
TURN = torch.from_numpy(Y_UP_TO_Z_UP)  # the published turn is this one, though its name says the way back


def write_gaussians(path: Path | str, gaussians: Gaussians) -> None:
    """Write a .ply or a .splat (largest and most opaque first), by the name's ending; whole or not at all.

    Raises:
        UsageError: another ending.
        DiskError: the disk is full, or the folder cannot be written.
        ValueError: harmonics beyond the constant, which would need turning too.
    """
    path = Path(path)
    write_bytes(path, gaussian_bytes(gaussians, path.suffix.lower()))


def gaussian_bytes(gaussians: Gaussians, suffix: str, *, work: str = "") -> bytes:
    """What `write_gaussians` writes; raises as it does.

    `work`, where given, is stamped into a .ply (io/stamps.py); a .splat has no room for it.
    """
    writers = {".ply": _ply_bytes, ".splat": _splat_bytes}
    if suffix not in writers:
        raise UsageError(
            f"Gaussians are written as {' or '.join(writers)}, not as {suffix!r}", hint="for example -o chair.ply"
        )
    if gaussians.sh.shape[1] != 1:
        raise ValueError(f"only the constant harmonic can be written, got {gaussians.sh.shape[1]} a Gaussian")
    return stamped(writers[suffix](gaussians, BLANK if work else ""), work)


def read_gaussians(path: Path | str) -> Gaussians:
    """The Gaussians of a .ply or .splat file; harmonics beyond the constant are left out, quaternions normalised.

    Raises:
        FileError: no such file, of another kind, cut off, or with values that no Gaussian has. Sizes are checked
            against the file's before anything is allocated.
    """
    path = Path(path)
    readers = {".ply": _read_ply, ".splat": _read_splat}
    if path.suffix.lower() not in readers:
        raise FileError(f"{path} is no Gaussian file: its name ends in neither {' nor '.join(readers)}")
    if not path.is_file():
        raise FileError(f"{path}: no such file", hint="check the path")
    means, quats, scales, opacities, sh = (torch.from_numpy(a) for a in readers[path.suffix.lower()](path))
    norms = quats.norm(dim=1, keepdim=True)
    if not all(bool(t.isfinite().all()) for t in (means, norms, scales, opacities, sh)):
        raise FileError(f"{path} holds numbers that are not finite", hint="the program that wrote it went wrong")
    if not bool((norms > 0).all() and (scales > 0).all()):
        raise FileError(
            f"{path} holds a Gaussian without size or rotation", hint="the file is damaged or of another kind"
        )
    means, quats = _turned(means, quats / norms, TURN.T)
    return Gaussians(*(t.float() for t in (means, quats, scales, opacities, sh[:, None, :])))


def is_gaussian_file(path: Path | str) -> bool:
    """Whether this is a .splat, or a .ply whose header has a Gaussian's fields (a mesh's has not); never raises."""
    path = Path(path)
    if path.suffix.lower() != ".ply":
        return path.suffix.lower() == ".splat" and path.is_file()
    try:
        with path.open("rb") as f:
            text = f.read(HEADER_LIMIT).split(b"end_header")[0].decode("ascii", "replace")
    except OSError:
        return False
    names = {line.split()[-1] for line in text.splitlines() if line.startswith("property ")}
    return text.startswith("ply") and {"f_dc_0", "opacity", "scale_0", "rot_0"} <= names


def _turned(means: torch.Tensor, quats: torch.Tensor, turn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return means @ turn.T, quat_multiply(matrix_to_quat(turn).expand_as(quats), quats)


def _in_the_formats_axes(gaussians: Gaussians) -> tuple[np.ndarray, ...]:
    """means, quats (unit, turned), scales, opacities and constant harmonics in float64; opacities inside (0, 1)."""
    fields = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh[:, 0])
    means, quats, scales, opacities, sh = (t.detach().cpu().double() for t in fields)
    means, quats = _turned(means, quats / quats.norm(dim=1, keepdim=True), TURN)
    return tuple(t.numpy() for t in (means, quats, scales.clamp_min(1e-12), opacities.clamp(1e-7, 1 - 1e-7), sh))


def _ply_bytes(gaussians: Gaussians, remark: str) -> bytes:
    means, quats, scales, opacities, sh = _in_the_formats_axes(gaussians)
    logit = np.log(opacities / (1 - opacities))[:, None]
    rows = np.concatenate([means, np.zeros_like(means), sh, logit, np.log(scales), quats], axis=1)
    lines = ["ply", "format binary_little_endian 1.0", *([f"comment {remark}"] if remark else [])]
    lines += [f"element vertex {len(rows)}"]
    lines += [f"property float {name}" for name in PLY_FIELDS] + ["end_header", ""]
    return "\n".join(lines).encode() + rows.astype("<f4").tobytes()


def _splat_bytes(gaussians: Gaussians, remark: str) -> bytes:
    means, quats, scales, opacities, sh = _in_the_formats_axes(gaussians)
    rows = np.empty(len(means), SPLAT)
    rows["means"], rows["scales"] = means, scales
    rows["rgba"][:, :3] = _byte(to_colours(torch.from_numpy(sh)).numpy() * 255)
    rows["rgba"][:, 3] = _byte(opacities * 255)
    rows["quats"] = _byte(quats * 128 + 128)
    # Viewers draw what has arrived so far, so what matters most goes first.
    return rows[np.argsort(-scales.prod(axis=1) * opacities, kind="stable")].tobytes()


def _byte(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _read_splat(path: Path) -> tuple[np.ndarray, ...]:
    size = path.stat().st_size
    if size == 0 or size % SPLAT.itemsize:
        raise FileError(
            f"{path} has {size} bytes, a .splat has {SPLAT.itemsize} a Gaussian",
            hint="the file is cut off or of another kind",
        )
    rows = np.fromfile(path, SPLAT)
    colours = from_colours(torch.from_numpy(rows["rgba"][:, :3] / 255)).numpy()
    opacities = (rows["rgba"][:, 3] / 255).clip(1 / 1024, 1 - 1 / 1024)  # inside (0, 1), as ours are
    return (
        rows["means"].astype(np.float64),
        rows["quats"] / 128.0 - 1,
        rows["scales"].astype(np.float64),
        opacities,
        colours,
    )


def _read_ply(path: Path) -> tuple[np.ndarray, ...]:
    dtype, count, start = _ply_header(path)
    size = path.stat().st_size - start
    if count == 0 or size < count * dtype.itemsize:
        wanted = f"{count} Gaussians of {dtype.itemsize} bytes"
        raise FileError(f"{path} announces {wanted}, {size} bytes follow", hint="the file is empty or cut off")
    rows = np.fromfile(path, dtype, count, offset=start)

    def columns(*names: str) -> np.ndarray:
        return np.stack([rows[name].astype(np.float64) for name in names], axis=1)

    logit, logs = columns("opacity")[:, 0], columns("scale_0", "scale_1", "scale_2")
    with np.errstate(over="ignore"):  # an infinite scale is found by the check that all is finite
        opacities, scales = 1 / (1 + np.exp(-logit)), np.exp(logs)
    quats, sh = columns("rot_0", "rot_1", "rot_2", "rot_3"), columns("f_dc_0", "f_dc_1", "f_dc_2")
    return columns("x", "y", "z"), quats, scales, opacities, sh


def _ply_header(path: Path) -> tuple[np.dtype, int, int]:
    """The type of a row, the number of rows, and where they start. The Gaussians must be the first element."""
    with path.open("rb") as f:
        head = f.read(HEADER_LIMIT)
    text, end, _ = head.partition(b"end_header\n")
    lines = [line.split() for line in text.decode("ascii", "replace").splitlines()]
    lines = [words for words in lines if words and words[0] not in ("comment", "obj_info")]
    if not end or lines[0] != ["ply"]:
        raise FileError(f"{path} has no PLY header", hint="the file is cut off or of another kind")
    if len(lines) < 3 or lines[1][0] != "format" or lines[1][1] not in ORDERS:
        raise FileError(f"{path} is not a binary PLY", hint="save it as binary little endian")
    if lines[2][:2] != ["element", "vertex"] or len(lines[2]) != 3 or not lines[2][2].isdecimal():
        raise FileError(f"{path} does not begin with its vertices", hint="compressed Gaussians must be unpacked first")
    fields: dict[str, str] = {}
    for words in lines[3:]:
        if words[0] == "element":
            break
        if len(words) != 3 or words[0] != "property" or words[1] not in PLY_TYPES or words[2] in fields:
            raise FileError(
                f"{path}: {' '.join(words)!r} in its header makes no sense",
                hint="the file is damaged or of another kind",
            )
        fields[words[2]] = ORDERS[lines[1][1]] + PLY_TYPES[words[1]]
    if missing := [name for name in NEEDED if name not in fields]:
        raise FileError(f"{path} is a PLY without {', '.join(missing)}", hint="a mesh or a point cloud, not Gaussians")
    return np.dtype(list(fields.items())), int(lines[2][2]), len(text) + len(end)
