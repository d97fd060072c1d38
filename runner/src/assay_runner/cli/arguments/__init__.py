"""What the command line takes: a module per kind of command, a function per command, in the order that --help has."""

from __future__ import annotations

import argparse
from typing import Final

from assay_runner.cli.arguments import audits, clusters, machines, results
from assay_runner.cli.arguments.base import Parser

_EPILOG: Final = """exit codes:
  0   passed
  1   breached: a candidate failed a check
  2   inconclusive: something could not be measured
  64  the input is wrong (audit, model, dataset, labels, credentials)
  69  something outside is unavailable (storage, memory, disk, a GPU)
  70  a bug in Assay
  128 + the signal's number where it was stopped: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP,
  141 where whoever read its output has gone
  `assay run` with several candidates ends with the first of 70, 64, 1, 69, 2, 0 that holds for any of them;
  `assay repair` with 0 exactly where there is something to ship

environment:
  AWS_*                how s3:// is reached, as for every AWS tool; AWS_CA_BUNDLE names CA certificates
  ASSAY_RETRY_SECONDS  how long storage that does not answer is waited for (default 120)
  ASSAY_SCRATCH        folder for temporary files (default: the system's)
  ASSAY_DEBUG          1 shows the traceback of an error
"""


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and end."""
        from assay_runner.installed import runner_version

        print(f"assay {runner_version()}")
        raise SystemExit(0)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = Parser(
        prog="assay",
        description="Does an optimised build of a model still compute what the model computes?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for add in (
        audits.run, audits.repair, audits.init, audits.validate, audits.plan, results.report, clusters.wait,
        results.results, results.diff, results.baseline, machines.screen, clusters.gate, audits.schema, results.tactics,
    ):  # fmt: skip
        add(commands)
    commands.add_parser("task", help="run one task inside a Pod (used by the operator)")
    return top
