"""The pages made from the program are what the program would make now, and the README's links lead somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from trellis_cli.io.schema import GROUPS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["formats.md", "cli.md"])
def test_pages_are_not_stale(generator: ModuleType, name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generator.pages()[name], "run `python docs/generate.py`"


def test_every_dataset_and_command_has_its_place() -> None:
    formats, cli = ((DOCS / name).read_text(encoding="utf-8") for name in ("formats.md", "cli.md"))
    for group in GROUPS.values():
        section = formats.split(f"\n## /{group.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{name}` |" in section for name in group.fields)
    from trellis_cli.main import COMMANDS

    headings = re.findall(r"^## trellis (\S+)", cli, re.MULTILINE)
    assert list(dict.fromkeys(headings)) == list(COMMANDS)
    assert "--resolution" in cli.split("\n## trellis voxelize\n")[1].split("\n## ")[0]


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
