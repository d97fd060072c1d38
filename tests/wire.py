"""What a finding says, as whoever reads report.json sees it."""

from __future__ import annotations

import json
from typing import Any

from assay_api.report import Finding


def details(finding: Finding) -> dict[str, Any]:
    """The finding's details by their names in report.json; what is absent there is absent here."""
    found: dict[str, Any] = json.loads(finding.model_dump_json(by_alias=True, exclude_none=True))["details"]
    return found
