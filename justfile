# Show the tasks
default:
    @just --list

# Fast tests, no GPU (what CI runs)
test *args:
    python -m pytest -m "not slow and not gpu" -n auto --dist loadfile {{args}}

# Kernel parity on this machine's GPU
test-gpu *args:
    python -m pytest -m gpu tests/ops {{args}}

# Lint, format check, types
check:
    ruff check .
    ruff format --check .
    basedpyright --pythonpath "$(which python)"

# Rewrite in place what can be
fix:
    ruff check --fix .
    ruff format .

# Rewrite docs/formats.md and docs/cli.md from the program
docs:
    python docs/generate.py

# Parity first, then times; one JSON line a row
bench op *args: (test "tests/ops/test_" + op + ".py")
    python ops/bench/run.py {{op}} {{args}}

# Time 150 views of a textured 50k-face object
bench-views *args:
    python ops/bench/render_views.py {{args}}

# Time and peak memory of whole commands with the shipped model
bench-commands *args:
    python ops/bench/commands.py {{args}}
