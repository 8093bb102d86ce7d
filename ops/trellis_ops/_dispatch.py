"""Choose, for one call of one op, which backend runs it.

A backend is a module with two functions: `run(...)`, and `refusal(...)`, which answers why this very call cannot run
there, or None. The choice is made at each call, from the arguments alone; `forced` narrows it for a block of calls.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

_forced: ContextVar[Mapping[str, str] | None] = ContextVar("forced backends", default=None)
OPS: dict[str, "Op"] = {}


class BackendUnavailable(RuntimeError):
    """The backend asked for by name cannot run this call."""


class Op:
    """An op and its backends, best first; the last is the reference and never refuses."""

    def __init__(self, name: str, package: str, backends: tuple[str, ...]) -> None:
        if backends[-1] != "reference":
            raise ValueError(f"op {name!r}: the last backend must be 'reference', got {backends[-1]!r}")
        self.name, self.package, self.backends = name, package, backends
        OPS[name] = self

    def module(self, backend: str) -> ModuleType:
        if backend not in self.backends:
            raise BackendUnavailable(f"{self.name} has no backend {backend!r}; it has {', '.join(self.backends)}")
        return importlib.import_module(f"{self.package}.{backend}")

    def refusals(self, *args: Any, **kwargs: Any) -> dict[str, str | None]:
        """Every backend's answer for this call, best first: a reason, or None where it can run."""
        return {b: self.module(b).refusal(*args, **kwargs) for b in self.backends}

    def __call__(self, *args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        backend = backend or (_forced.get() or {}).get(self.name)
        if backend is None:
            backend = next(b for b in self.backends if self.module(b).refusal(*args, **kwargs) is None)
        elif (why := self.module(backend).refusal(*args, **kwargs)) is not None:
            raise BackendUnavailable(f"{self.name} cannot run on {backend!r}: {why}")
        return self.module(backend).run(*args, **kwargs)


@contextmanager
def forced(backends: Mapping[str, str]) -> Iterator[None]:
    """Within the block, calls of the named ops that name no backend take this one: what `--backend op=name` means."""
    token = _forced.set({**(_forced.get() or {}), **backends})
    try:
        yield
    finally:
        _forced.reset(token)
