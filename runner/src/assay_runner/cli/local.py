"""All tasks of an audit, here, in their order.

A candidate that cannot be measured does not stop the others: it is reported as Inconclusive with the reason, and the
exit code tells whose move it is.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_api.audit import AccuracyAudit, AuditSpec
from assay_api.graph import Outcome, evaluate
from assay_api.names import REPORT_HTML
from assay_api.plan import Task, cache_folder, concluding, plan
from assay_api.report import Report, Verdict
from assay_runner import errors, interruption, journal
from assay_runner.cli.documents import base_folder
from assay_runner.cli.failures import debug, exit_code, say
from assay_runner.cli.leftovers import remove_reports
from assay_runner.cli.preload import loading
from assay_runner.cli.workspace import scratch_folder
from assay_runner.errors import AuditError, Internal, as_audit_error
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import shown_on
from assay_runner.stores import open_store
from assay_runner.stores.files import disk_error
from assay_runner.tasks import Context, run_task

if TYPE_CHECKING:
    from rich.console import Console

OVER: Final = "over"
"""What the journal calls a task that is over."""
SUMMARY_WIDTH = 120
MOST_KEPT = 8 << 30
SHARE_KEPT = 0.25
"""Of the free disk: what is not kept is computed again, which costs time and not the audit."""


def run_audit(audit: AccuracyAudit, arguments: argparse.Namespace) -> int:
    """Run the audit, print its verdicts and, as the last line, the path of the page; returns the exit code."""
    out = _out(arguments.out, audit)
    with scratch_folder() as scratch, shown_on(sys.stderr) as tracker:
        tasks = _tasks(audit, out, arguments.backend)
        context = _context(arguments, audit.spec, scratch, tracker, sum(task.candidate is not None for task in tasks))
        failures = run_all(tasks, context)
        # Pages and tables, loaded ahead by now: see `loading`.
        from assay_runner.report import print_verdicts
        from assay_runner.tasks.publish import published

        found = published(concluding(tasks), context.store)
    if found is None:
        raise Internal(f"the summary of {audit.metadata['name']} is not in {out}, where it was just written")
    report: Report = found[0]
    print_verdicts(report, _console())
    for message in dict.fromkeys(_sentences(failures)):
        say(message)
    print(out / REPORT_HTML, flush=True)
    return exit_code(report.verdict, failures.values())


def run_all(tasks: Sequence[Task], context: Context) -> dict[str, AuditError]:
    """Run the tasks one after the other, each once it may start; the errors of candidates by key.

    Raises:
        AuditError: a task failed that is about no candidate, without which there is no answer.
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
            if task.candidate is None or interruption.came():
                raise
            failures[task.key] = as_audit_error(error)
            debug(error)
            outcomes[task.key] = Outcome("Failed")
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


def _out(wanted: str | None, audit: AccuracyAudit) -> Path:
    out = Path(wanted or Path("assay-out", str(audit.metadata["name"]))).absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise disk_error(NotADirectoryError(20, "a file stands there"), out) from None
    except OSError as error:
        raise disk_error(error, out) from error
    if not journal.again():
        remove_reports(out)
    return out


def _context(
    arguments: argparse.Namespace, spec: AuditSpec, scratch: Path, tracker: Tracker, candidates: int
) -> Context:
    base = base_folder(arguments.filename)
    words = ["assay", "run", "-f", arguments.filename]
    words += ["--backend", arguments.backend] if arguments.backend else []
    return Context(
        store=open_store(spec.storage, base, tracker.note),
        scratch=scratch,
        progress=tracker,
        backend=arguments.backend,
        resume=False,
        reproduce=shlex.join(words),
        keep=_kept(scratch) if candidates > 1 else 0,
    )


def _kept(scratch: Path) -> int:
    """Bytes of golden's tensors that the scratch disk may keep from one candidate to the next."""
    return min(MOST_KEPT, int(SHARE_KEPT * shutil.disk_usage(scratch).free))


def _tasks(audit: AccuracyAudit, out: Path, backend: str | None) -> tuple[Task, ...]:
    spec = audit.spec
    if backend:
        # One CPU stands for every GPU product: the same emulation need not run for each.
        target = spec.target.model_copy(update={"gpu_products": ()})
        spec = spec.model_copy(update={"target": target})
    folder = f"file://{out}"
    return plan(spec, str(audit.metadata["name"]), output=folder, cache=cache_folder(folder))


def _sentences(failures: dict[str, AuditError]) -> list[str]:
    """One sentence per different error; an error of every candidate is not about any one of them."""
    texts = {str(f) for f in failures.values()}
    if len(texts) == 1 and len(failures) > 1:
        return list(texts)
    return [f"candidate {key}: {failure}" for key, failure in failures.items()]


def _console() -> Console:
    """Standard output; a pipe is no reason to break lines at 80 columns."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=SUMMARY_WIDTH)
