"""Arguments of the commands that take the file of an audit or a sweep, or write one."""

from __future__ import annotations

import argparse

from assay_runner.cli.arguments.base import Commands, seconds, stand_in


def run(commands: Commands) -> None:
    """`assay run`."""
    command = commands.add_parser(
        "run",
        help="run an audit here, without a cluster",
        description="Run the audit of a file here: the same file that a cluster takes, with file:// or s3:// storage.",
    )
    _running(command)


def repair(commands: Commands) -> None:
    """`assay repair`."""
    command = commands.add_parser(
        "repair",
        help="run an audit here, and look for a cure of what fails",
        description="Run the audit of a file here. Where a candidate fails, look for a cure as spec.remedies has it, "
        "or by every remedy that applies where it names none. What to ship comes into DIR/recommended. Ends with 0 "
        "exactly where a candidate or a repair of one passes; a repair counts on samples that no search has seen. What "
        "was tried is kept in DIR/cache: the same command goes on where it was stopped.",
    )
    _running(command)


def init(commands: Commands) -> None:
    """`assay init`."""
    command = commands.add_parser(
        "init",
        help="draft the first audit of a model",
        description="Write an audit that fits a model and its data, with a comment for each guess. The data are looked "
        "at and fed to the model once. Without data a small synthetic set is made, on which nothing passes.",
    )
    command.add_argument("model", metavar="MODEL", help="an ONNX file, or its URI")
    command.add_argument("data", metavar="DATA", nargs="?", help="a file of inputs, a folder of them, or a URI")
    command.add_argument(
        "-o", "--output", metavar="FILE", default="audit.yaml", help="file to write (default audit.yaml)"
    )
    command.add_argument("--force", action="store_true", help="replace the file if it is there")
    command.add_argument(
        "--backend",
        choices=("onnxruntime", "tensorrt"),
        default="onnxruntime",
        help="of the candidates (default onnxruntime, which emulates them on a CPU)",
    )


def validate(commands: Commands) -> None:
    """`assay validate`."""
    _file(commands.add_parser("validate", help="check files of audits and sweeps by the same rules as the API server"))


def plan(commands: Commands) -> None:
    """`assay plan`."""
    command = commands.add_parser(
        "plan", help="show the tasks of an audit and the GPUs they need, the cells of a sweep"
    )
    _file(command)
    _selection(command)
    price = command.add_mutually_exclusive_group()
    price.add_argument(
        "--cell-seconds", metavar="SECONDS", type=seconds, help="GPU seconds of a cell, to price a sweep by"
    )
    price.add_argument(
        "--measured",
        action="store_true",
        help="price a sweep as the operator does, by the medians of what its audits in the cluster of your kubeconfig "
        "took, a model's own where there are any; models and GPU products are those of its last run",
    )


def schema(commands: Commands) -> None:
    """`assay schema`."""
    command = commands.add_parser(
        "schema", help="print the JSON schema of an audit, a sweep, a screening, or of report.json"
    )
    command.add_argument(
        "what", nargs="?", choices=("audit", "sweep", "screening", "report"), default="audit", help="default audit"
    )


def _running(command: argparse.ArgumentParser) -> None:
    _file(command)
    command.add_argument(
        "--out", metavar="DIR", help="folder for reports, in place of spec.artifacts (default ./assay-out/NAME)"
    )
    _selection(command)
    command.add_argument(
        "--strict",
        action="store_true",
        help="with --backend: what only an engine can answer is Inconclusive, in place of being left for the GPU",
    )


def _selection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        type=stand_in,
        choices=("onnxruntime",),
        help="put ONNX Runtime on CPU in the place of TensorRT: an emulation, and every page says so; what only an "
        "engine can answer is left for the GPU and listed, and the rest decides",
    )
    for option, what in (("candidate", "candidate"), ("check", "check")):
        command.add_argument(
            f"--{option}",
            metavar="NAME",
            action="append",
            default=[],
            help=f"only this {what} of the audit; may be given again (default: every one)",
        )


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument("-f", "--filename", metavar="FILE", required=True, help="YAML file; - reads standard input")
