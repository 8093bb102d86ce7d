"""Toybox: the same object from the same seed, solid parts, shapes that differ, captions that tell the truth."""

import hashlib
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from trellis_cli.data.toybox import CATEGORIES, ToyObject, make
from trellis_cli.data.toybox.materials import COLOURS
from trellis_cli.data.toybox.toy import Toy
from trellis_cli.data.toybox.words import Description, captions
from trellis_cli.representations.mesh import TexturedMesh
from trellis_ops.voxelize import voxelize

FEW = ("log cabin", "chair", "sofa", "round table", "car", "pine tree", "ship", "stone tower")
PROMPTED = (
    *("log cabin", "chair", "round table", "sofa", "bed", "car", "pine tree", "table lamp", "house", "bookshelf"),
    *("stone tower", "ship"),
)


def digest(toy: ToyObject) -> str:
    """Of every array, material and word of a toy."""
    h = hashlib.sha256(repr((toy.captions, toy.attributes, toy.category, toy.group, toy.seed)).encode())
    for field in fields(TexturedMesh):
        value = getattr(toy.mesh, field.name)
        if isinstance(value, np.ndarray):
            h.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    for m in toy.mesh.materials:
        h.update(repr((m.name, m.colour, m.alpha_mode)).encode())
        h.update(b"" if m.texture is None else m.texture.tobytes())
    return h.hexdigest()


def part_of_face(mesh: TexturedMesh) -> tuple[int, np.ndarray]:
    """How many connected surfaces there are, and which of them each face belongs to."""
    f = mesh.faces
    rows, cols = np.concatenate([f[:, 0], f[:, 1]]), np.concatenate([f[:, 1], f[:, 2]])
    graph = coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(len(mesh.vertices),) * 2)
    _, label = connected_components(graph, directed=False)
    names, part = np.unique(label[f[:, 0]], return_inverse=True)
    return len(names), part


def part_volumes(mesh: TexturedMesh) -> np.ndarray:
    """The signed volume each connected surface encloses; negative where it is inside out."""
    count, part = part_of_face(mesh)
    v = mesh.vertices - mesh.vertices.mean(axis=0)
    a, b, c = (v[mesh.faces[:, k]] for k in range(3))
    return np.bincount(part, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, minlength=count)


