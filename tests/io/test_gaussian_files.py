"""Gaussian files: the published layout byte for byte, there and back, and what foreign files must not do."""

import numpy as np
import pytest
import torch

from trellis_cli.errors import FileError, UsageError
from trellis_cli.geometry.rotations import quat_to_matrix
from trellis_cli.io.gaussian_files import PLY_FIELDS, is_gaussian_file, read_gaussians, write_gaussians
from trellis_cli.representations.gaussians import Gaussians


@pytest.fixture
def gaussians(rng) -> Gaussians:
    quats = torch.randn(7, 4, generator=rng)
    return Gaussians(
        means=torch.rand(7, 3, generator=rng) - 0.5,
        quats=quats / quats.norm(dim=1, keepdim=True),
        scales=0.001 + 0.01 * torch.rand(7, 3, generator=rng),
        opacities=0.05 + 0.9 * torch.rand(7, generator=rng),
        sh=0.5 * torch.randn(7, 1, 3, generator=rng),
    )


def assert_close(got: Gaussians, want: Gaussians, **tolerance: float) -> None:
    for name in ("means", "scales", "opacities", "sh"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), **tolerance)
    torch.testing.assert_close(quat_to_matrix(got.quats), quat_to_matrix(want.quats), **tolerance)


def header(path) -> tuple[str, bytes]:
    text, _, rest = path.read_bytes().partition(b"end_header\n")
    return text.decode(), rest


