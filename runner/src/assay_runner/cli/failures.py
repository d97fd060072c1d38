"""Errors as a person at a terminal sees them: one sentence; the traceback only on request."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from assay_api.names import ExitCode
from assay_api.report import Verdict
from assay_runner.errors import AuditError, CannotBuild, Died, Internal, InvalidInput, as_audit_error, debug
from assay_runner.log_lines import Level, log_line

_LONGEST: Final = 1200
"""Characters of a sentence; whatever is longer quotes something without end."""

VERDICT_CODES: Final = {
    Verdict.PASSED: ExitCode.PASSED,
    Verdict.FAILED: ExitCode.BREACHED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


def complain(error: BaseException) -> int:
    """Print the error's sentence on standard error and return its exit code."""
    debug(error)
    failure = as_audit_error(error)
    say(str(failure), "error")
    return int(failure.exit_code)


def lost(error: OSError) -> int:
    """Say that the answer could not be printed, and return the exit code."""
    reason = (error.strerror or type(error).__name__).lower()
    say(f"standard output cannot be written ({reason}): send it elsewhere; what was stored is whole")
    return int(ExitCode.UNAVAILABLE)


def say(message: str, level: Level = "info") -> None:
    """One line on standard error, in which nothing steers a terminal, and whose end can be seen."""
    line = " ".join(message.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 300]}… {line[-300:]}"
    line = printable(line)
    print(log_line(line, f"assay: {line}", level), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text with an escape for every character that shows nothing or turns the direction of what follows."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def exit_code(verdict: Verdict, failures: Iterable[AuditError]) -> ExitCode:
    """The exit code of a run that has a report.

    A candidate that cannot be built, or whose process died, is Inconclusive and no more than that. Of all others, a bug
    or wrong input of any candidate comes first, for the answer is not the one that was asked for; then a breach, which
    nothing can mend any more; then what was unavailable.
    """
    failed = tuple(f for f in failures if not isinstance(f, (CannotBuild, Died)))
    for kind in (Internal, InvalidInput):
        if any(isinstance(f, kind) for f in failed):
            return kind.exit_code
    if verdict != Verdict.FAILED and failed:
        return ExitCode.UNAVAILABLE
    return VERDICT_CODES[verdict]