def voxels(mesh: TexturedMesh, resolution: int = 32) -> np.ndarray:
    """Occupancy, bool [r^3], of the mesh scaled into the cube."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    cube = (mesh.vertices - (low + high) / 2) / ((high - low).max() * (1 + 1e-6))
    coords = voxelize(torch.from_numpy(cube), torch.from_numpy(mesh.faces), resolution=resolution).long()
    grid = np.zeros((resolution,) * 3, dtype=bool)
    grid[tuple(coords.T.numpy())] = True
    return grid.ravel()


def nearest_colour(rgb: tuple[float, ...]) -> str:
    names = list(COLOURS)
    return names[int(np.linalg.norm(np.array(list(COLOURS.values())) - rgb[:3], axis=1).argmin())]


def shares(mesh: TexturedMesh) -> dict[str, float]:
    """What share of the surface has each colour's name."""
    corners = mesh.vertices[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    each = np.bincount(mesh.face_materials, area, minlength=len(mesh.materials)) / area.sum()
    out: dict[str, float] = {}
    for m, share in zip(mesh.materials, each, strict=True):
        out[nearest_colour(m.colour)] = out.get(nearest_colour(m.colour), 0.0) + float(share)
    return out


def assert_distinct(category: str, seeds: int = 20) -> None:
    """No two of the first shapes of a category share 98 % of their voxels at 32^3."""
    grids = np.stack([voxels(make(category, s).mesh) for s in range(seeds)]).astype(np.float32)
    both = grids @ grids.T
    sizes = np.diag(both)
    iou = both / (sizes[:, None] + sizes[None] - both)
    np.fill_diagonal(iou, 0.0)
    a, b = np.unravel_index(iou.argmax(), iou.shape)
    assert iou[a, b] < 0.98, f"{category}: seeds {a} and {b} share {iou[a, b]:.3f}"


def test_there_are_enough_categories():
    assert len(CATEGORIES) == len(set(CATEGORIES)) >= 45
    assert set(PROMPTED) <= set(CATEGORIES)


def test_the_same_seed_gives_the_same_bytes():
    first = [digest(make(c, 5)) for c in CATEGORIES]
    assert first == [digest(make(c, 5)) for c in reversed(CATEGORIES)][::-1]
    assert len(set(first)) == len(first)


def test_another_seed_gives_another_object():
    assert len({digest(make("house", s)) for s in range(50)}) == 50


def test_an_unknown_category_is_refused():
    with pytest.raises(ValueError, match="no category 'unicorn'"):
        make("unicorn", 0)


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_well_formed(category: str):
    for seed in range(6):
        mesh = make(category, seed).mesh
        assert np.isfinite(mesh.vertices).all() and mesh.faces.dtype == np.int32
        assert mesh.faces.min() == 0 and mesh.faces.max() == len(mesh.vertices) - 1
        assert len(mesh.faces) < 10_000
        assert mesh.uvs is not None and mesh.uvs.shape == (len(mesh.faces), 3, 2) and np.isfinite(mesh.uvs).all()
        assert set(mesh.face_materials) == set(range(len(mesh.materials)))
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert abs(low[2]) < 1e-6, "stands on the ground"
        assert np.abs(low[:2] + high[:2]).max() < 1e-5, "is centred"
        assert 0.3 < (high - low).max() < 5


@pytest.mark.parametrize("category", CATEGORIES)
def test_parts_are_closed_and_face_outward(category: str):
    for seed in range(6):
        mesh = make(category, seed).mesh
        assert part_of_face(mesh)[0] >= 5
        assert part_volumes(mesh).min() > 0, f"seed {seed}: a part is inside out"
        f = mesh.faces.astype(np.int64)
        edges = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
        there, back = edges @ (len(mesh.vertices), 1), edges @ (1, len(mesh.vertices))
        assert len(np.unique(there)) == len(there), f"seed {seed}: two faces run along an edge the same way"
        assert np.array_equal(np.sort(there), np.sort(back)), f"seed {seed}: an edge has a face on one side only"


@pytest.mark.parametrize("category", FEW)
def test_twenty_seeds_give_twenty_shapes(category: str):
    assert_distinct(category)


@pytest.mark.slow
@pytest.mark.parametrize("category", [c for c in CATEGORIES if c not in FEW])
def test_twenty_seeds_give_twenty_shapes_everywhere(category: str):
    assert_distinct(category)


@pytest.mark.parametrize("category", CATEGORIES)
def test_captions_name_the_object_and_its_colours(category: str):
    for seed in range(12):
        toy = make(category, seed)
        assert toy.captions[0] == category
        assert len(set(toy.captions)) == len(toy.captions) >= 3
        assert toy.captions[-1].split(" with ")[0].endswith(category.split(" with ")[0])
        assert not any(re.search(r"\ba [aeio]|\ban [^aeiou]|  |None|True|False", c) for c in toy.captions), toy.captions
        worn = shares(toy.mesh)
        named = {w for c in toy.captions for w in re.findall(r"[a-z]+", c) if w in COLOURS}
        assert named <= set(worn), f"seed {seed}: {toy.captions[-1]} has {worn}"
        if colour := toy.attributes.get("colour"):
            assert worn[colour] > 0.1, f"seed {seed}: {toy.captions[-1]} has {worn}"


@pytest.mark.parametrize("category", ["chair", "sofa", "table", "round table", "armchair", "wardrobe", "desk"])
def test_the_stated_colour_dominates(category: str):
    for seed in range(25):
        toy = make(category, seed)
        if colour := toy.attributes.get("colour"):
            worn = shares(toy.mesh)
            assert worn[colour] == max(worn.values()), f"seed {seed}: {toy.captions[-1]} has {worn}"


def test_a_car_has_the_body_of_its_colour():
    for seed in range(25):
        toy = make("car", seed)
        worn = shares(toy.mesh)
        painted = max((c for c in worn if c not in ("black", "grey")), key=lambda c: worn[c])
        assert toy.attributes["colour"] in (painted, "black", "grey")
        assert worn[toy.attributes["colour"]] > 0.25


def test_the_prompts_of_the_acceptance_test_occur():
    for category, prompt in (
        *(("chair", "a red wooden chair"), ("car", "blue car"), ("house", "house with a thatched roof")),
        ("log cabin", "a log cabin"),
    ):
        assert any(prompt in make(category, s).captions for s in range(120)), prompt


def test_every_named_colour_keeps_its_name_when_tinted():
    for seed in range(200):
        toy = Toy("house", seed)
        for name, rgb in COLOURS.items():
            tinted = np.clip(np.array(rgb) * toy._shade(name), 0, 1)
            assert nearest_colour(tuple(tinted)) == name


def test_captions_run_from_short_to_long():
    what = Description("sofa", ("couch",), "long", "", "orange", "", ("a red cushion", "a orange throw"))
    got = captions(what, np.random.default_rng(0))
    assert got[:4] == ("sofa", "a sofa", "couch", "orange sofa")
    assert got[-1] == "a long orange sofa with a red cushion and an orange throw"


def test_groups_separate_what_differs_and_keep_what_is_alike():
    toys = [make("chair", s) for s in range(60)]
    for a in toys:
        for b in toys:
            if a.group == b.group:
                assert a.attributes.get("colour") == b.attributes.get("colour")
    assert 10 < len({t.group for t in toys}) < 60
