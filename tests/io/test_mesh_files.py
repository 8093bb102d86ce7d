"""Mesh files: what is written is read again, colours and axes included; what is broken is named."""

import json
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trellis_cli.errors import DiskError, FileError, UsageError
from trellis_cli.io.mesh_files import read_mesh, write_mesh, write_textured_glb
from trellis_cli.io.mesh_parts import MAX_FACES
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh

CORNERS = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 5]], np.float64)  # x, y, z: 2 wide, 3 deep, 5 high
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


def tetrahedron() -> TexturedMesh:
    """Two materials, one textured and cut out; vertex 0 has another uv on each of its faces."""
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[..., 0], picture[..., 3] = [[10, 20, 30], [40, 50, 60]], 255
    picture[1, 1, 3] = 0
    materials = (
        Material("leaf", (1.0, 1.0, 1.0, 1.0), picture, "mask", 0.25, False),
        Material("red", (0.5, 0.02, 0.0, 1.0)),
    )
    uvs = np.arange(24, dtype=np.float32).reshape(4, 3, 2) / 24
    colours = np.array([[0, 0.1, 0.2, 1], [0.3, 0.4, 0.5, 1], [0.6, 0.7, 0.8, 1], [0.9, 1, 0.01, 0.5]], np.float32)
    return TexturedMesh(CORNERS, FACES, np.array([0, 1, 0, 1], np.int32), materials, uvs, colours)


def plain(colours: bool = True) -> Mesh:
    rgb = torch.tensor([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.6, 0.7, 0.8], [0.9, 1.0, 0.01]]) if colours else None
    return Mesh(torch.from_numpy(CORNERS).float(), torch.from_numpy(FACES).long(), rgb)


def corner_set(mesh: TexturedMesh) -> set[tuple]:
    """Faces as sets of corner positions in their winding, each turned to begin with its smallest corner."""
    out = set()
    for face in np.round(mesh.vertices, 5)[mesh.faces] + 0.0:
        corners = [tuple(c) for c in face.tolist()]
        first = corners.index(min(corners))
        out.add(tuple(corners[first:] + corners[:first]))
    return out


def glb_parts(data: bytes) -> tuple[dict, bytes]:
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def glb_of(document: dict, binary: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(text) + len(binary), len(text), b"JSON")
    return head + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary


def test_textured_glb_comes_back_as_it_was(tmp_path: Path):
    want = tetrahedron()
    write_textured_glb(tmp_path / "a.glb", want)
    got = read_mesh(tmp_path / "a.glb")
    assert corner_set(got) == corner_set(want)
    assert [m.name for m in got.materials] == ["leaf", "red"]
    leaf, red = got.materials
    assert np.array_equal(leaf.texture, want.materials[0].texture)
    assert (leaf.alpha_mode, leaf.alpha_cutoff, leaf.double_sided) == ("mask", 0.25, False)
    assert red.colour == pytest.approx(want.materials[1].colour, abs=1e-6)
    order = np.lexsort(got.uvs[got.face_materials == 0].reshape(-1, 2).T)
    textured = want.uvs[want.face_materials == 0].reshape(-1, 2)
    found = got.uvs[got.face_materials == 0].reshape(-1, 2)[order]
    assert np.allclose(found, textured[np.lexsort(textured.T)], atol=1e-6)
    for place, colour in zip(want.vertices, want.vertex_colours, strict=True):
        at = np.abs(got.vertices - place).max(1) < 1e-6
        assert at.any()
        assert np.allclose(got.vertex_colours[at], colour, atol=2e-6)


def test_the_same_mesh_gives_the_same_bytes(tmp_path: Path):
    write_textured_glb(tmp_path / "a.glb", tetrahedron())
    write_textured_glb(tmp_path / "b.glb", tetrahedron())
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.glb", "b.glb"]  # nothing half-written stays


