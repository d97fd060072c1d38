"""All tasks of an audit, here, in their order.

A candidate that cannot be measured does not stop the others: it is reported as Inconclusive with the reason, and the
exit code tells whose move it is.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_api.audit import AccuracyAudit, AuditSpec
from assay_api.graph import Outcome, evaluate
from assay_api.names import REPORT_HTML
from assay_api.plan import Task, cache_folder, concluding, plan
from assay_api.report import Report, Verdict
from assay_runner import errors, interruption, journal
from assay_runner.cli.documents import base_folder
from assay_runner.cli.failures import exit_code, printable, say
from assay_runner.cli.leftovers import remove_reports
from assay_runner.cli.places import absolute, check_results
from assay_runner.cli.preload import loading
from assay_runner.cli.selection import for_backend, words_of
from assay_runner.cli.workspace import scratch_folder
from assay_runner.errors import AuditError, Internal, as_audit_error, debug
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import shown_on
from assay_runner.stores import open_store
from assay_runner.stores.claims import remove_left_parts
from assay_runner.stores.files import disk_error
from assay_runner.tasks import Context, run_task

if TYPE_CHECKING:
    from rich.console import Console

KEPT: Final = ("golden", "build", "engines")
"""Folders of the cache."""
OVER: Final = "over"
"""What the journal calls a task that is over."""
SUMMARY_WIDTH = 120
MOST_KEPT = 8 << 30
SHARE_KEPT = 0.25
"""Of the free disk: what is not kept is computed again, which costs time and not the audit."""


@dataclass(frozen=True)
class Ran:
    """A run that has a report.

    Attributes:
        report: the audit's.
        tasks: the plan.
        failures: errors of tasks, by key.
        context: what the tasks were given; its scratch folder is there yet.
        out: folder of the run.
    """

    report: Report
    tasks: tuple[Task, ...]
    failures: Mapping[str, AuditError]
    context: Context
    out: Path


def asked(ran: Ran) -> int:
    """The exit code of `assay run`: of what was asked for, whatever became of what was done beside it."""
    beside = {task.key for task in ran.tasks if task.about.beside}
    return exit_code(ran.report.verdict, (error for key, error in ran.failures.items() if key not in beside))


def run_audit(audit: AccuracyAudit, arguments: argparse.Namespace, ending: Callable[[Ran], int] = asked) -> int:
    """Run the audit, print its verdicts and, as the last line, the path of the page; returns the exit code.

    Args:
        audit: the audit.
        arguments: of the command line.
        ending: does what is left once there is a report, and gives the exit code.
    """
    out = _out(arguments.out, audit)
    tasks = _tasks(audit, out, arguments.backend)
    check_results(out, _folders(tasks))
    with scratch_folder() as scratch, shown_on(sys.stderr) as tracker:
        context = _context(arguments, audit.spec, scratch, tracker, sum(task.candidate is not None for task in tasks))
        failures = run_all(tasks, context)
        # Pages and tables, loaded ahead by now: see `loading`.
        from assay_runner.report import print_verdicts
        from assay_runner.tasks.publish import published

        found = published(concluding(tasks), context.store)
        if found is None:
            raise Internal(f"the summary of {audit.metadata['name']} is not in {out}, where it was just written")
        ran = Ran(found[0], tasks, failures, context, out)
        code = ending(ran)
    print_verdicts(ran.report, _console())
    for message in dict.fromkeys(_sentences(failures, tasks)):
        say(message)
    print(out / REPORT_HTML, flush=True)
    return code


def run_all(tasks: Sequence[Task], context: Context) -> dict[str, AuditError]:
    """Run the tasks one after the other, each once it may start; the errors of candidates and repairs by key.

    Raises:
        AuditError: another task failed, without which there is no answer.
    """
    failures, outcomes = _before()
    backends = {context.backend or task.candidate.backend for task in tasks if task.candidate}
    while ready := evaluate(tasks, outcomes).ready:
        task = ready[0]
        try:
            # What comes later is loaded beside the first task.
            with nullcontext() if outcomes else loading(backends):
                outcomes[task.key] = Outcome("Finished", run_task(task, context).verdict)
            journal.keep(OVER, [task.key, outcomes[task.key].verdict])
        except Exception as error:
            if not (task.candidate or task.about.beside) or interruption.came():
                raise
            failures[task.key] = as_audit_error(error)
            debug(error)
            outcomes[task.key] = Outcome("Failed")
            if task.candidate:
                from assay_runner.tasks.sections import publish_unmeasured

                publish_unmeasured(task, context, failures[task.key])
            journal.keep(OVER, [task.key, errors.name_of(failures[task.key]), str(failures[task.key])])
    return failures


def _before() -> tuple[dict[str, AuditError], dict[str, Outcome]]:
    """Errors and outcomes of the tasks that a process before this one ended, which died in another."""
    failures: dict[str, AuditError] = {}
    outcomes: dict[str, Outcome] = {}
    for key, told, *message in journal.kept_all(OVER):
        if message:
            failures[key] = errors.NAMED[told](*message)
        outcomes[key] = Outcome("Failed") if message else Outcome("Finished", told and Verdict(told))
    return failures, outcomes


def folder_of(wanted: str | None, audit: AccuracyAudit) -> Path:
    """The folder of a run: what is wanted, or one beside the shell's."""
    return absolute(wanted or Path("assay-out", str(audit.metadata["name"])), "the folder for reports")


