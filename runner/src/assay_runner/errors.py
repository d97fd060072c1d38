"""Errors answer one question: whose move is it?

    AuditError
    ├── InvalidInput   the user's input is wrong: exit 64, never retried
    ├── Unavailable    something outside is missing or refuses: exit 69, retried with backoff
    └── Internal       our bug: exit 70, retried, reported

Whatever else escapes is our bug too and is reported as `Internal`. A message is one sentence that names the thing and
the way out; it never carries a credential.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from assay_api.names import ExitCode


class AuditError(Exception):
    """Base of every error that ends a task with a sentence instead of a report."""

    reason: ClassVar[Literal["InvalidInput", "Unavailable", "Internal"]]
    exit_code: ClassVar[ExitCode]


class InvalidInput(AuditError):
    """The spec, a model, a dataset or a stored result cannot be used as it is."""

    reason = "InvalidInput"
    exit_code = ExitCode.INVALID_INPUT


class Unavailable(AuditError):
    """Storage, a device, memory or disk is not there now."""

    reason = "Unavailable"
    exit_code = ExitCode.UNAVAILABLE


class Internal(AuditError):
    """A bug of ours."""

    reason = "Internal"
    exit_code = ExitCode.INTERNAL
