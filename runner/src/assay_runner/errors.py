"""Errors answer one question: whose move is it?

    AuditError
    ├── InvalidInput   the user's input is wrong: exit 64, never retried
    │   └── NotYet       what it names is not there, or not for these credentials: in a Pod tried again, exit 75
    ├── Unavailable    something outside is missing or refuses: exit 69, retried with backoff
    │   ├── Unreachable  storage does not answer: in a Pod tried again for as long as that lasts, exit 75
    │   └── Unsupported  not on this machine or not in this version: in a cluster reported, not retried
    │       ├── CannotBuild  nor is this candidate to be built, whose input is fine: it alone is Inconclusive
    │       └── Died         nor is this step to be done: it ended the process that tried
    └── Internal       our bug: exit 70, retried, reported

Whatever else escapes is our bug too and is reported as `Internal`. A message is one sentence that names the thing and
the way out; it never carries a credential. Which candidate it is about it does not say: who prints it leads with that.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from assay_api.names import ExitCode
from assay_runner.capacity import limit_reached

ENV_DEBUG: Final = "ASSAY_DEBUG"

_NO_MEMORY: Final = re.compile(
    r"failed to map segment|cannot allocate memory|bad_alloc|can't start new thread|cannot map|ENOMEM", re.IGNORECASE
)


class AuditError(Exception):
    """Base of every error that ends a task with a sentence instead of a report."""

    reason: ClassVar[Literal["InvalidInput", "Unavailable", "Internal"]]
    exit_code: ClassVar[ExitCode]


class InvalidInput(AuditError):
    """The spec, a model, a dataset or a stored result cannot be used as it is."""

    reason = "InvalidInput"
    exit_code = ExitCode.INVALID_INPUT


class NotYet(InvalidInput):
    """Storage says that what the spec names is not there, or not for these credentials.

    Whoever waits at a terminal corrects the one or the other and starts again; in a cluster somebody may be about to
    upload it or to put the Secret right, neither of which changes the spec.
    """


class Unavailable(AuditError):
    """Storage, a device, memory or disk is not there now."""

    reason = "Unavailable"
    exit_code = ExitCode.UNAVAILABLE


class Unreachable(Unavailable):
    """Storage does not answer, or not sensibly, however often it is asked."""


class Unsupported(Unavailable):
    """A backend cannot do it here: no device, no library, or not in this version. Trying again gives the same."""


class CannotBuild(Unsupported):
    """What builds a candidate refuses it, in its own words; the model and everybody else's candidates are fine."""


class Died(Unsupported):
    """A step that ended the process which tried it, by a crash, for lack of memory or by never ending; passed over."""


class Internal(AuditError):
    """A bug of ours."""

    reason = "Internal"
    exit_code = ExitCode.INTERNAL


NAMED: Final[dict[str, type[AuditError]]] = {
    kind.__name__: kind
    for kind in (InvalidInput, NotYet, Unavailable, Unreachable, Unsupported, CannotBuild, Died, Internal)
}
"""Errors whose message is all they hold, by name; a process tells another of one so."""


def name_of(error: AuditError) -> str:
    """The name in `NAMED` of the error's nearest kind."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in NAMED)


def as_audit_error(error: BaseException) -> AuditError:
    """The error by whose move it is; whatever nobody foresaw is our bug, except a lack of memory or disk.

    Where memory is short by a limit of the process, whatever a library made of that is told as such, with its words.
    """
    if isinstance(error, AuditError):
        return error
    if isinstance(error, MemoryError):
        return Unavailable("out of memory: give the task more (spec.target.resources), or a smaller dataset.batch")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" at {error.filename}" if error.filename else ""
        return Unavailable(f"disk full{where}: free space, or give the tasks more (spec.target.scratch; ASSAY_SCRATCH)")
    if limit := _limit(error):
        return Unavailable(limit)
    detail = " ".join(str(error).split())[:200]
    words = f"{type(error).__name__}{f': {detail}' if detail else ''}"
    if option := limit_reached():
        return Unavailable(f"memory is short ({words}): raise the limit of this process ({option})")
    return Internal(f"a bug in Assay ({words}): run again with ASSAY_DEBUG=1 and report the traceback")


def debug(error: BaseException) -> None:
    """The traceback on standard error, where the environment asks for it."""
    if os.environ.get(ENV_DEBUG) == "1":
        traceback.print_exception(error)


def _limit(error: BaseException) -> str:
    """The sentence for a limit of this process or machine that an error tells of; empty where it tells of none."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE):
        return "too many open files: raise the limit (ulimit -n); 256 are enough"
    if number in (errno.ENOMEM, errno.EAGAIN) or _NO_MEMORY.search(str(error)):
        return "memory, processes or threads are short: raise the limit (ulimit -v, ulimit -u, spec.target.resources)"
    if number == errno.EFBIG:
        return "a file grew beyond what this process may write: raise the limit (ulimit -f)"
    return ""


_LONGEST_NAME: Final = 64
"""Characters of a name that is held against others; who writes more has not misspelt one."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a name that is not there: one that is and is close to it; empty where none is."""
    import difflib  # Most runs end without it.

    if len(name) > _LONGEST_NAME:
        return ""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
