"""The command line: arguments in, exit code out.

Each command is a module with `command(arguments) -> exit code`, imported when it is called, so that `assay --help`
and `assay validate` do not wait for ONNX Runtime or boto3. Errors end here, in one sentence on standard error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from assay_runner import interruption, streams
from assay_runner.cli.arguments import parser

__all__ = ["COMMANDS", "parser", "run_command"]

COMMANDS: Final[dict[str, str]] = {
    "run": "assay_runner.cli.run",
    "repair": "assay_runner.cli.repair",
    "init": "assay_runner.cli.init",
    "validate": "assay_runner.cli.validate",
    "plan": "assay_runner.cli.plan",
    "report": "assay_runner.cli.report",
    "wait": "assay_runner.cli.wait",
    "junit": "assay_runner.cli.results",
    "ctrf": "assay_runner.cli.results",
    "diff": "assay_runner.cli.diff",
    "baseline": "assay_runner.cli.baseline",
    "screen": "assay_runner.cli.screen",
    "gate": "assay_runner.cli.gate",
    "schema": "assay_runner.cli.schema",
    "tactics": "assay_runner.cli.tactics",
    "task": "assay_runner.cli.task",
}


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one sentence on standard error."""
    try:
        return _ended(argv)
    except KeyboardInterrupt:
        return interruption.told()
    except BrokenPipeError:
        # Whoever read our output has gone.
        streams.give_up_output()
        return 141
    except Exception as error:
        if interruption.came():
            return interruption.told()
        from assay_runner.cli.failures import complain, lost

        if isinstance(error, streams.OutputLost):
            streams.give_up_output()
            return lost(error)
        return complain(error)


def _ended(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
        code = _done(arguments)
    finally:
        # Help ends by an exception too, and must be told like all else.
        sys.stdout.flush()
    return code


def _done(arguments: argparse.Namespace) -> int:
    try:
        return int(importlib.import_module(COMMANDS[arguments.command]).command(arguments))
    except SystemExit as ended:
        # No command ends so but by Rich, whose consoles end the process with 1 where their reader has gone.
        raise BrokenPipeError from ended
