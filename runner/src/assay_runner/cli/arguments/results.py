"""Arguments of the commands that read results, here or of a cluster."""

from __future__ import annotations

from assay_runner.cli.arguments.base import Commands, Parser, in_cluster, seconds


def report(commands: Commands) -> None:
    """`assay report`."""
    command = commands.add_parser(
        "report",
        help="fetch the page of an audit, a sweep or a screening in the cluster and open it",
        description="Fetch the report page of an audit in the cluster and open it. The audit is read by your kubectl, "
        "the page with your AWS environment; AWS_ENDPOINT_URL_S3 takes the place of the audit's endpoint. "
        "So is a screening and its report. Ends with 0 whatever the verdict is.",
    )
    command.add_argument("name", metavar="NAME", help="name of the audit, of the sweep, or of the screening")
    kind = command.add_mutually_exclusive_group()
    kind.add_argument("--sweep", action="store_true", help="the page of a sweep: a map of its models and targets")
    kind.add_argument("--screening", action="store_true", help="the page of a screening: a map of its nodes and GPUs")
    in_cluster(command, "its namespace")
    command.add_argument("--candidate", metavar="CANDIDATE", help="the page of one candidate, not the audit's")
    command.add_argument("--out", metavar="FILE", help="write the page there (default: a new temporary folder)")
    command.add_argument("--no-open", action="store_true", help="only fetch the page and print its path")


def results(commands: Commands) -> None:
    """`assay junit` and `assay ctrf`."""
    for name, what in (("junit", "JUnit XML"), ("ctrf", "CTRF, JSON of ctrf.io")):
        command = commands.add_parser(
            name,
            help=f"write results as {what} for a CI system",
            description=f"Write results as {what}: of a report.json or screen.json, a folder with one, a URI of "
            "either, audit/NAME in the cluster (its report is fetched), sweep/NAME (a suite per model, a case per "
            "cell, by what its audits say), or screening/NAME (a suite per node, a case per GPU; its report is "
            "fetched). Ends with 0 whatever the verdict is. Where there is no answer, FILE holds the reason as one "
            "error, and the exit code is not 0.",
        )
        command.add_argument("what", metavar="RESULTS", help="report.json, screen.json, a folder or URI, or KIND/NAME")
        command.add_argument("-o", "--out", metavar="FILE", help="write there (default: standard output)")
        in_cluster(command, "namespace of audit/NAME, sweep/NAME or screening/NAME")


def diff(commands: Commands) -> None:
    """`assay diff`."""
    command = commands.add_parser(
        "diff",
        help="show where two reports part: verdicts, figures beyond their noise, model, data and versions",
        description="Compare two reports. Each is a report.json, a folder with one (what `assay run --out` wrote), a "
        "URI of either, or audit/NAME in the cluster. Ends with 1 where a verdict turned to Failed, with --figures "
        "also where a figure got worse beyond its noise; with 2 where something that was judged no longer is; else "
        "with 0.",
    )
    command.add_argument("old", metavar="OLD")
    command.add_argument("new", metavar="NEW")
    command.add_argument(
        "--figures", action="store_true", help="end with 1 too where a figure got worse beyond its noise"
    )
    command.add_argument("--all", action="store_true", help="list what stayed as it was too")
    command.add_argument("--html", metavar="FILE", help="write a page of it")
    command.add_argument("--json", metavar="FILE", help="write it as JSON")
    in_cluster(command, "namespace of audits")


def baseline(commands: Commands) -> None:
    """`assay baseline`."""
    top = commands.add_parser(
        "baseline",
        help="accept what a report says, and see what another is beside it",
        description="accept makes a report's candidates the baseline of their model, dataset and GPU product; show "
        "tells what a report's candidates are beside it: New, Unchanged, Changed, Improved, Regressed or Inconclusive. "
        "show ends with 1 where one has regressed, 2 where one is new or cannot be told, else 0. Answers of an audit "
        "or a sweep in the cluster are accepted there, by the credentials of their namespace: you need the right to "
        "annotate it.",
    )
    what = top.add_subparsers(dest="what", metavar="accept|show", required=True, parser_class=Parser)
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
        in_cluster(command, "namespace of audit/NAME, or of the sweep")
        if name == "accept":
            command.add_argument("--why", metavar="TEXT", required=True, help="why it is accepted")
            command.add_argument("--who", metavar="NAME", help="who accepts it (default: your user name)")
            command.add_argument(
                "--timeout",
                metavar="SECONDS",
                type=seconds,
                default=300.0,
                help="how long to wait for it (default 300)",
            )


def tactics(commands: Commands) -> None:
    """`assay tactics`."""
    top = commands.add_parser(
        "tactics",
        help="show which tactic each layer of a build runs, or where two builds differ",
        description="Show the tactics of a build, or compare two. A build is a record (tactics.json), a report.json, "
        "or a folder with one; of a report that tells of several, BUILD#NAME is the candidate or trial of that name. "
        "diff ends with 0 where both run the same tactics, 1 where they differ, 64 where one tells none.",
    )
    what = top.add_subparsers(dest="what", metavar="show|diff", required=True, parser_class=Parser)
    what.add_parser("show", help="every layer and its tactic").add_argument("build", metavar="BUILD")
    diff = what.add_parser("diff", help="layers whose tactic differs, and layers that are in one alone")
    diff.add_argument("first", metavar="A")
    diff.add_argument("second", metavar="B")
