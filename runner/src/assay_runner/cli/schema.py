"""`assay schema`: the JSON schema of an audit, a sweep, a screening or a report, for editors and other tools."""

from __future__ import annotations

import argparse
import json

from assay_api.names import ExitCode
from assay_api.report_schema import report_schema
from assay_api.resources import AUDIT, SCREENING, SWEEP
from assay_api.schema import json_schema
from assay_runner.checks import CHECKS


def command(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    resources = {"audit": AUDIT, "sweep": SWEEP, "screening": SCREENING}
    what = arguments.what
    schema = report_schema(CHECKS) if what == "report" else json_schema(resources[what], CHECKS)
    print(json.dumps(schema, indent=2))
    return ExitCode.PASSED
