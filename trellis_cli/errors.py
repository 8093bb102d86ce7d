"""Errors a user can cause and repair. Each says what is wrong and where, and in `hint` the command that mends it."""

import errno


class TrellisError(Exception):
    """Printed as two lines without a traceback; the process exits with `code`."""

    code = 1

    def __init__(self, problem: str, *, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


class UsageError(TrellisError):
    """The command was called wrongly: an option, a recipe key, an output that is in the way."""

    code = 2


class RecipeError(UsageError):
    """A recipe names an unknown key or gives a value of the wrong type."""


class FileError(TrellisError):
    """A file is not what it should be: missing, broken, of another kind, or of another version."""

    code = 3


class SchemaError(FileError):
    """A stage file lacks what a stage reads, or holds it in another shape, type or version."""


class MissingError(TrellisError):
    """A library or weights are missing; the hint is the command that gets them."""

    code = 4


class DiskError(TrellisError):
    """The output cannot be written: the disk is full, or the folder may not be written. No item's fault."""


class Unreachable(TrellisError):
    """A service did not answer, or had no answer, after all retries."""


class SomeFailed(TrellisError):
    """A batch went to its end, but some of its items failed; they are listed in a ledger."""

    code = 5


NO_ITEMS_FAULT = (UsageError, MissingError, DiskError)  # these end a batch; any other error costs its item


def backend_refused(error: BaseException) -> UsageError:
    """What a user is told who forced a backend that cannot run (trellis_ops' BackendUnavailable)."""
    return UsageError(str(error), hint="`trellis doctor` lists the backends and why they refuse")


def is_full(error: BaseException) -> bool:
    """Whether another library's error is that of a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
