"""`trellis --help`, and every command's own, must not pay for torch."""

import json
import subprocess
import sys

HEAVY = (
    "torch", "numpy", "h5py", "numba", "scipy", "PIL", "trimesh", "skimage", "safetensors", "tokenizers",
    "transformers", "accelerate", "jaxtyping", "triton", "trellis_ops",
)  # fmt: skip

PROBE = """
import contextlib, io, json, sys
from trellis_cli import main
loaded, pages = {}, {}
heavy = sys.argv[1].split(",")
for command in ("", *main.COMMANDS):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main.run([*filter(None, [command]), "--help"])
    pages[command] = text.getvalue()
    loaded[command] = [name for name in heavy if name in sys.modules]
print(json.dumps([loaded, pages]))
"""


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-c", PROBE, ",".join(HEAVY)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loaded, pages = json.loads(out.splitlines()[-1])
    assert len(loaded) > 10
    assert not {command: modules for command, modules in loaded.items() if modules}
    assert not [command for command, page in pages.items() if "Usage" not in page]
