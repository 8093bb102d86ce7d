"""`eval`: a suite by its kind, and the options that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trellis_cli.errors import RecipeError, UsageError
from trellis_cli.stages.ablation_suite import AblationSuite
from trellis_cli.stages.edit_suite import EditSuite
from trellis_cli.stages.eval_ablation import eval_ablation
from trellis_cli.stages.eval_edits import METHODS, applies, eval_edits
from trellis_cli.stages.eval_objects import eval_objects
from trellis_cli.stages.eval_report import Evaluation
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.suite_prompts import write_prompts
from trellis_cli.stages.suites import read_suite

HTML = (".html", ".htm")


def run_suite(
    name: str,
    out: Path,
    *,
    parts: Sequence[str] = (),
    methods: Sequence[str] = (),
    draws: int = 1,
    sheet: Path | None = None,
    data: Path | None = None,
    weights: Path | None = None,
    assets: Path | None = None,
    **options: Any,
) -> Evaluation:
    """Run a suite by name or path. `options` are those that suites of all kinds share.

    Args:
        out: a .json, or of a suite of objects an .html with the .json beside it.

    Raises:
        UsageError: a page for a suite of edits, an option of another kind of suite; and whatever they raise.
    """
    suite, html = read_suite(name), None
    if out.suffix.lower() in HTML:
        html, out = out, out.with_suffix(".json")
    if isinstance(suite, EditSuite):
        _refuse(name, "objects", {f"-o {html}": html, "--part": parts, "--data": data, "--weights": weights,
                                  "--assets": assets})  # fmt: skip
        return eval_edits(suite, out, methods=methods or METHODS, draws=draws, sheet=sheet, **options)
    _refuse(name, "edits", {"--method": methods, "--draws": draws > 1, "--sheet": sheet})
    if isinstance(suite, AblationSuite):
        model = options.pop("model", None)
        _refuse(name, "objects", {f"-o {html}": html, "--part": parts, "--assets": assets, "--model": model})
        return eval_ablation(suite, scored_by(suite), out, data=data, weights=weights, **options)
    return eval_objects(suite, out, parts=parts, html=html, data=data, weights=weights, assets=assets, **options)


def suite_prompts(name: str, out: Path, *, work: Path, data: Path | None, overwrite: bool) -> int:
    """Write what a suite of objects asks for (`suite_prompts.write_prompts`). Raises UsageError for another suite."""
    suite = read_suite(name)
    if not isinstance(suite, ObjectSuite):
        raise UsageError(f"--prompts are of suites of objects, and {name} is none", hint="leave it out")
    return write_prompts(suite, out, work=work, data=data, overwrite=overwrite)


@dataclass(frozen=True, slots=True)
class SuitePlan:
    """What a suite would do; table: the whole of the suite."""

    text: str
    table: dict[str, Any]


def suite_plan(name: str, *, draws: int = 1) -> SuitePlan:
    """What running a suite would do, from its file alone. Raises RecipeError, FileError as `read_suite`."""
    suite = read_suite(name)
    table = suite.table
    if isinstance(suite, EditSuite):
        runs = sum(applies(task.spec, method) for task in suite.tasks(draws=draws) for method in METHODS)
        lines = [f"{suite.name}: {len(suite.edits)} edits of {len(suite.assets)} assets, {runs} runs, by {suite.model}"]
        return SuitePlan("\n".join(lines), table)
    if isinstance(suite, AblationSuite):
        return SuitePlan(ablation_text(suite), table)
    choice, many = suite.choice, len(suite.objects)
    counts = {"reconstruction": many or choice.reconstruction, "generation": many or choice.generation}
    files = sum(bool(one.file) for one in suite.objects)
    named = f"the toybox ({many - files}) and files that are shipped ({files})"
    lines = [f"{suite.name}: objects of {choice.name or named}, by {suite.model}"]
    if choice.name:
        lines.append(f"  {choice.source}; {choice.layout}")
    for part, num in counts.items():
        lines.append(f"{part}: {num} objects")
        lines += [f"  {key} = {value}" for key, value in table[part].items()]
    return SuitePlan("\n".join(lines), table)


def scored_by(suite: AblationSuite) -> ObjectSuite:
    """The suite that an ablation is scored by. Raises RecipeError."""
    found = read_suite(suite.scored_by, suite.scored_set)
    if not isinstance(found, ObjectSuite) or not found.choice.name:
        raise RecipeError(f"{suite.name} is scored by {suite.scored_by}, which chooses no objects", hint="name another")
    return found


def ablation_text(suite: AblationSuite) -> str:
    lines = [f"{suite.name}: {suite.about}; {len(suite.runs)} runs, scored by {suite.scored_by}, {suite.part}"]
    for variant in suite.variants:
        trains = (" ".join([t.command, t.recipe, *(f"--set {s}" for s in t.set)]) for t in variant.trains)
        lines.append(f"  {variant.name}: {'; '.join(trains)}")
    return "\n".join(lines)


def _refuse(name: str, of: str, options: dict[str, Any]) -> None:
    for option, given in options.items():
        if given:
            raise UsageError(f"{option} is of suites of {of}, and {name} is none", hint="leave it out")
