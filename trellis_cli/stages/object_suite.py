"""A suite of objects: which ones, and by which protocol they are put together again, and made anew from words.

The protocol is the paper's appendix C.1; what it leaves open stands in the suite's file.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from trellis_cli import recipes
from trellis_cli.errors import RecipeError
from trellis_cli.stages.suite_names import check_names, check_toybox

REPRESENTATIONS = ("gaussians", "radiance-field")
PROMPTS = ("text", "image")
FEATURES = ("alexnet", "incep", "dinov2", "point")


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """An object of the toybox, its category and seed; or a mesh file below the shipped recipes, and its caption."""

    name: str
    toybox: str = ""
    seed: int = 0
    file: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How near a decoded object comes to what was encoded.

    representations: what the pictures are of. The surface is the mesh's.
    input_views, input_size, encoder: pictures that features are averaged over, and what makes features of them.
    radius, fov_deg, size: of the one picture an object that is compared, from a random side.
    surface: whether it is scored; depth_views, depth_size, points, f_radius: of the points on the outer one.
    """

    representations: tuple[str, ...]
    input_views: int
    input_size: int
    radius: float
    fov_deg: float
    size: int
    depth_views: int
    depth_size: int
    points: int
    f_radius: float
    encoder: str = "alexnet"
    surface: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """How near what is made of the objects' captions comes to the objects, as a set.

    prompt: "text", the objects' captions, or "image", a picture of each, of prompt_size, from a random yaw and a random
        pitch between prompt_pitch_deg.
    yaws_deg, pitch_deg, radius, fov_deg, size: of the pictures of each object.
    features: networks that look at them, or, "point", at farthest points of the outer surface.
    steps, guidance: of both samplers; 0 and -1 for the model's own.
    cloud: how many such points; depth_views, depth_size, points: of what they are taken from, as in `Reconstruction`.
    clip_yaws_deg: of the pictures whose likeness to the prompt CLIP measures; none where CLIP is not asked.
    """

    representation: str
    radius: float
    fov_deg: float
    yaws_deg: tuple[float, ...]
    pitch_deg: float
    size: int
    features: tuple[str, ...]
    kernel_subsets: int
    kernel_subset_size: int
    prompt: str = "text"
    prompt_size: int = 512
    prompt_pitch_deg: tuple[float, ...] = (0.0, 40.0)
    clip_yaws_deg: tuple[float, ...] = ()
    steps: int = 0
    guidance: float = -1.0
    cloud: int = 4096
    depth_views: int = 100
    depth_size: int = 128
    points: int = 100_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Objects of a set that the user has in a folder, by a rule that gives everyone the same.

    The files' paths below the folder, sorted by the sha256 of salt, "/" and path; of these the first so many. Of a data
    folder with a manifest (`trellis data export`) the held-out objects, by their keys instead of paths.

    name: of the set; source: where it is to be had; layout: how it must lie.
    min_aesthetic: what objects need at least, where the folder's captions.csv has scores.
    """

    name: str
    source: str
    layout: str
    salt: str
    reconstruction: int
    generation: int
    min_aesthetic: float = 0.0


@dataclass(frozen=True, slots=True)
class ObjectSuite:
    """Everything that is made and measured: objects that are named, or chosen from a set."""

    name: str
    kind: str
    model: str
    reconstruction: Reconstruction
    generation: Generation
    objects: tuple[ObjectSpec, ...] = ()
    choice: Choice = field(default_factory=lambda: Choice("", "", "", "", 0, 0))

    @property
    def table(self) -> dict[str, Any]:
        return asdict(self)


def object_suite(table: dict[str, Any], where: str) -> ObjectSuite:
    """A suite from its TOML table. Raises RecipeError for what no suite of objects is."""
    suite = recipes.build(ObjectSuite, table, where=where)
    check_names("object", [one.name for one in suite.objects], where)
    for one in suite.objects:
        if bool(one.toybox) == bool(one.file):
            raise RecipeError(f"{where}: object {one.name!r} is of the toybox or a file, one of the two")
        if one.toybox:
            check_toybox(one.toybox, where)
        elif not one.caption or not (recipes.folder() / one.file).is_file():
            raise RecipeError(
                f"{where}: object {one.name!r} has no caption, or {one.file} is no file of the shipped recipes",
                hint="files of your own are chosen from a folder: see [choice] in docs/evaluation.md",
            )
    kinds = [*suite.reconstruction.representations, suite.generation.representation]
    if suite.generation.prompt not in PROMPTS or len(suite.generation.prompt_pitch_deg) != 2:
        raise RecipeError(f"{where}: prompt is {suite.generation.prompt!r}", hint=f"one of: {', '.join(PROMPTS)}")
    for found, known, key in (
        (kinds, REPRESENTATIONS, "representation"),
        (suite.generation.features, FEATURES, "feature"),
    ):
        if unknown := [name for name in found if name not in known]:
            raise RecipeError(f"{where}: there is no {key} {unknown[0]!r}", hint=f"one of: {', '.join(known)}")
    for part in (suite.reconstruction, suite.generation):
        _check_numbers(asdict(part), where)
    if bool(suite.choice.name) == bool(suite.objects):
        raise RecipeError(f"{where}: it names objects, or chooses from a set", hint="[[objects]] or [choice]")
    if suite.objects and len(suite.objects) < 2:
        raise RecipeError(f"{where}: a set needs two objects at least", hint="add [[objects]]")
    return suite


def _check_numbers(table: dict[str, Any], where: str) -> None:
    """Raises RecipeError for numbers that no protocol has."""
    for key, value in table.items():
        low = {"seed": 0, "steps": 0, "guidance": -1, "pitch_deg": -90}.get(key, 1e-9)
        if isinstance(value, int | float) and not isinstance(value, bool) and value < low:
            raise RecipeError(f"{where}: {key} = {value} is too small", hint="see `trellis recipe show suites/mini`")
    if not table["fov_deg"] < 180 or ("yaws_deg" in table and not table["yaws_deg"]):
        raise RecipeError(f"{where}: fov_deg is under 180, and yaws_deg has one at least", hint="see suites/mini")
