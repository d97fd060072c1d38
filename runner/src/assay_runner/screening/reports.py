"""Reports of screenings: of one machine, and of several put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from assay_api.screening import DeviceClass, DeviceEntry, RightAnswers, ScreenReport
from assay_runner.installed import runner_version
from assay_runner.moments import utc_now
from assay_runner.screening.judging import Device, Truth, conclusion
from assay_runner.screening.screening import Screened
from assay_runner.screening.subjects import is_onnx

STAND_IN: Final = "CPU"


def stand_ins(count: int) -> list[Device]:
    """Devices that an ONNX file is run on."""
    return [Device(f"cpu-{index}", DeviceClass(product=STAND_IN)) for index in range(count)]


def machine_report(subject: Path, sha256: str, host: str, found: Screened, *, recorded: bool) -> ScreenReport:
    """What came of one machine; `recorded`: a record says what is right."""
    verdict, message = conclusion(found.entries)
    rules = {truth.rule for truth in found.truths.values()}
    return ScreenReport(
        version=runner_version(),
        subject=subject.name,
        sha256=sha256,
        inputs=found.inputs,
        host=host,
        made=utc_now(),
        rule="digest" if recorded else "majority" if "majority" in rules else "none",
        verdict=verdict,
        message=message,
        devices=found.entries,
        emulated=is_onnx(subject),
        right=right_answers(found.truths),
    )


def fleet_report(
    reports: Sequence[ScreenReport],
    entries: tuple[DeviceEntry, ...],
    truths: Mapping[DeviceClass, Truth],
    *,
    recorded: bool,
) -> ScreenReport:
    """What came of several machines, of which there is one report at least, by what was judged of all."""
    verdict, message = conclusion(entries)
    hosts = {report.host for report in reports}
    return ScreenReport(
        version=runner_version(),
        subject=reports[0].subject,
        sha256=reports[0].sha256,
        inputs=next((report.inputs for report in reports if report.inputs), ""),
        host=f"{len(hosts)} machine{'s' if len(hosts) > 1 else ''}",
        made=utc_now(),
        rule="digest" if recorded else "majority",
        verdict=verdict,
        message=message,
        devices=entries,
        emulated=any(report.emulated for report in reports),
        right=right_answers(truths),
    )


def right_answers(truths: Mapping[DeviceClass, Truth]) -> tuple[RightAnswers, ...]:
    """What counted as right, as a report has it."""
    return tuple(
        RightAnswers(
            kind=kind,
            rule=truth.rule,
            answers=tuple(truth.answers.get(which, "") for which in range(max(truth.answers, default=-1) + 1)),
        )
        for kind, truth in truths.items()
    )
