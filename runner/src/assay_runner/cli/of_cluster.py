"""Arguments of the commands that pipelines call about what a cluster holds."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}


def in_cluster(command: argparse.ArgumentParser, namespace: str) -> None:
    """Where an audit is that is read from the cluster; `namespace`: what it is, for the help."""
    command.add_argument("-n", "--namespace", metavar="NAMESPACE", help=f"{namespace} (default: the context's)")
    command.add_argument("--context", metavar="CTX", help="context of the kubeconfig (default: the current one)")


def wait(commands: argparse._SubParsersAction[Any]) -> None:
    """`assay wait`."""
    command = commands.add_parser(
        "wait",
        help="wait until audits or sweeps in the cluster have ended, and end with their verdict",
        description="Wait until the runs of audits and sweeps in the cluster have ended: those of their present spec "
        "and of the rerun that their annotations ask for. Ends with 0 where all passed, else as `assay run` does: 1 "
        "breached, 2 inconclusive or over budget, 64 wrong input, 69 an error, or not ended in time. onBreach changes "
        "nothing of this.",
    )
    command.add_argument("what", metavar="audit/NAME|sweep/NAME", nargs="+", help="what to wait for")
    command.add_argument(
        "--timeout", metavar="TIME", type=duration, default=7200.0, help="how long in all: 90s, 30m, 2h (default 2h)"
    )
    in_cluster(command, "their namespace")


def results(commands: argparse._SubParsersAction[Any]) -> None:
    """`assay junit` and `assay ctrf`."""
    for name, what in (("junit", "JUnit XML"), ("ctrf", "CTRF, JSON of ctrf.io")):
        command = commands.add_parser(
            name,
            help=f"write results as {what} for a CI system",
            description=f"Write results as {what}: of a report.json, a folder with one, a URI of either, audit/NAME "
            "in the cluster (its report is fetched), or sweep/NAME (a suite per model, a case per cell, by what its "
            "audits say). Ends with 0 whatever the verdict is. Where there is no answer, FILE holds the reason as one "
            "error, and the exit code is not 0.",
        )
        command.add_argument("what", metavar="RESULTS", help="report.json, a folder or URI, audit/NAME or sweep/NAME")
        command.add_argument("-o", "--out", metavar="FILE", help="write there (default: standard output)")
        in_cluster(command, "namespace of the audit or sweep")


def duration(text: str) -> float:
    """Seconds of a duration as Kubernetes writes one: 90s, 30m, 2h, 1h30m; a number alone is seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", text)
    if text and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"takes a duration such as 90s, 30m or 2h, got {text!r}")
