"""`assay run`: the file is read before anything heavy is loaded, so that a typing mistake is told at once.

Whatever becomes of the run, its folder holds no verdict of an earlier one from the first moment on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from assay_runner import journal
from assay_runner.cli.broken_off import told_to_pipelines
from assay_runner.cli.documents import read_audit
from assay_runner.cli.leftovers import remove_reports
from assay_runner.cli.selection import selected


def command(arguments: argparse.Namespace) -> int:
    """Run the only audit of the file."""
    if arguments.out and not journal.again():
        remove_reports(Path(arguments.out))
    with told_to_pipelines(arguments.out, arguments.filename):
        audit = selected(read_audit(arguments.filename), arguments)
        from assay_runner.cli.local import run_audit

        return run_audit(audit, arguments)
