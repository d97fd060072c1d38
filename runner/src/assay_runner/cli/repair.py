"""`assay repair`: an audit that looks for a cure of what fails, and lays out what to ship.

What was tried is kept in the run's cache, trial by trial, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assay_api.audit import AccuracyAudit
from assay_api.names import ExitCode
from assay_api.remedies import Auto, Remedies
from assay_runner import interruption, journal
from assay_runner.cli.broken_off import told_to_pipelines
from assay_runner.cli.documents import read_audit
from assay_runner.cli.failures import say
from assay_runner.cli.leftovers import RECOMMENDED, check_free, remove_reports
from assay_runner.cli.selection import selected
from assay_runner.errors import CannotBuild, Died, InvalidInput

if TYPE_CHECKING:
    from assay_runner.cli.local import Ran


def command(arguments: argparse.Namespace) -> int:
    """Run the only audit of the file, remedies and all."""
    if arguments.out and not journal.again():
        remove_reports(Path(arguments.out))
    with told_to_pipelines(arguments.out, arguments.filename):
        return _repaired(arguments)


def _repaired(arguments: argparse.Namespace) -> int:
    audit = _with_remedies(selected(read_audit(arguments.filename, "repair"), arguments))
    if any(candidate.name == RECOMMENDED for candidate in audit.spec.candidates):
        raise InvalidInput(f"`assay repair` lays out what to ship in {RECOMMENDED}/: give that candidate another name")
    from assay_runner.cli.local import folder_of, run_audit

    out, began = folder_of(arguments.out, audit), time.time()
    if not journal.again():
        remove_reports(out)
    check_free(out)
    try:
        return run_audit(audit, arguments, _ended)
    except BaseException:
        if interruption.came():
            _stopped(out, began)
        raise


def _with_remedies(audit: AccuracyAudit) -> AccuracyAudit:
    """The audit, with every remedy that applies where it names none."""
    if audit.spec.remedies is not None:
        return audit
    spec = audit.spec.model_copy(update={"remedies": Remedies(auto=Auto())})
    return audit.model_copy(update={"spec": spec})


def _stopped(out: Path, began: float) -> None:
    """Say what there is of a repair that was stopped; what lies there since an earlier run is of that one."""
    from assay_runner.remedies.deploy import SCRIPT, UNJUDGED

    scripts = [path for path in sorted(out.glob(f"repair*/*/{SCRIPT}")) if path.stat().st_mtime >= began]
    kept = [path.parent for path in scripts if UNJUDGED in path.read_text("utf-8")]
    best = f"the best so far, not yet judged on unseen samples, lies in {kept[0]}; " if kept else ""
    say(f"stopped: {best}the same command goes on from here")


def _ended(ran: Ran) -> int:
    """Lay out what to ship; 0 exactly where there is something."""
    from assay_runner.cli.local import asked
    from assay_runner.cli.recommended import lay_out

    print(lay_out(ran), flush=True)
    if ran.report.recommendation and ran.report.recommendation.candidate:
        return ExitCode.PASSED
    tasks = {task.key: task for task in ran.tasks}
    beside = [error for key, error in ran.failures.items() if tasks[key].about.beside]
    if not beside:
        return asked(ran)
    # Not everything was looked for, so it cannot be said that there is none.
    return int(ExitCode.INCONCLUSIVE if isinstance(beside[0], (CannotBuild, Died)) else beside[0].exit_code)
