"""What a screening tells those that read no page: a termination message, and the node condition to go with it."""

from __future__ import annotations

import json
from typing import Any, Final

from assay_api.finding import Verdict
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.screening import ScreenReport, node_condition
from assay_runner.screening.judging import called

NAMED: Final = 32


def condition(report: ScreenReport) -> dict[str, Any]:
    """The condition of a node that says the same; whoever may write nodes puts it there: this process may not."""
    return node_condition(report.verdict, report.message[:1024]).model_dump()


def termination_message(report: ScreenReport) -> bytes:
    """The report in at most 4096 bytes of JSON: verdict, sentence, the devices that are named, those that are not."""
    named = [called(each) for each in report.devices if each.verdict is Verdict.FAILED]
    skipped = [called(each) for each in report.devices if each.state == "Skipped"]
    for most in (NAMED, 8, 1, 0):
        told = {
            "verdict": str(report.verdict),
            "message": report.message[:1024],
            "host": report.host,
            "named": named[:most],
            "skipped": skipped[:most],
            "counts": {"devices": len(report.devices), "named": len(named), "skipped": len(skipped)},
            "condition": condition(report),
        }
        text = json.dumps(told, separators=(",", ":")).encode()
        if len(text) <= TERMINATION_MESSAGE_BYTES:
            return text
    return json.dumps({"verdict": str(report.verdict)}).encode()