def test_ply_is_written_as_published(tmp_path):
    """One Gaussian, worked out by hand: (x, y, z) -> (x, -z, y), and a turn of 90 degrees about x before it."""
    one = Gaussians(
        means=torch.tensor([[0.1, 0.2, 0.3]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.tensor([[1.0, np.e, np.e**2]], dtype=torch.float32),
        opacities=torch.tensor([0.75]),
        sh=torch.tensor([[[1.0, 2.0, 3.0]]]),
    )
    write_gaussians(tmp_path / "one.ply", one)
    text, rest = header(tmp_path / "one.ply")
    assert text.splitlines()[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 1"]
    assert text.splitlines()[3:] == [f"property float {name}" for name in PLY_FIELDS]
    half = 0.5**0.5
    want = [0.1, -0.3, 0.2, 0, 0, 0, 1, 2, 3, np.log(3), 0, 1, 2, half, half, 0, 0]
    np.testing.assert_allclose(np.frombuffer(rest, "<f4"), want, atol=1e-6)


def test_ply_there_and_back(tmp_path, gaussians):
    write_gaussians(tmp_path / "a.ply", gaussians)
    assert_close(read_gaussians(tmp_path / "a.ply"), gaussians, atol=1e-6, rtol=1e-5)
    first = (tmp_path / "a.ply").read_bytes()
    write_gaussians(tmp_path / "a.ply", gaussians)
    assert (tmp_path / "a.ply").read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_splat_is_written_as_viewers_read_it(tmp_path):
    one = Gaussians(
        means=torch.tensor([[0.1, 0.2, 0.3]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.tensor([[0.5, 0.25, 2.0]]),
        opacities=torch.tensor([0.2]),
        sh=torch.tensor([[[0.0, 10.0, -10.0]]]),
    )
    write_gaussians(tmp_path / "one.splat", one)
    data = (tmp_path / "one.splat").read_bytes()
    np.testing.assert_allclose(np.frombuffer(data[:24], "<f4"), [0.1, -0.3, 0.2, 0.5, 0.25, 2.0], atol=1e-6)
    assert list(data[24:]) == [128, 255, 0, 51, 219, 219, 128, 128]  # 128 + 128 sqrt(1/2) = 218.5, read as w, x


def test_splat_there_and_back_largest_first(tmp_path, gaussians):
    write_gaussians(tmp_path / "a.splat", gaussians)
    order = (gaussians.scales.double().prod(1) * gaussians.opacities.double()).argsort(descending=True)
    fields = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh)
    want = Gaussians(*(t[order] for t in fields))
    got = read_gaussians(tmp_path / "a.splat")
    torch.testing.assert_close(got.means, want.means)
    torch.testing.assert_close(got.scales, want.scales)
    torch.testing.assert_close(got.opacities, want.opacities, atol=0.5 / 255 + 1e-6, rtol=0)
    torch.testing.assert_close(quat_to_matrix(got.quats), quat_to_matrix(want.quats), atol=0.03, rtol=0)
    inside = (0.5 + 0.28209479 * want.sh).clamp(0, 1)  # colours outside are cut: eight bits
    torch.testing.assert_close(0.5 + 0.28209479 * got.sh, inside, atol=0.5 / 255 + 1e-6, rtol=0)


def test_the_limits_of_opacity_and_scale_stay_finite(tmp_path, gaussians):
    hard = Gaussians(gaussians.means, gaussians.quats, 0 * gaussians.scales, 0 * gaussians.opacities + 1, gaussians.sh)
    write_gaussians(tmp_path / "hard.ply", hard)
    got = read_gaussians(tmp_path / "hard.ply")
    assert float(got.opacities.min()) > 0.999999
    assert 0 < float(got.scales.max()) < 1e-11


def test_foreign_ply_with_more_fields_and_the_other_byte_order(tmp_path, gaussians):
    write_gaussians(tmp_path / "a.ply", gaussians)
    text, rest = header(tmp_path / "a.ply")
    lines = text.replace("little", "big").replace("float x", "double x").splitlines()
    lines.insert(2, "comment made elsewhere")
    lines += ["property float f_rest_0", "element camera 1", "property list uchar int view"]
    rows = np.frombuffer(rest, "<f4").reshape(-1, len(PLY_FIELDS))
    wide = b"".join(r[:1].astype(">f8").tobytes() + r[1:].astype(">f4").tobytes() + b"\0\0\0\0" for r in rows)
    (tmp_path / "b.ply").write_bytes("\n".join(lines).encode() + b"\nend_header\n" + wide + b"\1\0\0\0\7")
    assert is_gaussian_file(tmp_path / "b.ply")
    assert_close(read_gaussians(tmp_path / "b.ply"), gaussians, atol=1e-6, rtol=1e-5)


BROKEN = {  # what is done to a good file, and what the error says
    "cut off": (lambda text, rest: (text, rest[:-1]), "475 bytes follow"),
    "empty": (lambda text, rest: (text.replace("vertex 7", "vertex 0"), b""), "announces 0 Gaussians"),
    "huge count": (lambda text, rest: (text.replace("vertex 7", "vertex 99999999999999"), rest), "476 bytes follow"),
    "negative": (lambda text, rest: (text.replace("vertex 7", "vertex -7"), rest), "does not begin with its vertices"),
    "ascii": (lambda text, rest: (text.replace("binary_little_endian", "ascii"), rest), "not a binary PLY"),
    "not a ply": (lambda text, rest: (text.replace("ply", "obj"), rest), "no PLY header"),
    "no rotation": (lambda text, rest: (text.replace("rot_2", "spin"), rest), "without rot_2"),
    "a list": (lambda text, rest: (text.replace("float nx", "list uchar int nx"), rest), "makes no sense"),
    "a name twice": (lambda text, rest: (text.replace("float nx", "float ny"), rest), "makes no sense"),
    "NaN": (lambda text, rest: (text, np.float32(np.nan).tobytes() + rest[4:]), "not finite"),
    "infinite scale": (lambda text, rest: (text, rest[:40] + np.float32(1e4).tobytes() + rest[44:]), "not finite"),
    "zero rotation": (lambda text, rest: (text, rest[:52] + bytes(16) + rest[68:]), "without size or rotation"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_ply_is_an_error_that_says_so(tmp_path, gaussians, case):
    change, says = BROKEN[case]
    write_gaussians(tmp_path / "a.ply", gaussians)
    text, rest = change(*header(tmp_path / "a.ply"))
    (tmp_path / "b.ply").write_bytes(text.encode() + b"end_header\n" + rest)
    with pytest.raises(FileError, match=says):
        read_gaussians(tmp_path / "b.ply")


def test_broken_splat_is_an_error_that_says_so(tmp_path, gaussians):
    write_gaussians(tmp_path / "a.splat", gaussians)
    data = (tmp_path / "a.splat").read_bytes()
    for wrong, says in (
        (data[:-1], "223 bytes"),
        (b"", "0 bytes"),
        (data[:12] + bytes(12) + data[24:], "without size or rotation"),
        (data[:28] + bytes([128] * 4) + data[32:], "without size or rotation"),
        (np.float32(np.inf).tobytes() + data[4:], "not finite"),
    ):
        (tmp_path / "b.splat").write_bytes(wrong)
        with pytest.raises(FileError, match=says):
            read_gaussians(tmp_path / "b.splat")


def test_which_files_are_gaussians(tmp_path, gaussians):
    write_gaussians(tmp_path / "a.ply", gaussians)
    write_gaussians(tmp_path / "a.splat", gaussians)
    mesh = "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "mesh.ply").write_text(mesh)
    (tmp_path / "noise.ply").write_bytes(bytes(range(256)))
    files = ("a.ply", "a.splat", "mesh.ply", "noise.ply", "absent.ply", "absent.splat")
    assert [is_gaussian_file(tmp_path / name) for name in files] == [True, True, False, False, False, False]


def test_wrong_names(tmp_path, gaussians):
    with pytest.raises(UsageError, match="written as .ply or .splat"):
        write_gaussians(tmp_path / "a.glb", gaussians)
    with pytest.raises(FileError, match="no Gaussian file"):
        read_gaussians(tmp_path / "a.glb")
    with pytest.raises(FileError, match="no such file"):
        read_gaussians(tmp_path / "a.ply")
