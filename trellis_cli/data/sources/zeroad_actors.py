"""0 A.D. actors: XML that picks meshes, skins and props, put together into one textured mesh.

An actor has groups; of each group one variant is in force, and a later group's settings win. A variant may take over
another file's, and may hang further actors ("props") on named points of the mesh.
"""

import io
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from trellis_cli.data.sources.pmd import Pmd, read_pmd
from trellis_cli.errors import FileError
from trellis_cli.representations.mesh import Material, TexturedMesh

MAX_DEPTH = 4  # of props on props
# Props that are no part of the object: smoke, blood, flags that show a garrison, marks on the ground, loose missiles.
SKIPPED_PROPS = ("particle/", "props/special/common/garrison", "props/units/blood", "props/structures/decals/")
SKIPPED_POINTS = ("projectile", "garrisoned", "loaded-projectile")
PLAYER_COLOURS = ((150, 20, 20), (46, 80, 160), (40, 110, 50), (225, 190, 70), (110, 50, 120), (200, 120, 60))


@dataclass(slots=True)
class _Look:
    """What the variants in force add up to."""

    mesh: str = ""
    skin: str = ""
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    material: str = ""
    props: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One mesh with its skin, in the actor's own (left-handed, y up) axes."""

    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    faces: np.ndarray
    material: tuple[str, str, tuple[float, float, float]]  # skin, kind of alpha, object colour