def _out(wanted: str | None, audit: AccuracyAudit) -> Path:
    out = folder_of(wanted, audit)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise disk_error(NotADirectoryError(20, "a file stands there"), out) from None
    except OSError as error:
        raise disk_error(error, out) from error
    if not journal.again():
        remove_reports(out)
        remove_left_parts(out)
    return out


def _context(
    arguments: argparse.Namespace, spec: AuditSpec, scratch: Path, tracker: Tracker, candidates: int
) -> Context:
    base = base_folder(arguments.filename)
    words = ["assay", arguments.command, "-f", arguments.filename]
    words += words_of(arguments)
    return Context(
        store=open_store(spec.storage, base, tracker.note),
        scratch=scratch,
        progress=tracker,
        backend=arguments.backend,
        strict=arguments.strict,
        resume=False,
        reproduce=printable(shlex.join(words)),
        keep=_kept(scratch) if candidates > 1 else 0,
    )


def _kept(scratch: Path) -> int:
    """Bytes of golden's tensors that the scratch disk may keep from one candidate to the next."""
    return min(MOST_KEPT, int(SHARE_KEPT * shutil.disk_usage(scratch).free))


def _tasks(audit: AccuracyAudit, out: Path, backend: str | None) -> tuple[Task, ...]:
    # Here every candidate is audited in one process anyhow.
    spec = for_backend(audit.spec, backend).model_copy(update={"candidates_per_job": None})
    folder = f"file://{out}"
    return plan(spec, str(audit.metadata["name"]), output=folder, cache=cache_folder(folder))


def _folders(tasks: Iterable[Task]) -> list[Path]:
    """Where results go, those that are kept for later runs too."""
    found = {uri for task in tasks for uri in (task.folder, task.cache, *(f"{task.cache}/{name}" for name in KEPT))}
    return sorted(Path(uri.removeprefix("file://")) for uri in found)


def _sentences(failures: dict[str, AuditError], tasks: Iterable[Task]) -> list[str]:
    """One sentence per different error; an error of every candidate is not about any one of them."""
    texts = {str(f) for f in failures.values()}
    if len(texts) == 1 and len(failures) > 1:
        return list(texts)
    candidates = {task.key for task in tasks if task.candidate}
    keys: dict[tuple[str, bool], list[str]] = {}
    for key, failure in failures.items():
        keys.setdefault((str(failure), key in candidates), []).append(key)
    return [f"{_whose(named, candidate=candidate)}: {text}" for (text, candidate), named in keys.items()]


def _whose(keys: Sequence[str], *, candidate: bool) -> str:
    kind = f"candidate{'s' * (len(keys) > 1)} " if candidate else ""
    return f"{kind}{', '.join(keys)}"


def _console() -> Console:
    """Standard output; a pipe is no reason to break lines at 80 columns."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=SUMMARY_WIDTH)
