"""Mesh rendering: colours, textures, cut-outs, light and normals against values worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from trellis_cli.geometry.cameras import Cameras, hammersley_cameras, orbit
from trellis_cli.renderers import lighting
from trellis_cli.renderers.mesh import render_differentiable, render_mesh, render_views
from trellis_cli.representations.colour import linear_to_srgb, srgb_to_linear
from trellis_cli.representations.mesh import Material, Mesh, TexturedMesh

FRONT = orbit([math.pi], [0.0])  # from -y: an asset's front


def board(material: Material, *, y: float = 0.0, half: float = 0.9, uvs: bool = True) -> TexturedMesh:
    """An upright square in the plane y, facing the front, with the whole picture on it."""
    corners = np.array([[-half, y, -half], [half, y, -half], [half, y, half], [-half, y, half]])
    uv = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return TexturedMesh(corners, faces, np.zeros(2, np.int32), (material,), uv if uvs else None)


def both(near: TexturedMesh, far: TexturedMesh) -> TexturedMesh:
    return TexturedMesh(
        np.concatenate([near.vertices, far.vertices]),
        np.concatenate([near.faces, far.faces + len(near.vertices)]).astype(np.int32),
        np.concatenate([near.face_materials, far.face_materials + len(near.materials)]).astype(np.int32),
        near.materials + far.materials,
        np.concatenate([near.uvs, far.uvs]),
    )


def quadrants(alpha: int = 255) -> np.ndarray:
    """Top left red, top right green, bottom left blue, bottom right white; `alpha` in the top left."""
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[..., 3] = 255
    picture[:4, :4, 0], picture[:4, 4:, 1], picture[4:, :4, 2], picture[4:, 4:, :3] = 200, 200, 200, 250
    picture[:4, :4, 3] = alpha
    return picture


def sphere(subdivisions: int = 3) -> TexturedMesh:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4)
    faces = np.asarray(ball.faces, np.int32)
    return TexturedMesh(np.asarray(ball.vertices), faces, np.zeros(len(faces), np.int32), (Material(),))


def test_base_colour_is_shown_exactly_when_unlit():
    views = render_views(board(Material(colour=(0.2, 0.4, 0.6, 1.0)), half=2.0), FRONT, size=8, lit=False)
    assert np.abs(views.rgba[..., :3].astype(int) - [51, 102, 153]).max() <= 1
    assert (views.rgba[..., 3] == 255).all()


def test_the_light_is_that_of_lighting():
    """A wall that faces the front has its albedo times the irradiance of its normal, in linear light."""
    albedo = np.array([0.2, 0.4, 0.6])
    views = render_views(board(Material(colour=(0.2, 0.4, 0.6, 1.0)), half=2.0), FRONT, size=4)
    bright = lighting.irradiance(np.array([[0.0, -1.0, 0.0]]))[0]
    expected = 255 * linear_to_srgb(srgb_to_linear(albedo) * bright)
    assert np.abs(views.rgba[0, 2, 2, :3] - expected).max() <= 1.5


def test_light_shows_shape_but_keeps_bright_surfaces_near_their_colour():
    """White is nearly white where the key falls, no direction is black, opposite sides differ clearly."""
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    bright = lighting.irradiance(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    assert 0.9 < bright.max() < 1.15 and bright.min() > 0.2
    encoded = 255 * linear_to_srgb(bright.clip(0, 1))
    assert encoded.max() - encoded.min() > 80
    six = lighting.irradiance(np.concatenate([np.eye(3), -np.eye(3)]))
    assert np.diff(np.sort(six)).min() > 0.02, "no two sides of a box look the same"


def test_textures_stand_upright():
    """Row 0 of the picture is the top of the board; its left is at u = 0."""
    mesh = board(Material(texture=quadrants(), colour=(1.0, 1.0, 1.0, 1.0)))
    rgba = render_views(mesh, FRONT, size=16, lit=False).rgba[0]
    assert np.abs(rgba[4, 4, :3].astype(int) - [200, 0, 0]).max() <= 1
    assert np.abs(rgba[4, 11, :3].astype(int) - [0, 200, 0]).max() <= 1
    assert np.abs(rgba[11, 4, :3].astype(int) - [0, 0, 200]).max() <= 1
    assert np.abs(rgba[11, 11, :3].astype(int) - [250, 250, 250]).max() <= 1


def test_fine_textures_are_averaged_in_linear_light():
    """A checkerboard finer than the pixels is grey of half the light, not of half the code, and does not shimmer."""
    picture = np.full((256, 256, 4), 255, np.uint8)
    picture[::2, ::2, :3] = picture[1::2, 1::2, :3] = 0
    mesh = board(Material(texture=picture, colour=(1.0, 1.0, 1.0, 1.0)), half=2.0)
    rgba = render_views(mesh, FRONT, size=8, lit=False).rgba
    assert np.abs(rgba[..., :3].astype(int) - 188).max() <= 3  # 255 * encoded(0.5) = 187.5


@pytest.mark.parametrize(
    ("mode", "alpha", "hole"), [("opaque", 0, False), ("mask", 0, True), ("blend", 100, True), ("mask", 200, False)]
)
def test_cut_outs_show_what_lies_behind(mode: str, alpha: int, hole: bool):
    near = board(Material(texture=quadrants(alpha), colour=(1.0, 1.0, 1.0, 1.0), alpha_mode=mode))
    far = board(Material(colour=(1.0, 1.0, 0.0, 1.0)), y=0.3, half=1.5)
    rgba = render_views(both(near, far), FRONT, size=16, lit=False).rgba[0]
    assert rgba[4, 4, :3].tolist() == ([255, 255, 0] if hole else pytest.approx([200, 0, 0], abs=1))
    assert rgba[11, 4, 2] > 190
    alone = render_views(near, FRONT, size=16, depth=True, lit=False)
    assert alone.rgba[0, 4, 4, 3] == (0 if hole else 255)
    assert (alone.depth[0, 4, 4] == 0) == hole


def test_many_layers_of_holes_are_looked_through():
    layers = board(Material(texture=quadrants(0), colour=(1.0, 1.0, 1.0, 1.0), alpha_mode="mask"), y=-0.4)
    for i in range(1, 9):
        layers = both(layers, board(layers.materials[0], y=-0.4 + 0.05 * i))
    scene = both(layers, board(Material(colour=(0.0, 1.0, 1.0, 1.0)), y=0.3, half=1.5))
    rgba = render_views(scene, FRONT, size=16, lit=False).rgba[0]
    assert rgba[4, 4].tolist() == [0, 255, 255, 255]


def test_vertex_colours_are_interpolated_and_multiplied():
    mesh = board(Material(colour=(0.5, 0.5, 0.5, 1.0)), half=2.0, uvs=False)
    colours = np.tile(np.array([1.0, 0.0, 0.5, 1.0], np.float32), (4, 1))
    rgba = render_views(dataclasses.replace(mesh, vertex_colours=colours), FRONT, size=4, lit=False).rgba[0]
    half = srgb_to_linear(np.array(0.5))
    expected = 255 * linear_to_srgb(np.array([half, 0, half * half]))
    assert np.abs(rgba[2, 2, :3] - expected).max() <= 1


def test_edges_are_antialiased_with_straight_alpha():
    """At 2 x 2 samples, alpha is a multiple of a quarter, and colour does not darken towards the edge."""
    rgba = render_views(sphere(), FRONT, size=32, lit=False).rgba[0]
    assert set(np.unique(rgba[..., 3]).tolist()) == {0, 64, 128, 191, 255}
    assert np.abs(rgba[rgba[..., 3] > 0][:, :3].astype(int) - 204).max() <= 1
    assert (rgba[rgba[..., 3] == 0] == 0).all()


def test_depth_and_normals():
    cameras = hammersley_cameras(5)
    views = render_views(sphere(4), cameras, size=65, depth=True, normals=True)
    assert views.depth[:, 32, 32] == pytest.approx(np.full(5, 1.6), abs=2e-3)
    assert (views.depth[:, 0, 0] == 0).all()
    towards = cameras.centres.numpy() / 2
    found = views.normal[:, 32, 32].astype(np.float64) / 127.5 - 1
    assert (np.sum(found * towards, 1) > 0.99).all()
    assert (views.normal[:, 0, 0] == 128).all()


def test_both_sides_of_a_face_are_lit_alike():
    mesh = board(Material(), half=2.0)
    turned = dataclasses.replace(mesh, faces=mesh.faces[:, ::-1].copy(), uvs=mesh.uvs[:, ::-1].copy())
    first, second = render_views(mesh, FRONT, size=4), render_views(turned, FRONT, size=4)
    assert np.array_equal(first.rgba, second.rgba)


def test_rounded_shapes_are_smooth_and_boxes_are_not():
    import trimesh

    smooth = render_views(sphere(2), FRONT, size=64).rgba[0, 20:44, 20:44, :3].astype(int)
    assert np.abs(np.diff(smooth, axis=1)).max() <= 6, "facets show on a ball"
    cube = trimesh.creation.box((0.7, 0.7, 0.7))
    faces = np.asarray(cube.faces, np.int32)
    box = TexturedMesh(np.asarray(cube.vertices), faces, np.zeros(12, np.int32), (Material(),))
    rgba = render_views(box, orbit([math.pi + 0.6], [0.5]), size=64, supersample=1).rgba[0]
    shades = np.unique(rgba[rgba[..., 3] > 0][:, 0])
    assert len(shades) == 3, "each side of a box has one shade"


def test_rendering_twice_gives_the_same_pixels():
    mesh, cameras = sphere(), hammersley_cameras(3)
    first, second = (render_views(mesh, cameras, size=40, normals=True, depth=True) for _ in range(2))
    assert np.array_equal(first.rgba, second.rgba) and np.array_equal(first.depth, second.depth)
    one = render_views(mesh, cameras[1], size=40)
    assert np.array_equal(one.rgba[0], first.rgba[1]), "a view does not depend on the others"


def test_odd_materials_do_not_break():
    """A picture of one texel, texture coordinates that are not finite or huge, faces without area, no camera."""
    mesh = board(Material(texture=np.full((1, 1, 4), 255, np.uint8), colour=(1.0, 1.0, 1.0, 1.0)))
    mesh.uvs[0, 0], mesh.uvs[1, 1] = np.nan, 1e7
    faces = np.concatenate([mesh.faces, [[0, 0, 1]]]).astype(np.int32)
    broken = dataclasses.replace(
        mesh, faces=faces, uvs=np.concatenate([mesh.uvs, mesh.uvs[:1]]), face_materials=np.zeros(3, np.int32)
    )
    assert (render_views(broken, FRONT, size=8, lit=False).rgba[0, 3, 3] == 255).all()
    assert render_views(broken, FRONT[0:0], size=8, depth=True).depth.shape == (0, 8, 8)
    with pytest.raises(ValueError, match="must be positive"):
        render_views(broken, FRONT, size=0)


def test_plain_meshes_show_their_colours_unlit():
    mesh = board(Material(), half=2.0)
    vertices, faces = torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.faces).long()
    colours = torch.tensor([[0.8, 0.4, 0.2]]).repeat(4, 1)
    rgba = render_mesh(Mesh(vertices, faces, colours), FRONT, size=4).rgba
    assert np.abs(rgba[..., :3].astype(int) - [204, 102, 51]).max() <= 1
    lit = render_mesh(Mesh(vertices, faces, colours), FRONT, size=4, lit=True).rgba
    assert (lit[..., :3] < rgba[..., :3]).all()


def test_differentiable_view_agrees_with_the_plain_one():
    mesh = sphere()
    cameras: Cameras = orbit([0.4], [0.3])
    vertices = torch.from_numpy(mesh.vertices).float().requires_grad_()
    colours = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    faces = torch.from_numpy(mesh.faces).long()
    got = render_differentiable(vertices, faces, colours, cameras.extrinsics[0], cameras.intrinsics[0], 48)
    want = render_views(mesh, cameras, size=48, supersample=4, depth=True, normals=True)
    assert np.abs(got.depth.detach().numpy() - want.depth[0]).max() < 1e-6
    assert np.abs(got.mask.detach().numpy() - want.rgba[0, ..., 3] / 255).max() < 0.2
    assert got.mask.sum().item() == pytest.approx(want.rgba[0, ..., 3].sum() / 255, rel=5e-3)
    inside = want.rgba[0, ..., 3] == 255
    difference = got.normals.detach().numpy()[inside] - (want.normal[0][inside] / 127.5 - 1)
    assert np.sqrt(np.square(difference).mean()) < 0.05
    weights = torch.randn(48, 48, 1, generator=torch.Generator().manual_seed(2))
    for image in (got.mask[..., None], got.depth[..., None], got.normals, got.attributes):
        by_vertex, by_colour = torch.autograd.grad(
            (image * weights).sum(), (vertices, colours), retain_graph=True, allow_unused=True
        )
        assert torch.isfinite(by_vertex).all() and by_vertex.abs().sum() > 0
    assert torch.isfinite(by_colour).all() and by_colour.abs().sum() > 0
