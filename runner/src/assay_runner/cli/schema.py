"""`assay schema`: the JSON schema of an audit, for editors and other tools."""

from __future__ import annotations

import argparse
import json

from assay_api.names import ExitCode
from assay_api.resources import AUDIT
from assay_api.schema import json_schema
from assay_runner.checks import CHECKS


def command(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    print(json.dumps(json_schema(AUDIT, CHECKS), indent=2))
    return ExitCode.PASSED
