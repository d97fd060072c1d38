"""Evidence for a check, put together by hand: whatever its parameters ask for is there under just these needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

from assay_runner.checks import Check
from assay_runner.evidence import (
    DetectionsFound,
    DetectionsWanted,
    DigestWanted,
    EightBitReads,
    EightBitWanted,
    Evidence,
    ExtraOutputWanted,
    InvarianceWanted,
    LabelRanks,
    LabelsWanted,
    Need,
    OutputsDigest,
    OutputsFound,
    OutputsWanted,
    Ranges,
    RangesWanted,
    RerunsWanted,
    Scores,
    ScoresWanted,
    ShownTensors,
    TensorsWanted,
    TimingWanted,
)
from assay_runner.evidence.reruns import ExtraOutput, Invariance, Repeats, Timing

ASKED: Final[Mapping[type, type[Need[Any]]]] = {
    OutputsFound: OutputsWanted,
    OutputsDigest: DigestWanted,
    LabelRanks: LabelsWanted,
    Scores: ScoresWanted,
    DetectionsFound: DetectionsWanted,
    ShownTensors: TensorsWanted,
    Ranges: RangesWanted,
    EightBitReads: EightBitWanted,
    Repeats: RerunsWanted,
    Invariance: InvarianceWanted,
    ExtraOutput: ExtraOutputWanted,
    Timing: TimingWanted,
}
"""By the type of the evidence, the need that it meets: a line for every type of need there is."""


def proof(*found: Any, check: Check | None = None, candidate: str = "c", **facts: Any) -> Evidence:
    """What was measured, under the needs of the check; where it has none of that type, under one with no parameters
    given, if there can be such a one."""
    wanted = check.needs if check else ()
    keyed: dict[Need[Any], Any] = {}
    for each in found:
        assert type(each) in ASKED, f"ASKED of tests/evidence.py does not say which need {type(each).__name__} meets"
        kind = ASKED[type(each)]
        needs = [need for need in wanted if type(need) is kind]
        bare = all(field.default is not MISSING for field in fields(kind))
        keyed |= dict.fromkeys(needs or ([kind()] if bare else []), each)
    return Evidence(candidate, found=keyed, **facts)
