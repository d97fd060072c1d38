"""`assay task`: one task in a Pod. The answer goes into the termination message, the report into the store.

Exit code 0 says that the task did its work, whatever the verdict; else the code says whether a retry can help. A Pod
that is told to stop says so at once, from a thread of its own: the work may be deep inside a library that does not
listen to signals.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from assay_api.names import ENV_IMAGES, ENV_PROGRESS_PORT, ENV_REPORTS, ENV_TASK, ENV_TERMINATION_MESSAGE, ExitCode
from assay_api.plan import Task
from assay_api.result import TaskError, TaskResult, to_termination_message
from assay_runner import journal
from assay_runner.cli.failures import say
from assay_runner.cli.workspace import scratch_folder
from assay_runner.errors import (
    AuditError,
    Internal,
    InvalidInput,
    NotYet,
    Unavailable,
    Unreachable,
    as_audit_error,
    debug,
)

T = TypeVar("T")
DEFAULT_MESSAGE: Final = "/dev/termination-log"
_FORGIVING_SECONDS: Final = 3.0
"""How long a Pod that is told to stop may take to say in the store that no step of its work is to blame."""


def command(arguments: argparse.Namespace) -> int:
    """Run the task of the environment."""
    task = _task()
    stopping = _on_sigterm(task)
    try:
        result = _run(task)
    except Exception as error:
        debug(error)
        failure = as_audit_error(error)
        if not stopping():
            _fail(task.digest, failure)
        return ExitCode.TRY_LATER if _again(failure) else failure.exit_code
    _answer(result)
    say(f"{task.key}: {result.verdict.value if result.verdict else 'done'}: {result.message}")
    return ExitCode.PASSED


def _task() -> Task:
    text = os.environ.get(ENV_TASK, "")
    if not text:
        raise InvalidInput(f"{ENV_TASK} is not set: `assay task` is started by the operator; use `assay run` yourself")
    try:
        return Task.model_validate_json(text)
    except ValidationError as error:
        failure = Internal(f"{ENV_TASK} is no task of this version: upgrade operator and runner image together")
        _fail("", failure)
        raise failure from error


def _reports() -> dict[str, str]:
    return _told(ENV_REPORTS, TypeAdapter(dict[str, str]), "digests")


def _images() -> dict[str, tuple[str, ...]]:
    return _told(ENV_IMAGES, TypeAdapter(dict[str, tuple[str, ...]]), "images")


def _told(name: str, of: TypeAdapter[T], what: str) -> T:
    text = os.environ.get(name) or "{}"
    try:
        return of.validate_json(text)
    except ValidationError as error:
        raise Internal(f"{name} holds no {what}: upgrade operator and runner image together") from error


def _run(task: Task) -> TaskResult:
    from assay_runner.progress.server import served
    from assay_runner.progress.tracker import Tracker
    from assay_runner.progress.views import PlainView
    from assay_runner.stores import open_store
    from assay_runner.tasks import Context, answered
    from assay_runner.tasks.attempts import mirrored

    tracker = Tracker(PlainView(sys.stderr))
    with ExitStack() as stack:
        port = os.environ.get(ENV_PROGRESS_PORT, "")
        if port.isdigit():
            try:
                stack.enter_context(served(tracker, task.digest, int(port), among=bool(task.together)))
            except OSError as error:
                tracker.note(f"progress cannot be served on port {port}: {error.strerror}")
        scratch = stack.enter_context(scratch_folder())
        store = open_store(task.spec.storage, None, tracker.waits)
        stack.enter_context(mirrored(task, store))
        context = Context(store, scratch, tracker, reproduce=_reproduce(task), reports=_reports(), images=_images())
        return answered(task, context)


def _reproduce(task: Task) -> str:
    namespace, _, name = task.audit.rpartition("/")
    where = f" -n {namespace}" if namespace else ""
    return f'kubectl annotate accuracyaudit {name}{where} assay.dev/rerun="$(date +%s)" --overwrite'


def _on_sigterm(task: Task) -> Callable[[], bool]:
    """Answer a SIGTERM by a message and exit code 69; tells whether one came."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None)
    # Threads inherit the mask, so the signal waits for the one thread that asks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        told.set()
        journal.over(int(ExitCode.UNAVAILABLE))
        _fail(task.digest, Unavailable(f"task {task.key} was stopped from outside (SIGTERM) before it was done"))
        journal.forgive(_FORGIVING_SECONDS)
        os._exit(int(ExitCode.UNAVAILABLE))

    threading.Thread(target=wait, name="sigterm", daemon=True).start()
    return told.is_set


def _fail(digest: str, failure: AuditError) -> None:
    say(str(failure), "error")
    again = _again(failure)
    reason = "Unavailable" if again else failure.reason
    _answer(TaskResult(task=digest, error=TaskError(reason=reason, message=str(failure), again=again)))


def _again(failure: AuditError) -> Literal["Outage", "Setup"] | None:
    """Whether it is tried again until something outside is mended, and what kind of thing that is."""
    if isinstance(failure, NotYet):
        return "Setup"
    return "Outage" if isinstance(failure, Unreachable) else None


def _answer(result: TaskResult) -> None:
    path = Path(os.environ.get(ENV_TERMINATION_MESSAGE) or DEFAULT_MESSAGE)
    try:
        path.write_text(to_termination_message(result))
    except OSError as error:
        # Outside a Pod there is no such file; the report stands in the store all the same.
        say(f"the result could not be written to {path}: {error.strerror}")