class Actors:
    """The public mod's archive (`public.zip`), read on demand."""

    def __init__(self, archive: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(archive)
        except (OSError, zipfile.BadZipFile) as error:
            raise FileError(f"{archive}: not 0 A.D.'s archive: {error}", hint="fetch it anew") from error
        self.path, self.names = archive, frozenset(self._zip.namelist())
        self._alpha = lru_cache(maxsize=None)(self._alpha_of_material)
        self._skin = lru_cache(maxsize=8)(self._read_skin)

    def read(self, name: str) -> bytes:
        try:
            return self._zip.read(name)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FileError(f"{self.path}: {name} is missing or broken", hint="fetch it anew") from error

    def xml(self, name: str) -> Element:
        try:
            return ElementTree.fromstring(self.read(name).decode("utf-8-sig").lstrip())
        except (ElementTree.ParseError, UnicodeDecodeError) as error:
            raise FileError(f"{self.path}: {name}: {error}", hint="fetch it anew") from error

    def mesh(self, actor: str, *, cut_below_ground: bool, player: int = 0) -> TexturedMesh:
        """The actor in its rest pose, z up. `player` picks the colour that its masks are filled with.

        `cut_below_ground` takes away what is under y = 0: buildings and rocks go deep into the terrain. An object with
        nothing above it is left whole. Raises FileError where there is no mesh in it at all.
        """
        pieces = self._pieces(actor, np.eye(4), 0)
        if not pieces:
            raise FileError(f"{self.path}: actor {actor} has no mesh")
        if cut_below_ground:
            pieces = [cut for piece in pieces if (cut := above_ground(piece)) is not None] or pieces
        return self._merged(pieces, PLAYER_COLOURS[player % len(PLAYER_COLOURS)])

    def _pieces(self, actor: str, placed: np.ndarray, depth: int) -> list[_Piece]:
        look = self._look(actor)
        if not look.mesh:
            return []  # a decal, a particle emitter, a sound
        pmd = self._pmd(look.mesh)
        pieces = []
        if len(pmd.faces) and look.skin:
            vertices = pmd.vertices @ placed[:3, :3].T + placed[:3, 3]
            surface = (look.skin, self._alpha(look.material), look.colour)
            pieces.append(_Piece(vertices, pmd.normals @ placed[:3, :3].T, pmd.uvs, pmd.faces, surface))
        for point, actors in look.props.items():
            if point in pmd.props and depth < MAX_DEPTH and point not in SKIPPED_POINTS:
                wanted = [a for a in actors if a and not a.startswith(SKIPPED_PROPS)]
                for prop in wanted:
                    pieces += self._pieces(prop, placed @ pmd.props[point], depth + 1)
        return pieces

    def _look(self, actor: str) -> _Look:
        root = self.xml(f"art/actors/{actor}")
        if root.tag == "qualitylevels":  # the last is the finest
            level = root.findall("actor")[-1]
            root = self.xml(f"art/actors/{level.get('file')}") if level.get("file") else level
        look = _Look(material=root.findtext("material", "").strip())
        for group in root.findall("group"):
            variants = group.findall("variant")
            if variants:
                self._apply(look, max(variants, key=lambda v: float(v.get("frequency") or 0)))
        return look

    def _apply(self, look: _Look, variant: Element) -> None:
        if variant.get("file"):
            self._apply(look, self.xml(f"art/variants/{variant.get('file')}"))
        look.mesh = variant.findtext("mesh", "").strip() or look.mesh
        for texture in variant.iterfind("textures/texture"):
            if texture.get("name") == "baseTex":
                look.skin = texture.get("file", "").strip()
        if variant.findtext("color"):
            red, green, blue = (float(x) / 255 for x in variant.findtext("color", "").split()[:3])
            look.colour = (red, green, blue)
        points: dict[str, list[str]] = {}
        for prop in variant.iterfind("props/prop"):
            points.setdefault(prop.get("attachpoint", ""), []).append(prop.get("actor", ""))
        look.props.update(points)  # a point named again takes the place of what hung there

    def _pmd(self, mesh: str) -> Pmd:
        for name in (f"art/meshes/{mesh}.cached.pmd", f"art/meshes/{mesh}"):
            if name in self.names:
                return read_pmd(self.read(name), f"{self.path}: {name}")
        raise FileError(f"{self.path}: mesh {mesh} is missing", hint="fetch it anew")

    def _alpha_of_material(self, material: str) -> str:
        """What a skin's alpha is: "mask" (cut out), "player" or "object" (shows a colour through), "opaque"."""
        name = f"art/materials/{material}"
        if not material or name not in self.names:
            return "opaque"
        defines = {d.get("name") for d in self.xml(name).iterfind("define")}
        kinds = {"USE_TRANSPARENT": "mask", "USE_PLAYERCOLOR": "player", "USE_OBJECTCOLOR": "object"}
        return next((kind for define, kind in kinds.items() if define in defines), "opaque")

    def _read_skin(self, skin: str) -> np.ndarray:
        from PIL import Image

        for name in (f"art/textures/skins/{skin}.cached.dds", f"art/textures/skins/{skin}"):
            if name in self.names:
                try:
                    return np.asarray(Image.open(io.BytesIO(self.read(name))).convert("RGBA"))
                except (OSError, ValueError, NotImplementedError) as error:
                    raise FileError(f"{self.path}: {name}: {error}") from error
        raise FileError(f"{self.path}: skin {skin} is missing", hint="fetch it anew")

    def _material(self, skin: str, alpha: str, colour: tuple[float, float, float], player: tuple[int, ...]) -> Material:
        texture = self._skin(skin)
        if alpha == "mask":
            return Material(
                name=skin, colour=(1.0, 1.0, 1.0, 1.0), texture=texture, alpha_mode="mask", alpha_cutoff=0.5
            )
        if alpha in ("player", "object"):
            tint = np.array(player) / 255 if alpha == "player" else np.array(colour)
            shown = texture[..., 3:] / 255.0
            rgb = texture[..., :3] * (tint * (1 - shown) + shown)  # the engine multiplies: white cloth takes the colour
            texture = np.concatenate([rgb.round().astype(np.uint8), np.full_like(texture[..., 3:], 255)], -1)
        return Material(name=skin, colour=(1.0, 1.0, 1.0, 1.0), texture=texture, alpha_mode="opaque")

    def _merged(self, pieces: list[_Piece], player: tuple[int, ...]) -> TexturedMesh:
        kinds = list(dict.fromkeys(piece.material for piece in pieces))
        starts = np.cumsum([0, *(len(p.vertices) for p in pieces)])
        faces = [_outward(p) for p in pieces]
        game = np.concatenate([p.vertices for p in pieces])
        uvs = np.concatenate([p.uvs[f] for p, f in zip(pieces, faces, strict=True)])
        return TexturedMesh(
            vertices=game[:, [0, 2, 1]],  # left-handed y up to right-handed z up: one mirroring undoes the other
            faces=np.concatenate([f + s for f, s in zip(faces, starts, strict=False)]).astype(np.int32),
            face_materials=np.repeat([kinds.index(p.material) for p in pieces], list(map(len, faces))).astype(np.int32),
            materials=tuple(self._material(*kind, player) for kind in kinds),
            uvs=uvs.astype(np.float32),
        )


def _outward(piece: _Piece) -> np.ndarray:
    """Faces that wind counter-clockwise seen from outside once y and z have changed places."""
    corners = piece.vertices[piece.faces][:, :, [0, 2, 1]]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    wanted = piece.normals[piece.faces].sum(1)[:, [0, 2, 1]]
    inward = np.einsum("fc,fc->f", across, wanted) < 0
    return np.where(inward[:, None], piece.faces[:, ::-1], piece.faces)


def above_ground(piece: _Piece) -> _Piece | None:
    """The part with y >= 0, cut along the plane; None where nothing is left."""
    corners = np.concatenate([piece.vertices, piece.normals, piece.uvs], 1)[piece.faces]  # [f, 3, 8]
    heights = corners[..., 1]
    if (heights >= 0).all():
        return piece
    kept = [corners[(heights >= 0).all(1)]]
    for num_above in (1, 2):
        part = corners[(heights >= 0).sum(1) == num_above]
        above = part[..., 1] >= 0
        # Turn each face so that its odd corner (the one alone on its side) comes first.
        odd = np.argmax(above if num_above == 1 else ~above, 1)
        turned = np.take_along_axis(part, ((odd[:, None] + np.arange(3)) % 3)[..., None], 1)
        a, b, c = turned[:, 0], turned[:, 1], turned[:, 2]
        ab, ac = _at_ground(a, b), _at_ground(a, c)
        kept += [np.stack([a, ab, ac], 1)] if num_above == 1 else [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
    flat = np.concatenate(kept)
    if not len(flat):
        return None
    table = flat.reshape(-1, 8)
    faces = np.arange(len(table), dtype=np.int32).reshape(-1, 3)
    return _Piece(table[:, :3], table[:, 3:6], table[:, 6:].astype(np.float32), faces, piece.material)


def _at_ground(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The points of the edges a-b at y = 0, all else interpolated."""
    share = (a[:, 1] / (a[:, 1] - b[:, 1]))[:, None]
    point = a + share * (b - a)
    point[:, 1] = 0
    return point
