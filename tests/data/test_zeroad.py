"""0 A.D., on a tiny mod made here: PMD, actors with props, masks, skirts under the ground, names through parents."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trellis_cli.data.sources.pmd import read_pmd
from trellis_cli.data.sources.zeroad import list_objects
from trellis_cli.data.sources.zeroad_actors import PLAYER_COLOURS, Actors
from trellis_cli.errors import FileError


def pmd(vertices: list, faces: list, *, uvs: list | None = None, props: dict[str, tuple] | None = None) -> bytes:
    """A PMD of version 4 with one bone at (0, 10, 0), turned by 90 degrees about y; normals point up."""
    out = struct.pack("<II", len(vertices), 1)
    for i, xyz in enumerate(vertices):
        uv = uvs[i] if uvs else (0.25, 0.25)
        out += struct.pack("<3f3f2f4B4f", *xyz, 0, 1, 0, *uv, 0, 255, 255, 255, 1, 0, 0, 0)
    out += struct.pack("<I", len(faces)) + b"".join(struct.pack("<3H", *f) for f in faces)
    half = 0.5**0.5
    out += struct.pack("<I7f", 1, 0, 10, 0, 0, half, 0, half)
    out += struct.pack("<I", len(props or {}))
    for name, (xyz, bone) in (props or {}).items():
        out += struct.pack("<I", len(name)) + name.encode() + struct.pack("<7fB", *xyz, 0, 0, 0, 1, bone)
    return b"PSMD" + struct.pack("<II", 4, len(out)) + out


POINTS = {"top": ((1, 0, 0), 0), "side": ((5, 0, 0), 255)}
GROUND = [(0, 0, 0), (2, 0, 0), (0, 0, 4)]  # x to the right, z away, y up; normals up
WALL = [(0, -2, 0), (1, -2, 0), (0, 2, 0)]
ACTOR = '<?xml version="1.0"?><actor version="1">{}<material>{}</material></actor>'
VARIANT = (
    "<group><variant frequency='1'><mesh>{}.dae</mesh><textures><texture file='{}.png' name='baseTex'/></textures>"
    "{}</variant><variant name='other'><mesh>missing.dae</mesh></variant></group>"
)
PROP = "<props><prop actor='{}' attachpoint='{}'/></props>"


def png(*rgba: int) -> bytes:
    out = io.BytesIO()
    picture = np.zeros((2, 2, 4), np.uint8)
    picture[:] = rgba
    picture[0] = (9, 9, 9, 255)  # the top row, that no uv of these meshes meets
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def mod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("0ad") / "mods" / "public.zip"
    path.parent.mkdir()
    identity = "<Identity><GenericName>{}</GenericName><SpecificName>{}</SpecificName><Civ>{}</Civ></Identity>"
    visual = "<VisualActor><Actor>{}</Actor></VisualActor>"
    files: dict[str, str | bytes] = {
        "art/meshes/ground.dae.cached.pmd": pmd(GROUND, [(0, 1, 2)], props=POINTS),
        "art/meshes/wall.dae.cached.pmd": pmd(WALL, [(0, 1, 2)], uvs=[(0, 0), (1, 0), (0, 1)]),
        "art/meshes/roots.dae.cached.pmd": pmd([(0, -2, 0), (1, -2, 0), (0, -1, 0)], [(0, 1, 2)]),
        "art/textures/skins/cloth.png": png(200, 200, 200, 0),
        "art/textures/skins/leaf.png": png(0, 255, 0, 128),
        "art/materials/player_trans.xml": "<material><define name='USE_PLAYERCOLOR' value='1'/></material>",
        "art/materials/basic_trans.xml": "<material><define name='USE_TRANSPARENT' value='1'/></material>",
        "art/actors/hut.xml": ACTOR.format(
            VARIANT.format("ground", "cloth", PROP.format("wall.xml", "top"))
            + "<group><variant frequency='1' file='extra.xml'/></group>",
            "player_trans.xml",
        ),
        "art/variants/extra.xml": f"<variant>{PROP.format('particle/smoke.xml', 'top')[:-8]}"
        "<prop actor='wall.xml' attachpoint='side'/><prop actor='wall.xml' attachpoint='nowhere'/></props></variant>",
        "art/actors/wall.xml": ACTOR.format(VARIANT.format("wall", "leaf", ""), "basic_trans.xml"),
        "art/actors/roots.xml": ACTOR.format(VARIANT.format("roots", "leaf", ""), ""),
        "art/actors/decal.xml": ACTOR.format("<group><variant><decal/></variant></group>", ""),
        "simulation/templates/template_house.xml": f"<Entity>{identity.format('House', '', '')}</Entity>",
        "simulation/templates/structures/rome/house.xml": "<Entity parent='template_house'><Identity><Civ>rome</Civ>"
        f"<SpecificName>Domus</SpecificName></Identity>{visual.format('hut.xml')}</Entity>",
        "simulation/templates/structures/sele/house.xml": "<Entity parent='x|structures/rome/house'>"
        f"{visual.format('hut.xml')}</Entity>",
        "simulation/templates/gaia/tree/oak_dead.xml": f"<Entity>{identity.format('Tree', 'Oak', 'gaia')}"
        f"{visual.format('wall.xml')}</Entity>",
    }
    for k in range(5):
        files[f"art/actors/man{k}.xml"] = files["art/actors/wall.xml"]
        rank = "b" if k < 4 else "a"
        name = f"simulation/templates/units/rome/man{k}_{rank}.xml"
        named = identity.format(f"Man {chr(65 + k)}", "", "rome")
        files[name] = f"<Entity>{named}{visual.format(f'man{k}.xml')}</Entity>"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_pmd_points_are_placed_by_their_bone():
    mesh = read_pmd(pmd(GROUND, [(0, 1, 2)], props={"hand": ((1, 0, 0), 0), "free": ((1, 2, 3), 255)}), "x.pmd")
    assert np.allclose(mesh.vertices, GROUND) and mesh.faces.tolist() == [[0, 1, 2]]
    # A quarter turn about y takes x to -z; then the bone's own place is added.
    assert np.allclose(mesh.props["hand"][:3, 3], [0, 10, -1])
    assert np.allclose(mesh.props["free"][:3, 3], [1, 2, 3]) and np.allclose(mesh.props["root"], np.eye(4))


def test_broken_pmd_is_named():
    whole = pmd(GROUND, [(0, 1, 2)])
    for cut in (8, 40, len(whole) - 3):
        with pytest.raises(FileError, match=r"x\.pmd: ends early|not a PMD"):
            read_pmd(whole[:cut], "x.pmd")
    with pytest.raises(FileError, match=r"not a PMD of version 4"):
        read_pmd(whole.replace(b"PSMD", b"PSSA"), "x.pmd")
    with pytest.raises(FileError, match="names vertex 9 of 3"):
        read_pmd(pmd(GROUND, [(0, 1, 9)]), "x.pmd")


def test_actor_with_props_in_our_axes(mod):
    mesh = Actors(mod).mesh("hut.xml", cut_below_ground=False, player=1)
    # The ground and the wall at "side": smoke took the place at "top", and "nowhere" is no point.
    assert len(mesh.faces) == 2
    assert np.allclose(mesh.vertices[:3], [(0, 0, 0), (2, 0, 0), (0, 4, 0)])
    assert np.allclose(mesh.vertices[3:], [(5, 0, -2), (6, 0, -2), (5, 0, 2)])
    a, b, c = mesh.vertices[mesh.faces[0]]
    assert np.cross(b - a, c - a)[2] > 0  # seen from above counter-clockwise
    ground, wall = mesh.materials
    red, green, blue = PLAYER_COLOURS[1]
    assert ground.alpha_mode == "opaque" and (ground.texture[..., 3] == 255).all()
    assert np.allclose(ground.texture[1, 0, :3], np.array([red, green, blue]) * 200 / 255, atol=1)
    assert wall.alpha_mode == "mask" and tuple(wall.texture[1, 0]) == (0, 255, 0, 128)


def test_skirts_below_the_ground_are_cut_with_their_uvs(mod):
    actors = Actors(mod)
    whole = actors.mesh("wall.xml", cut_below_ground=False)
    cut = actors.mesh("wall.xml", cut_below_ground=True)
    assert whole.vertices[:, 2].min() == -2 and cut.vertices[:, 2].min() == 0 and cut.vertices[:, 2].max() == 2
    area = np.ptp(cut.vertices[:, 0]) * np.ptp(cut.vertices[:, 2]) / 2
    assert np.isclose(np.ptp(cut.vertices[:, 0]), 0.5) and np.isclose(area, 0.5)
    at_ground = cut.uvs.reshape(-1, 2)[cut.vertices[cut.faces.reshape(-1), 2] == 0]
    assert np.allclose(at_ground[:, 1], 0.5)
    assert len(actors.mesh("roots.xml", cut_below_ground=True).faces) == 1  # nothing above: left as it is


def test_actor_without_a_mesh_or_file(mod):
    with pytest.raises(FileError, match="has no mesh"):
        Actors(mod).mesh("decal.xml", cut_below_ground=True)
    with pytest.raises(FileError, match="missing or broken"):
        Actors(mod).mesh("nothing.xml", cut_below_ground=True)


def test_names_through_parents_and_rationed_units(mod):
    objects = {o.key: o for o in list_objects(mod.parent)}
    house = objects["structures/rome/house"]
    assert (house.name, house.category, house.group) == ("house", "building", "roman house")
    assert house.synonyms == ("roman house",)
    assert "structures/sele/house" not in objects  # the same actor under another name
    assert objects["gaia/tree/oak_dead"].name == "dead oak tree"
    assert house.licence == "CC-BY-SA-3.0" and "Wildfire Games" in house.credit
    units = {key for key in objects if key.startswith("units/")}
    assert len(units) == 4 and "units/rome/man4_a" not in units
    assert {k for k in (o.key for o in list_objects(mod, max_units=2)) if k.startswith("units/")} < units
    assert len(house.load().faces) > 0


def test_no_archive(tmp_path):
    with pytest.raises(FileError, match=r"no public\.zip"):
        list_objects(tmp_path)
    (tmp_path / "public.zip").write_bytes(b"nothing")
    with pytest.raises(FileError, match="not 0 A.D.'s archive"):
        list_objects(tmp_path)
