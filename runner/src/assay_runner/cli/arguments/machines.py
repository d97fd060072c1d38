"""Arguments of the command that looks at a machine's GPUs."""

from __future__ import annotations

from assay_runner.cli.arguments.base import Commands, count, seconds


def screen(commands: Commands) -> None:
    """`assay screen`."""
    command = commands.add_parser(
        "screen",
        help="run one plan on every GPU of this machine and name those that compute something else",
        description="Run one plan on every GPU of this machine and compare all answers bit by bit: with a record, or "
        "with what most of at least three GPUs of one class answer. A GPU is named once a second scan of it deviates "
        "too. An .onnx file is run on the CPU, as a stand-in. Ends with 0 where every GPU was scanned and none "
        "deviated, 1 where one is named, 2 where one was skipped or nothing can be said. GPUs in use are left alone.",
    )
    command.add_argument("subject", metavar="PLAN", nargs="?", help="a TensorRT plan, or an .onnx file")
    command.add_argument(
        "--compare",
        metavar="REPORT",
        nargs="+",
        help="in place of PLAN: put reports of several machines together (screen.json, or folders with one)",
    )
    command.add_argument(
        "--expect",
        metavar="FILE",
        help="with --compare: names of all machines, one a line (node/NAME too); - reads input",
    )
    plugin = "a plugin library that the plan needs and does not carry; again for each"
    command.add_argument("--plugin", metavar="FILE", action="append", default=[], help=plugin)
    command.add_argument("--data", metavar="DIR", help="inputs: .npz files, one feed each (default: made up)")
    command.add_argument("--count", metavar="N", type=count, default=8, help="inputs in rotation (default 8)")
    command.add_argument("--batch", metavar="N", type=count, default=1, help="free axes of made-up inputs (default 1)")
    runs = "compared runs of each GPU once it is warm (default 30000: excludes faults in 1 of 10000 runs)"
    command.add_argument("--runs", metavar="N", type=count, default=30_000, help=runs)
    command.add_argument("--heat", metavar="SECONDS", type=seconds, default=20.0, help="until it is warm (default 20)")
    command.add_argument(
        "--seconds", metavar="S", type=seconds, default=110.0, help="most time of a scan (default 110)"
    )
    hangs = "without a word for so long, a GPU hangs (default 60)"
    command.add_argument("--silence", metavar="SECONDS", type=seconds, default=60.0, help=hangs)
    command.add_argument("--devices", metavar="UUID,…", help="only these GPUs; of an .onnx file, how many stand-ins")
    command.add_argument("--wait", metavar="SECONDS", type=seconds, default=0.0, help="for GPUs in use (default 0)")
    command.add_argument("--digest", metavar="FILE", help="a record of right answers")
    command.add_argument("--record", metavar="FILE", help="write such a record, where all agree")
    command.add_argument("--out", metavar="DIR", default="assay-out/screen", help="folder for page and JSON")
