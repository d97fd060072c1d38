"""Records of right answers: a file with one per class, written where all agree, and held to the plan it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from assay_api.finding import Verdict
from assay_api.model import problems, to_wire
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry
from assay_runner.errors import InvalidInput


def read_records(file: Path, sha256: str) -> dict[DeviceClass, AnswerRecord]:
    """Records of a file, by class.

    Raises:
        InvalidInput: it is no such file, or of another plan.
    """
    try:
        found = [AnswerRecord.model_validate_json(json.dumps(e)) for e in json.loads(file.read_text())["records"]]
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InvalidInput(f"{file} is no record of answers: {'; '.join(problems(error))}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} is no record of answers: `assay screen --record` writes one") from error
    if other := next((each for each in found if each.sha256 != sha256), None):
        raise InvalidInput(f"{file} is a record of another file (SHA-256 {other.sha256[:12]}…): record this one")
    return {each.kind: each for each in found}


def records_of(entries: Sequence[DeviceEntry], sha256: str, inputs: str) -> tuple[list[AnswerRecord], str]:
    """What can be recorded, and why not all, where that is so.

    A class is recorded where every device that was scanned gave the same answers throughout. One device alone is
    recorded too: its record holds what it answered, and says that it was one.
    """
    by_class: dict[DeviceClass, list[DeviceEntry]] = {}
    for entry in entries:
        if entry.state == "Scanned":
            by_class.setdefault(entry.kind, []).append(entry)
    found, lacking = [], []
    for kind, devices in by_class.items():
        answers = {device.answers for device in devices}
        if len(answers) > 1 or any(d.deviations or d.verdict is Verdict.FAILED or not d.answers for d in devices):
            lacking.append(f"devices of {kind.product} do not agree")
            continue
        runs = sum(device.runs for device in devices)
        found.append(
            AnswerRecord(
                sha256=sha256, inputs=inputs, kind=kind, answers=answers.pop(), devices=len(devices), runs=runs
            )
        )
    return found, "; ".join(lacking) or ("" if found else "nothing was scanned")


def record_bytes(records: Sequence[AnswerRecord]) -> bytes:
    """A file of records."""
    wire: Mapping[str, object] = {"records": [to_wire(each) for each in records]}
    return (json.dumps(wire, indent=1) + "\n").encode()
