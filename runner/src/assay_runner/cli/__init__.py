"""The command line: arguments in, exit code out.

Each command is a module with `command(arguments) -> exit code`, imported when it is called, so that `assay --help`
and `assay validate` do not wait for ONNX Runtime or boto3. Errors end here, in one sentence on standard error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from assay_api.names import ExitCode
from assay_runner import interruption, streams
from assay_runner.cli import of_cluster

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


class _Parser(argparse.ArgumentParser):
    """argparse ends wrong usage with 2, which here means Inconclusive."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with 64."""
        print(f"assay: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(int(ExitCode.INVALID_INPUT))


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and end."""
        from importlib.metadata import version

        print(f"assay {version('assay-runner')}")
        raise SystemExit(0)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(
        prog="assay",
        description="Does an optimised build of a model still compute what the model computes?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    run = commands.add_parser(
        "run",
        help="run an audit here, without a cluster",
        description="Run the audit of a file here: the same file that a cluster takes, with file:// or s3:// storage.",
    )
    _run(run)
    repair = commands.add_parser(
        "repair",
        help="run an audit here, and look for a cure of what fails",
        description="Run the audit of a file here. Where a candidate fails, look for a cure as spec.remedies has it, "
        "or by every remedy that applies where it names none. What to ship comes into DIR/recommended. Ends with 0 "
        "exactly where a candidate or a repair of one passes; a repair counts on samples that no search has seen. What "
        "was tried is kept in DIR/cache: the same command goes on where it was stopped.",
    )
    _run(repair)
    _init(commands)
    _file(commands.add_parser("validate", help="check files of audits and sweeps by the same rules as the API server"))
    planned = commands.add_parser(
        "plan", help="show the tasks of an audit and the GPUs they need, the cells of a sweep"
    )
    _file(planned)
    _selection(planned)
    price = planned.add_mutually_exclusive_group()
    price.add_argument(
        "--cell-seconds", metavar="SECONDS", type=_seconds, help="GPU seconds of a cell, to price a sweep by"
    )
    price.add_argument(
        "--measured",
        action="store_true",
        help="price a sweep by the median of what its audits in the cluster of your kubeconfig took",
    )
    _report(commands)
    of_cluster.wait(commands)
    of_cluster.results(commands)
    _diff(commands)
    _baseline(commands)
    _screen(commands)
    _gate(commands)
    schema = commands.add_parser("schema", help="print the JSON schema of an audit or a sweep, or of report.json")
    schema.add_argument("what", nargs="?", choices=("audit", "sweep", "report"), default="audit", help="default audit")
    _tactics(commands)
    commands.add_parser("task", help="run one task inside a Pod (used by the operator)")
    return top


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number of seconds, got {text!r}")
    return seconds


def _run(command: argparse.ArgumentParser) -> None:
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


def _init(commands: argparse._SubParsersAction[_Parser]) -> None:
    init = commands.add_parser(
        "init",
        help="draft the first audit of a model",
        description="Write an audit that fits a model and its data, with a comment for each guess. The data are looked "
        "at and fed to the model once. Without data a small synthetic set is made, on which nothing passes.",
    )
    init.add_argument("model", metavar="MODEL", help="an ONNX file, or its URI")
    init.add_argument("data", metavar="DATA", nargs="?", help="a file of inputs, a folder of them, or a URI")
    init.add_argument("-o", "--output", metavar="FILE", default="audit.yaml", help="file to write (default audit.yaml)")
    init.add_argument("--force", action="store_true", help="replace the file if it is there")
    init.add_argument(
        "--backend",
        choices=("onnxruntime", "tensorrt"),
        default="onnxruntime",
        help="of the candidates (default onnxruntime, which emulates them on a CPU)",
    )


def _report(commands: argparse._SubParsersAction[_Parser]) -> None:
    report = commands.add_parser(
        "report",
        help="fetch the page of an audit in the cluster and open it",
        description="Fetch the report page of an audit in the cluster and open it. The audit is read by your kubectl, "
        "the page with your AWS environment; AWS_ENDPOINT_URL_S3 takes the place of the audit's endpoint. "
        "Ends with 0 whatever the verdict is.",
    )
    report.add_argument("name", metavar="NAME", help="name of the audit, or of the sweep")
    report.add_argument("--sweep", action="store_true", help="the page of a sweep: a map of its models and targets")
    of_cluster.in_cluster(report, "its namespace")
    report.add_argument("--candidate", metavar="CANDIDATE", help="the page of one candidate, not the audit's")
    report.add_argument("--out", metavar="FILE", help="write the page there (default: a new temporary folder)")
    report.add_argument("--no-open", action="store_true", help="only fetch the page and print its path")


def _diff(commands: argparse._SubParsersAction[_Parser]) -> None:
    diff = commands.add_parser(
        "diff",
        help="show where two reports part: verdicts, figures beyond their noise, model, data and versions",
        description="Compare two reports. Each is a report.json, a folder with one (what `assay run --out` wrote), a "
        "URI of either, or audit/NAME in the cluster. Ends with 1 where a verdict turned to Failed, with --figures "
        "also where a figure got worse beyond its noise; with 2 where something that was judged no longer is; else "
        "with 0.",
    )
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument("--figures", action="store_true", help="end with 1 too where a figure got worse beyond its noise")
    diff.add_argument("--all", action="store_true", help="list what stayed as it was too")
    diff.add_argument("--html", metavar="FILE", help="write a page of it")
    diff.add_argument("--json", metavar="FILE", help="write it as JSON")
    of_cluster.in_cluster(diff, "namespace of audits")


def _baseline(commands: argparse._SubParsersAction[_Parser]) -> None:
    baseline = commands.add_parser(
        "baseline",
        help="accept what a report says, and see what another is beside it",
        description="accept makes a report's candidates the baseline of their model, dataset and GPU product; show "
        "tells what a report's candidates are beside it: New, Unchanged, Changed, Improved, Regressed or Inconclusive. "
        "show ends with 1 where one has regressed, 2 where one is new or cannot be told, else 0. Answers of an audit "
        "or a sweep in the cluster are accepted there, by the credentials of their namespace: you need the right to "
        "annotate it.",
    )
    what = baseline.add_subparsers(dest="what", metavar="accept|show", required=True, parser_class=_Parser)
    for name, help_text in (("accept", "make it the baseline"), ("show", "hold it against the baseline")):
        command = what.add_parser(name, help=help_text)
        command.add_argument(
            "report", metavar="REPORT", nargs="?", help="report.json, a folder or URI of one, or audit/NAME"
        )
        command.add_argument("--candidate", metavar="NAME", help="this candidate only (default: all)")
        command.add_argument("--store", metavar="URI", help="in place of the artifacts of the report's spec")
        command.add_argument("--sweep", metavar="NAME", help="the answers of a sweep in the cluster")
        command.add_argument("--model", metavar="NAME", help="of a sweep: this model only")
        command.add_argument("--image", metavar="IMAGE", help="of a sweep with several: this image only")
        command.add_argument("--cell", metavar="CELL", help="of a sweep: MODEL/CANDIDATE, or MODEL/CANDIDATE@PRODUCT")
        command.add_argument("--cause", metavar="TEXT", help="of a sweep: what has this cause, as its page tells it")
        of_cluster.in_cluster(command, "namespace of audit/NAME, or of the sweep")
        if name == "accept":
            command.add_argument("--why", metavar="TEXT", required=True, help="why it is accepted")
            command.add_argument("--who", metavar="NAME", help="who accepts it (default: your user name)")
            command.add_argument(
                "--timeout",
                metavar="SECONDS",
                type=_seconds,
                default=300.0,
                help="how long to wait for it (default 300)",
            )


def _screen(commands: argparse._SubParsersAction[_Parser]) -> None:
    screen = commands.add_parser(
        "screen",
        help="run one plan on every GPU of this machine and name those that compute something else",
        description="Run one plan on every GPU of this machine and compare all answers bit by bit: with a record, or "
        "with what most of at least three GPUs of one class answer. A GPU is named once a second scan of it deviates "
        "too. An .onnx file is run on the CPU, as a stand-in. Ends with 0 where every GPU was scanned and none "
        "deviated, 1 where one is named, 2 where one was skipped or nothing can be said. GPUs in use are left alone.",
    )
    screen.add_argument("subject", metavar="PLAN", nargs="?", help="a TensorRT plan, or an .onnx file")
    screen.add_argument(
        "--compare",
        metavar="REPORT",
        nargs="+",
        help="in place of PLAN: put reports of several machines together (screen.json, or folders with one)",
    )
    screen.add_argument(
        "--expect",
        metavar="FILE",
        help="with --compare: names of all machines, one a line (node/NAME too); - reads input",
    )
    screen.add_argument("--data", metavar="DIR", help="inputs: .npz files, one feed each (default: made up)")
    screen.add_argument("--count", metavar="N", type=_count, default=8, help="inputs in rotation (default 8)")
    screen.add_argument("--batch", metavar="N", type=_count, default=1, help="free axes of made-up inputs (default 1)")
    runs = "compared runs of each GPU once it is warm (default 30000: excludes faults in 1 of 10000 runs)"
    screen.add_argument("--runs", metavar="N", type=_count, default=30_000, help=runs)
    screen.add_argument("--heat", metavar="SECONDS", type=_seconds, default=20.0, help="until it is warm (default 20)")
    screen.add_argument(
        "--seconds", metavar="S", type=_seconds, default=110.0, help="most time of a scan (default 110)"
    )
    hangs = "without a word for so long, a GPU hangs (default 60)"
    screen.add_argument("--silence", metavar="SECONDS", type=_seconds, default=60.0, help=hangs)
    screen.add_argument("--devices", metavar="UUID,…", help="only these GPUs; of an .onnx file, how many stand-ins")
    screen.add_argument("--wait", metavar="SECONDS", type=_seconds, default=0.0, help="for GPUs in use (default 0)")
    screen.add_argument("--digest", metavar="FILE", help="a record of right answers")
    screen.add_argument("--record", metavar="FILE", help="write such a record, where all agree")
    screen.add_argument("--out", metavar="DIR", default="assay-out/screen", help="folder for page and JSON")


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= count <= 1_000_000_000:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1 on, got {text!r}")
    return count


def _gate(commands: argparse._SubParsersAction[_Parser]) -> None:
    gate = commands.add_parser(
        "gate",
        help="say whether an upgrade may go ahead, by a sweep with spec.upgrade",
        description="Tell of every model and GPU product of a sweep with an upgrade: Go, No go, Go with a remedy or "
        "Inconclusive, and what the upgrade cures. Ends with 0 where all may go ahead, 1 where one may not, or only "
        "with a remedy, 2 where it cannot be told or the run has not ended.",
    )
    gate.add_argument("name", metavar="NAME", help="name of the sweep")
    of_cluster.in_cluster(gate, "its namespace")
    gate.add_argument("--all", action="store_true", help="list what may go ahead too")
    gate.add_argument("--with-remedy", action="store_true", help="end with 0 too where all may go with a remedy")
    gate.add_argument("--json", action="store_true", help="print it as JSON")
    gate.add_argument(
        "--wait", metavar="SECONDS", type=_seconds, default=0.0, help="wait so long for the run to end (default 0)"
    )


def _tactics(commands: argparse._SubParsersAction[_Parser]) -> None:
    tactics = commands.add_parser(
        "tactics",
        help="show which tactic each layer of a build runs, or where two builds differ",
        description="Show the tactics of a build, or compare two. A build is a record (tactics.json), a report.json, "
        "or a folder with one; of a report that tells of several, BUILD#NAME is the candidate or trial of that name. "
        "diff ends with 0 where both run the same tactics, 1 where they differ, 64 where one tells none.",
    )
    what = tactics.add_subparsers(dest="what", metavar="show|diff", required=True, parser_class=_Parser)
    what.add_parser("show", help="every layer and its tactic").add_argument("build", metavar="BUILD")
    diff = what.add_parser("diff", help="layers whose tactic differs, and layers that are in one alone")
    diff.add_argument("first", metavar="A")
    diff.add_argument("second", metavar="B")


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument("-f", "--filename", metavar="FILE", required=True, help="YAML file; - reads standard input")


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
