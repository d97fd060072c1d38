"""What the report's types promise: details of the right check, one worst figure, and a schema that says all of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from assay_api.details import DETAILS, Details
from assay_api.entries import EngineEntry
from assay_api.finding import Worst, WorstFigure
from assay_api.model import parse
from assay_api.output_details import LabelAccuracyDetails, OutputDriftDetails, SpreadEntry
from assay_api.report import Finding, Report, Verdict, to_json
from assay_api.status import CandidateStatus
from assay_api.tensor_details import FiniteDetails
from assay_operator.audits.jobs import TASK_BYTES
from assay_operator.audits.run import MOST_CANDIDATES
from assay_runner.checks import CHECKS
from tests.described import SCHEMA, check_described, undescribed
from tests.unit.report import engines, samples
from tools.generate import REFERENCE, generated

BUILDERS = (
    samples.passed, samples.failed, samples.inconclusive, samples.emulated, engines.fleet, engines.crowd,
    engines.candidate,
)  # fmt: skip

GENERATED = generated()


def drift(**more: Any) -> Finding:
    details = OutputDriftDetails(samples=3, snr=SpreadEntry(worst=-math.inf, p99=math.nan, p50=17.0))
    given = {"metric": "snr", "value": 0.123456789, "limit": 17.0, "tensor": "y", "details": details, **more}
    return Finding(candidate="a", check="outputDrift", verdict=Verdict.FAILED, message="m", **given)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_what_is_generated_is_what_the_types_say(path: Any) -> None:
    assert path.read_text() == GENERATED[path], "run make generate"


def test_the_reference_says_how_much_there_may_be() -> None:
    page = GENERATED[REFERENCE]
    assert "| `candidates[]` | required; list of object (1 to 32) |" in page
    assert "| `candidates[].build.profile[].min[]` | required; list of integer ≥ 0, ≤ 2147483647 (1 to 8) |" in page
    assert "| `target.resources` | map of quantity ≥ 0 (at most 16) |" in page
    assert f"\n- At most {MOST_CANDIDATES} candidates" in page
    assert f"\n- At most {TASK_BYTES // 1024} KiB" in page


def test_every_check_has_details_of_its_own_type() -> None:
    assert DETAILS.keys() == CHECKS.keys()


@pytest.mark.parametrize("build", BUILDERS)
def test_a_report_is_read_back_as_it_was_written_and_the_schema_describes_it(build: Callable[[], Report]) -> None:
    report = build()
    read = parse(Report, json.loads(to_json(report)))
    assert to_json(read) == to_json(report)
    assert [type(finding.details) for finding in read.findings] == [type(f.details) for f in report.findings]
    check_described(report)


def test_the_schema_finds_what_is_not_as_it_says() -> None:
    report = json.loads(to_json(samples.failed()))
    report["candidates"][0]["layers"][0]["localSNR"] = 3
    report["candidates"][0]["layers"][1]["accumulatedSnr"] = "infinite"
    report["findings"][3]["details"]["tensors"] = []
    del report["candidates"][0]["outputs"][0]["name"]
    assert [line.partition(" ")[2] for line in undescribed(report)] == [
        "lacks name",
        "is not described",
        "is 'infinite', not ^(NaN|Infinity|-Infinity)$",
        "is not described",
    ]


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(inner)


def test_every_field_is_described() -> None:
    objects = [part for part in (SCHEMA, *SCHEMA["$defs"].values()) if "properties" in part]
    assert len(objects) > 30
    for part in objects:
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part.get('description')} {name}"


def test_nothing_of_the_report_is_of_any_kind() -> None:
    own = {name: field for name, field in SCHEMA["properties"].items() if name != "spec"}
    for part in parts([own, SCHEMA["$defs"]]):
        assert part.get("additionalProperties") is not True, part
        assert part.get("type") != "object" or "properties" in part or "additionalProperties" in part, part


def test_details_come_back_as_those_of_their_check() -> None:
    found = drift()
    read = parse(Finding, json.loads(found.model_dump_json(by_alias=True, exclude_none=True)))
    assert isinstance(read.details, OutputDriftDetails)
    assert read.details.snr is not None
    assert (read.details.snr.worst, read.details.snr.p50) == (-math.inf, 17.0)
    assert math.isnan(read.details.snr.p99)


def test_details_of_another_check_are_refused() -> None:
    with pytest.raises(ValidationError, match="details of check 'outputDrift' are OutputDriftDetails"):
        drift(details=FiniteDetails(in_all=1))
    wrong = {"candidate": "a", "check": "finite", "verdict": "Failed", "message": "m", "details": {"rows": 1}}
    with pytest.raises(ValidationError, match="rows"):
        parse(Finding, wrong)


def test_a_finding_without_details_has_an_empty_object_in_their_place() -> None:
    bare = Finding(candidate="a", check="outputDrift", verdict=Verdict.INCONCLUSIVE, message="m")
    written = json.loads(bare.model_dump_json(by_alias=True, exclude_none=True))
    assert written["details"] == {}
    assert type(parse(Finding, written).details) is Details


def test_details_that_were_not_measured_are_absent() -> None:
    found = LabelAccuracyDetails(
        top1=0.5, golden_top1=1.0, both_hit=1, only_golden_hits=1, only_candidate_hits=0, neither_hits=0,
        kept_lower_bound=0.1, kept_upper_bound=0.9, interval="none",
    )  # fmt: skip
    finding = Finding(candidate="a", check="labelAccuracy", verdict=Verdict.FAILED, message="m", details=found)
    written = json.loads(finding.model_dump_json(by_alias=True, exclude_none=True))["details"]
    assert list(written) == [
        "top1", "goldenTop1", "bothHit", "onlyGoldenHits", "onlyCandidateHits", "neitherHits", "keptLowerBound",
        "keptUpperBound", "interval",
    ]  # fmt: skip


def test_a_worst_figure_is_read_off_the_finding() -> None:
    figure = WorstFigure.of(drift())
    told = figure.model_dump(by_alias=True, exclude_none=True)
    assert told == {
        "candidate": "a", "check": "outputDrift", "message": "m", "tensor": "y", "metric": "snr", "value": "0.123457",
        "limit": "17",
    }  # fmt: skip
    worst = Worst.of(figure)
    assert type(worst) is Worst, "a status that is read back must equal the one that was written"
    assert worst.model_dump(by_alias=True, exclude_none=True) == {k: v for k, v in told.items() if k != "candidate"}
    status = CandidateStatus(name="a", state="Finished", worst=worst)
    assert parse(CandidateStatus, json.loads(status.model_dump_json(by_alias=True, exclude_none=True))) == status
    assert WorstFigure.of(drift(value=math.nan, limit=None)).value == "nan"


BUILT = {"typing": "weak", "flags": ["FP16"], "buildSeconds": 2, "built": "2026-11-23T10:00:00Z", "warnings": ["w"]}


@pytest.mark.parametrize(
    "facts", [{**BUILT, "cached": False}, {**BUILT, "plugins": ["/a.so"]}, {"taken": "as it is", "plugins": ["/a.so"]}]
)
def test_what_is_known_of_an_engine_has_its_place(facts: dict[str, Any]) -> None:
    """As the TensorRT backend gives it."""
    known = {
        "tensorrt": "10.6.0",
        "gpu": "g",
        "computeCapability": "9.0",
        "driverCuda": "13.0",
        "verbosity": "DETAILED",
    }
    read = parse(EngineEntry, {**known, **facts})
    assert json.loads(read.model_dump_json(by_alias=True, exclude_none=True)) == {**known, **facts}


def test_types_are_built_when_they_are_needed() -> None:
    """A process that only loads them should not pay for all."""
    program = "from assay_api.report import Report; print(Report.__pydantic_complete__)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"
