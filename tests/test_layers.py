"""Who may import whom: imports point down the layers; trellis_ops knows nothing of trellis_cli, nor ops of ops."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLI, OPS = ROOT / "trellis_cli", ROOT / "ops" / "trellis_ops"
LAYERS = [  # lowest first; packages on one line may import each other, their modules not in a circle
    {"errors", "models"},
    {"console", "recipes", "invocation", "shards"},
    {"geometry", "representations"},
    {"networks", "flow", "renderers", "training", "data", "metrics", "io"},
    {"ledger", "workers", "parts"},
    {"session"},
    {"stages"},
    {"commands"},
    {"main"},
    {"__main__"},
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def imports(path: Path, *, for_types: bool = True) -> Iterator[str]:
    """Every module a file imports, anywhere in it, with the names it takes from a package: `a.b`, and `a.b.c`.

    `for_types`: also those under `if TYPE_CHECKING:`, which never run.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not for_types:
        tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here, so that this test can read them"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(root: Path, package: str) -> set[tuple[str, str, str]]:
    """(from, to, which file) for the top-level parts of a package."""
    found = set()
    for path in sorted(root.rglob("*.py")):
        here = path.relative_to(root).with_suffix("").parts[0]
        for module in imports(path):
            top, _, rest = module.partition(".")
            there = rest.split(".")[0]
            if top == package and here != "__init__" and there != here and is_part(root, there):
                found.add((here, there, str(path.relative_to(root))))
    return found


def is_part(root: Path, name: str) -> bool:
    return bool(name) and ((root / name).is_dir() or (root / f"{name}.py").is_file())


def test_every_part_has_a_layer():
    parts = {path.stem for path in CLI.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__"} <= RANK.keys()


def test_imports_point_down():
    wrong = [f"{path} imports {b}" for a, b, path in arrows(CLI, "trellis_cli") if RANK[b] > RANK[a]]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_modules_import_each_other_in_a_circle():
    files = {module_name(path): path for path in sorted(CLI.rglob("*.py"))}
    waiting = {name: set(imports(path, for_types=False)) & files.keys() - {name} for name, path in files.items()}
    while free := {name for name, needs in waiting.items() if not needs}:
        waiting = {name: needs - free for name, needs in waiting.items() if name not in free}
    assert not waiting, f"in a circle, or above one: {waiting}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_ops_stand_alone():
    for path in sorted(OPS.rglob("*.py")):
        assert not {module for module in imports(path) if module.partition(".")[0] == "trellis_cli"}, path


def test_ops_do_not_import_each_other():
    """Each op can be read, and paid for, alone. What several need is a private file beside their folders."""
    wrong = [
        f"{path} imports {b}" for a, b, path in arrows(OPS, "trellis_ops") if (OPS / a).is_dir() and (OPS / b).is_dir()
    ]
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize(
    ("file", "line", "arrow"),
    [
        ("flow/bad.py", "from trellis_cli.stages.sample import sample", ("flow", "stages")),
        ("geometry/bad.py", "from trellis_cli import networks", ("geometry", "networks")),
        ("errors.py", "def f():\n    import trellis_cli.io.schema", ("errors", "io")),
    ],
)
def test_a_planted_import_is_seen(tmp_path, file, line, arrow):
    for name in ("flow", "stages", "geometry", "networks", "io"):
        (tmp_path / name).mkdir()
    (tmp_path / file).write_text(line)
    assert arrow in {(a, b) for a, b, _ in arrows(tmp_path, "trellis_cli")}
    assert RANK[arrow[1]] > RANK[arrow[0]]
