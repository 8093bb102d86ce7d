"""How this process was called: the command's arguments, and whether it is a worker of another (workers.py)."""

import signal
import sys

_state: dict[str, object] = {"arguments": [], "role": ""}


def begin(arguments: list[str]) -> None:
    """The arguments of the command that now runs."""
    _state.update(arguments=list(arguments), role="")


def set_role(role: str) -> None:
    """This process is a worker; `role` says where it answers, and its memory."""
    _state["role"] = role


def role() -> str:
    """What `set_role` was told; empty in a process that a user started."""
    return str(_state["role"])


def arguments() -> list[str]:
    """The command's own arguments, without those that made this process a worker."""
    known = _state["arguments"]
    assert isinstance(known, list)
    return known[2:] if known[:1] == ["--as-worker"] else known


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the system send this signal when the parent is gone; where it cannot, nothing is done."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, number)
