"""`assay run`: the file is read before anything heavy is loaded, so that a typing mistake is told at once."""

from __future__ import annotations

import argparse

from assay_runner.cli.documents import read_audit


def command(arguments: argparse.Namespace) -> int:
    """Run the only audit of the file."""
    audit = read_audit(arguments.filename)
    from assay_runner.cli.local import run_audit

    return run_audit(audit, arguments)