def test_glb_is_y_up_and_linear(tmp_path: Path):
    """Read without our reader: the highest corner has the largest y; sRGB 0.5 is stored as linear 0.2140."""
    write_textured_glb(tmp_path / "a.glb", tetrahedron())
    document, _ = glb_parts((tmp_path / "a.glb").read_bytes())
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["max"] == [2, 5, 0] and position["min"] == [0, 0, -3]
    factors = {m["name"]: m["pbrMetallicRoughness"]["baseColorFactor"] for m in document["materials"]}
    assert factors["red"][0] == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_written_meshes_come_back(tmp_path: Path, suffix: str):
    write_mesh(tmp_path / f"a{suffix}", plain())
    first = (tmp_path / f"a{suffix}").read_bytes()
    got = read_mesh(tmp_path / f"a{suffix}")
    want = TexturedMesh(CORNERS, FACES, np.zeros(4, np.int32), (Material(),))
    assert corner_set(got) == corner_set(want)
    if suffix == ".stl":
        assert got.vertex_colours is None
    else:
        near = np.abs(got.vertices - CORNERS[3]).max(1) < 1e-6
        assert np.allclose(got.vertex_colours[near], [0.9, 1.0, 0.01, 1.0], atol=3e-3)
        assert got.materials[0].colour == pytest.approx((1, 1, 1, 1)), "the colours are not darkened"
    write_mesh(tmp_path / f"a{suffix}", plain())
    assert (tmp_path / f"a{suffix}").read_bytes() == first


def test_our_files_open_in_another_library(tmp_path: Path):
    import trimesh

    for suffix in (".glb", ".obj", ".ply", ".stl"):
        write_mesh(tmp_path / f"a{suffix}", plain(colours=suffix != ".stl"))
        found = trimesh.load(tmp_path / f"a{suffix}", force="mesh", process=False)
        assert len(found.faces) == 4, suffix
        assert found.volume == pytest.approx(5.0, rel=1e-5), suffix


def test_unknown_extension_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match=r"\.glb"):
        write_mesh(tmp_path / "a.xyz", plain())
    (tmp_path / "a.xyz").write_text("hello")
    with pytest.raises(UsageError, match=r"mesh files have \.glb"):
        read_mesh(tmp_path / "a.xyz")


def test_unwritable_place_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DiskError, match=r"a\.ply could not be written: .*file is not a folder"):
        write_mesh(tmp_path / "file" / "a.ply", plain())


@pytest.mark.parametrize(("up", "top"), [("auto", [0, -3, 2]), ("y", [0, -3, 2]), ("z", [0, 2, 3])])
def test_which_axis_is_up(tmp_path: Path, up: str, top: list[float]):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 2 3\nf 1 2 3\n")
    assert read_mesh(tmp_path / "a.obj", up=up).vertices[2].tolist() == top
    with pytest.raises(UsageError, match="auto, y or z"):
        read_mesh(tmp_path / "a.obj", up="x")


def test_off_and_text_formats_are_z_up(tmp_path: Path):
    (tmp_path / "a.off").write_text("OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 2\n0 1 2\n4 0 1 2 3\n")
    assert len(read_mesh(tmp_path / "a.off").faces) == 2
    assert read_mesh(tmp_path / "a.off").vertices[:, 2].max() == 2
    facet = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 2\nendloop\nendfacet\n"
    (tmp_path / "a.stl").write_text(f"solid a\n{facet}endsolid a\n")
    assert read_mesh(tmp_path / "a.stl").vertices[:, 2].max() == 2


# -- OBJ ---------------------------------------------------------------------------------------------------------------


def obj_scene(folder: Path, mtl: str) -> Path:
    (folder / "a.mtl").write_text(mtl)
    text = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl one\n"
    (folder / "a.obj").write_text(text + "f 1/1 2/2/7 3/3\nusemtl two\nf -4//1 -2//1 -1//1\n")
    return folder / "a.obj"


