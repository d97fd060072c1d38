"""Arguments of the commands that pipelines call about what runs in a cluster."""

from __future__ import annotations

from assay_runner.cli.arguments.base import Commands, duration, in_cluster, seconds


def wait(commands: Commands) -> None:
    """`assay wait`."""
    command = commands.add_parser(
        "wait",
        help="wait until audits, sweeps or screenings in the cluster have ended, and end with their verdict",
        description="Wait until the runs of audits, sweeps and screenings in the cluster have ended: those of their "
        "present spec and of the rerun that their annotations ask for. Ends with 0 where all passed, else as "
        "`assay run` does: 1 breached, 2 inconclusive or over budget, 64 wrong input, 69 an error, or not ended in "
        "time. onBreach changes nothing of this.",
    )
    command.add_argument("what", metavar="audit/NAME|sweep/NAME|screening/NAME", nargs="+", help="what to wait for")
    command.add_argument(
        "--timeout", metavar="TIME", type=duration, default=7200.0, help="how long in all: 90s, 30m, 2h (default 2h)"
    )
    command.add_argument(
        "--regressions", action="store_true",
        help="end with 1 too where an answer is worse than what was accepted of it, though it keeps its limits",
    )  # fmt: skip
    in_cluster(command, "their namespace")


def gate(commands: Commands) -> None:
    """`assay gate`."""
    command = commands.add_parser(
        "gate",
        help="say whether an upgrade may go ahead, by a sweep with spec.upgrade",
        description="Tell of every model and GPU product of a sweep with an upgrade: Go, No go, Go with a remedy or "
        "Inconclusive, and what the upgrade cures. Ends with 0 where all may go ahead, 1 where one may not, or only "
        "with a remedy, 2 where it cannot be told or the run has not ended.",
    )
    command.add_argument("name", metavar="NAME", help="name of the sweep")
    in_cluster(command, "its namespace")
    command.add_argument("--all", action="store_true", help="list what may go ahead too")
    command.add_argument("--with-remedy", action="store_true", help="end with 0 too where all may go with a remedy")
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.add_argument(
        "--wait", metavar="SECONDS", type=seconds, default=0.0, help="wait so long for the run to end (default 0)"
    )
