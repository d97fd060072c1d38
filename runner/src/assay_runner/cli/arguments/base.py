"""What every command's arguments are made of."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Final, NoReturn, TypeAlias

from assay_api.names import ExitCode

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}


class Parser(argparse.ArgumentParser):
    """argparse ends wrong usage with 2, which here means Inconclusive."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with 64."""
        print(f"assay: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(int(ExitCode.INVALID_INPUT))

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As argparse does; what is unknown is refused by the command that it was given to, not by all of them."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            from assay_runner.errors import did_you_mean

            self.error(f"unrecognized arguments: {' '.join(rest)}{did_you_mean(rest[0], self._option_string_actions)}")
        return found, rest


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where commands are added; argparse has no public name for it."""


def in_cluster(command: argparse.ArgumentParser, namespace: str) -> None:
    """Where an audit is that is read from the cluster; `namespace`: what it is, for the help."""
    command.add_argument("-n", "--namespace", metavar="NAMESPACE", help=f"{namespace} (default: the context's)")
    command.add_argument("--context", metavar="CTX", help="context of the kubeconfig (default: the current one)")


def seconds(text: str) -> float:
    """Seconds as a number."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number of seconds, got {text!r}")
    return number


def stand_in(text: str) -> str:
    """What stands in for TensorRT."""
    if text != "onnxruntime":
        raise argparse.ArgumentTypeError(
            f"takes onnxruntime, which stands in for TensorRT, got {text!r}: without --backend each candidate is "
            "run by the backend that the file gives it"
        )
    return text


def count(text: str) -> int:
    """How many of something, at least one."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= 1_000_000_000:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1 on, got {text!r}")
    return number


def duration(text: str) -> float:
    """Seconds of a duration as Kubernetes writes one: 90s, 30m, 2h, 1h30m; a number alone is seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", text)
    if text and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"takes a duration such as 90s, 30m or 2h, got {text!r}")