def test_obj_materials(tmp_path: Path):
    Image.new("RGB", (4, 2), (10, 20, 30)).save(tmp_path / "wood grain.png")
    path = obj_scene(
        tmp_path, "newmtl one\nKd 0 0 0\nmap_Kd -s 1 1 1 -clamp on wood grain.png\nnewmtl two\nKd 0.1 0.2 0.3\nd 0.9\n"
    )
    mesh = read_mesh(path)
    one, two = (mesh.materials[i] for i in mesh.face_materials)
    assert one.texture.shape == (2, 4, 4) and one.colour == (1, 1, 1, 1), "Kd beside a texture says nothing"
    assert two.colour == (0.1, 0.2, 0.3, 0.9) and two.alpha_mode == "blend"
    assert mesh.uvs[0].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_obj_numbers_polygons_continued_lines_and_colours(tmp_path: Path):
    text = "v 0 0 0 1 0 0.5\r\nv 1.5e0 -.25 0 0 0 0\r\nv 1 +1 3E-1 0 0 0\n  v 0 1 0 0 1 0\n"
    text += "f 1 2 \\\n 3 4 # a quad\nl 1 2\n"
    (tmp_path / "a.obj").write_text(text)
    mesh = read_mesh(tmp_path / "a.obj", up="z")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1.5, -0.25, 0], [1, 1, 0.3], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.vertex_colours[0].tolist() == [1, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("mtl", "says"),
    [
        pytest.param("newmtl one\nmap_Kd lost.png\nnewmtl two\nKd 0 0 0\n", "lost.png", id="no-texture"),
        pytest.param("newmtl one\nmap_Kd ../secret.png\nnewmtl two\nKd 0 0 0\n", "outside", id="above"),
        pytest.param("newmtl one\nmap_Kd /etc/hostname\nnewmtl two\nKd 0 0 0\n", "outside", id="absolute"),
        pytest.param("newmtl one\nmap_Kd ..\\\\secret.png\nnewmtl two\nKd 0 0 0\n", "outside", id="backslash"),
        pytest.param("newmtl one\nmap_Kd link.png\nnewmtl two\nKd 0 0 0\n", "outside", id="link"),
        pytest.param("newmtl one\nmap_Kd a.obj\nnewmtl two\nKd 0 0 0\n", "cannot be read", id="no-picture"),
    ],
)
def test_obj_textures_that_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture, mtl: str, says: str):
    folder = tmp_path / "mesh"
    folder.mkdir()
    Image.new("RGB", (1, 1), (255, 0, 0)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with caplog.at_level(logging.WARNING):
        mesh = read_mesh(obj_scene(folder, mtl))
    first = mesh.materials[mesh.face_materials[0]]
    assert first.texture is None and first.colour == Material().colour
    assert len(caplog.records) == 1 and says in caplog.text


@pytest.mark.parametrize(("library", "says"), [("lost.mtl", "cannot be read"), ("../a.mtl", "outside")])
def test_obj_without_its_library_is_grey(tmp_path: Path, caplog: pytest.LogCaptureFixture, library: str, says: str):
    folder = tmp_path / "mesh"
    folder.mkdir()
    (tmp_path / "a.mtl").write_text("newmtl one\nKd 1 0 0\n")
    path = folder / "a.obj"
    path.write_text(f"mtllib {library}\nv 0 0 0\nv 1 0 0\nv 1 1 0\nusemtl one\nf 1 2 3\n")
    with caplog.at_level(logging.WARNING):
        assert read_mesh(path).materials[0].colour == Material().colour
    assert says in caplog.text


# -- glTF --------------------------------------------------------------------------------------------------------------


def gltf_scene(folder: Path, **changes: object) -> Path:
    """One triangle in an external buffer, under two nodes: moved by 10 along x, then scaled by 2 and mirrored."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
    (folder / "a.bin").write_bytes(positions.tobytes() + np.array([0, 1, 2, 0], "<u2").tobytes())
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"translation": [10, 0, 0], "children": [1]}, {"mesh": 0, "scale": [2, 2, -2]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 8}],
        "buffers": [{"uri": "a.bin", "byteLength": 44}],
    }
    (folder / "a.gltf").write_text(json.dumps(document | changes))
    return folder / "a.gltf"


def test_gltf_nodes_are_applied(tmp_path: Path):
    mesh = read_mesh(gltf_scene(tmp_path), up="z")
    assert mesh.vertices[mesh.faces[0]].tolist() == [[10, 2, 0], [12, 0, 0], [10, 0, 0]]  # mirrored: turned round
    assert mesh.materials[0].colour == Material().colour


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"buffers": [{"uri": "lost.bin", "byteLength": 44}]}, "lost.bin.*cannot be read"),
        ({"buffers": [{"uri": "../a.bin", "byteLength": 44}]}, "outside"),
        ({"buffers": [{"uri": "https://example.org/a.bin", "byteLength": 44}]}, "outside"),
        ({"buffers": [{"uri": "a.bin", "byteLength": 99}]}, "99 bytes, it has 44"),
        ({"buffers": [{"byteLength": 44}]}, "there is none"),
        ({"bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 40, "byteLength": 8}]}, "48"),
        ({"nodes": [{"children": [1]}, {"mesh": 0, "children": [0]}]}, "contain themselves"),
        ({"asset": {"version": "1.0"}}, "version 1.0"),
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "KHR_draco_mesh_compression"),
        ({"meshes": [{"primitives": [{"attributes": {"POSITION": 7}}]}]}, "broken"),
        ({"meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "mode": 1}]}]}, "no triangles"),
        ({"accessors": "none"}, "broken"),
    ],
)
def test_broken_gltf(tmp_path: Path, changes: dict, says: str):
    with pytest.raises(FileError, match=says):
        read_mesh(gltf_scene(tmp_path, **changes))


def test_glb_cut_off_anywhere_is_a_file_error(tmp_path: Path):
    write_textured_glb(tmp_path / "a.glb", tetrahedron())
    whole = (tmp_path / "a.glb").read_bytes()
    for length in (0, 3, 11, 19, 40, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.glb").write_bytes(whole[:length])
        with pytest.raises(FileError):
            read_mesh(tmp_path / "cut.glb")


def test_damaged_glb_never_shows_a_traceback(tmp_path: Path):
    """Any single damaged number in the JSON is a FileError, or still a mesh; nothing else is raised."""
    write_textured_glb(tmp_path / "a.glb", tetrahedron())
    document, binary = glb_parts((tmp_path / "a.glb").read_bytes())
    text = json.dumps(document)
    refused = 0
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    for i in digits[:: max(len(digits) // 60, 1)]:
        for with_ in ("9", "-", '"x"'):
            try:
                damaged = json.loads(text[:i] + with_ + text[i + 1 :])
            except ValueError:
                continue
            (tmp_path / "b.glb").write_bytes(glb_of(damaged, binary))
            try:
                read_mesh(tmp_path / "b.glb")
            except FileError:
                refused += 1
    assert refused > 0


def test_too_many_faces_are_refused_before_they_are_read(tmp_path: Path):
    (tmp_path / "a.ply").write_text(
        f"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {MAX_FACES + 1}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    with pytest.raises(FileError, match="at most 20,000,000"):
        read_mesh(tmp_path / "a.ply")
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
        {"componentType": 5125, "count": 3 * MAX_FACES + 3, "type": "SCALAR"},
    ]
    with pytest.raises(FileError, match="at most 20,000,000"):
        read_mesh(gltf_scene(tmp_path, accessors=accessors))


# -- all formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".glb", ".gltf", ".obj", ".ply", ".stl", ".off"])
@pytest.mark.parametrize("content", [b"", b"hello, this is no mesh\n", b"\x00\xff" * 300, None])
def test_what_is_no_mesh(tmp_path: Path, suffix: str, content: bytes | None):
    path = tmp_path / f"a{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_mesh(path)
    assert str(path) in caught.value.problem and caught.value.hint


def test_folder_is_no_mesh(tmp_path: Path):
    (tmp_path / "a.glb").mkdir()
    with pytest.raises(FileError, match="not a file"):
        read_mesh(tmp_path / "a.glb")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n", "1 of 3 vertices are not finite"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1e999 0\nf 1 2 3\n", "1 of 3 vertices are not finite"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\nf 1 1 2\n", "none of its 2 faces has an area"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "line 4: a face names a vertex"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", "line 4: a face names a vertex"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1\nf 1 2 3\n", "line 3: a vertex has fewer than three"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no triangles"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 5\n", "cannot be read"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n", "cannot be read|should have"),
    ],
)
def test_bad_geometry(tmp_path: Path, name: str, text: str, says: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=says):
        read_mesh(tmp_path / name)


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
def test_cut_off_binary_files(tmp_path: Path, suffix: str):
    write_mesh(tmp_path / f"a{suffix}", plain())
    whole = (tmp_path / f"a{suffix}").read_bytes()
    for length in (10, 60, len(whole) - 30, len(whole) - 1):
        (tmp_path / f"cut{suffix}").write_bytes(whole[:length])
        with pytest.raises(FileError):
            read_mesh(tmp_path / f"cut{suffix}")


def test_vertices_that_no_face_names_are_left_out(tmp_path: Path):
    """They would change the object's size; even one that is not finite does no harm."""
    (tmp_path / "a.obj").write_text("v 99 0 0\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv nan 0 0\nf 2 3 4\n")
    mesh = read_mesh(tmp_path / "a.obj")
    assert mesh.vertices.max() == 1 and mesh.faces.tolist() == [[0, 1, 2]]
