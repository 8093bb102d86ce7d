"""A suite that compares variants of a training: what each trains, from which seeds, and by which suite it is scored."""

from dataclasses import asdict, dataclass
from typing import Any

from trellis_cli import recipes
from trellis_cli.errors import RecipeError
from trellis_cli.stages.suite_names import check_names

TRAINERS = ("train-vae", "train-flow")
PARTS = ("reconstruction", "generation")


@dataclass(frozen=True, slots=True)
class Training:
    """One training of a variant: the command, its recipe, what is set in it, and the folder of its data.

    data: of those that recipes/ablations/train.py makes.
    """

    command: str
    recipe: str
    data: str
    set: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """trains: what is put into the base model in place of its own networks."""

    name: str
    trains: tuple[Training, ...]


@dataclass(frozen=True, slots=True)
class AblationRun:
    """A variant from one of the seeds."""

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Of its training runs' folders, of its model's, and of its scores'."""
        return f"{self.variant}-{self.seed}"


@dataclass(frozen=True, slots=True)
class AblationSuite:
    """The first variant is the one that the others are compared with.

    model: gives what the variants do not train.
    scored_by, part: the suite of objects, and which of its parts; scored_set: what is set in it.
    """

    name: str
    kind: str
    about: str
    model: str
    scored_by: str
    part: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    scored_set: tuple[str, ...] = ()

    @property
    def table(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def runs(self) -> list[AblationRun]:
        """Every variant from the first seed, then from the next."""
        return [AblationRun(variant.name, seed) for seed in self.seeds for variant in self.variants]


def ablation_suite(table: dict[str, Any], where: str) -> AblationSuite:
    """A suite from its TOML table. Raises RecipeError for what no ablation is."""
    suite = recipes.build(AblationSuite, table, where=where)
    check_names("variant", [variant.name for variant in suite.variants], where)
    if len(suite.variants) < 2 or not suite.seeds or len(set(suite.seeds)) < len(suite.seeds):
        raise RecipeError(f"{where}: it needs two variants and a seed, and no seed twice", hint="see `suites`")
    if suite.part not in PARTS:
        raise RecipeError(f"{where}: part is {suite.part!r}", hint=f"one of: {', '.join(PARTS)}")
    for variant in suite.variants:
        for training in variant.trains:
            if training.command not in TRAINERS:
                raise RecipeError(f"{where}: {training.command!r} trains nothing", hint=" or ".join(TRAINERS))
            recipes.find(training.recipe)
        if not variant.trains:
            raise RecipeError(f"{where}: variant {variant.name!r} trains nothing", hint="[[variants.trains]]")
    return suite
