"""Which report may become a baseline, and what another one is beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay_api.report import CandidateReport, EngineLayerEntry, Finding, Provenance, Report, Verdict
from assay_runner.report.baseline import BaselineRecord, Beside, beside, overall, place_of, record_of, unfit
from assay_runner.statistics.bits import packed
from tests.unit.api.audits import spec
from tests.unit.report import samples

SAMPLES = 1240
HITS = np.ones(SAMPLES, np.bool_)


def hits(lost: int = 0, gained: int = 0, missed: int = 100) -> str:
    """The first `missed` are misses before; of those some are gained, of the others some lost."""
    flags = HITS.copy()
    flags[:missed] = False
    flags[:gained] = True
    flags[SAMPLES - lost :] = False
    return packed(flags)


def candidate(**changes: Any) -> CandidateReport:
    told = {
        "name": "fp16", "candidate": "fp16", "verdict": Verdict.PASSED, "backend": "tensorrt", "samples": SAMPLES,
        "outputs_digest": "b" * 64, "hits": hits(),
    }  # fmt: skip
    return CandidateReport(**{**told, **changes})


def report(**changes: Any) -> Report:
    made = samples.passed()
    dataset = made.dataset.model_copy(update={"identity": changes.pop("dataset", "d" * 64)})
    return made.model_copy(update={"dataset": dataset, "spec": spec(checks=None), **changes})


OLD = record_of(report(), candidate(outputs_digest="a" * 64), "c" * 64)
STATES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # (what, changes to the candidate, to the report, state)
    ("equal bits", {"outputs_digest": "a" * 64}, {}, "Unchanged"),
    ("equal bits, whatever the hits say", {"outputs_digest": "a" * 64, "hits": None}, {}, "Unchanged"),
    ("a point lost", {"hits": hits(19, 6)}, {}, "Regressed"),
    ("as many gained as lost", {"hits": hits(12, 12)}, {}, "Changed"),
    ("a few lost, within chance", {"hits": hits(4, 0)}, {}, "Regressed"),
    ("three lost, within chance", {"hits": hits(3, 0)}, {}, "Changed"),
    ("a point gained", {"hits": hits(6, 19)}, {}, "Improved"),
    ("other bits, no hit turned", {}, {}, "Changed"),
    ("it fails now", {"verdict": Verdict.FAILED}, {}, "Regressed"),
    ("it fails now, and gains", {"verdict": Verdict.FAILED, "hits": hits(0, 30)}, {}, "Regressed"),
    ("it cannot be judged", {"verdict": Verdict.INCONCLUSIVE}, {}, "Inconclusive"),
    ("it cannot be judged, and loses samples", {"verdict": Verdict.INCONCLUSIVE, "hits": hits(19, 6)}, {}, "Regressed"),
    ("it cannot be judged, and gains some", {"verdict": Verdict.INCONCLUSIVE, "hits": hits(6, 19)}, {}, "Inconclusive"),
    ("it was not measured", {"error": "no GPU", "verdict": Verdict.INCONCLUSIVE}, {}, "Inconclusive"),
    ("it is emulated", {"emulated": True}, {}, "Inconclusive"),
    ("other data", {}, {"dataset": "e" * 64}, "Inconclusive"),
    ("fewer samples", {"samples": 1000, "hits": packed(HITS[:1000])}, {}, "Inconclusive"),
    ("no labels", {"hits": None}, {}, "Changed"),
    ("no labels, and it fails", {"hits": None, "verdict": Verdict.FAILED}, {}, "Regressed"),
    ("hits that cannot be read", {"hits": "!"}, {}, "Changed"),
]


@pytest.mark.parametrize(("change", "of_report", "state"), [s[1:] for s in STATES], ids=[s[0] for s in STATES])
def test_what_it_is_beside_its_baseline(change: dict[str, Any], of_report: dict[str, Any], state: str) -> None:
    assert beside(OLD, report(**of_report), candidate(**change)).state == state


def test_without_a_baseline_it_is_new() -> None:
    assert beside(None, report(), candidate()).state == "New"


def test_one_that_had_failed_improves_where_it_passes() -> None:
    failed = OLD.model_copy(update={"verdict": Verdict.FAILED})
    assert beside(failed, report(), candidate()).state == "Improved"


def test_the_sentence_tells_samples_and_what_chance_takes() -> None:
    assert beside(OLD, report(), candidate(hits=hits(19, 6))).why == (
        "loses 19 and gains 6 of 1,240 samples; of 25 that differ chance takes 16 at most (in 95 of 100 cases)"
    )


UNFIT: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"verdict": Verdict.FAILED}, None),
    ({"hits": None}, None),
    ({"verdict": Verdict.INCONCLUSIVE}, "could not be judged"),
    ({"error": "no GPU", "verdict": Verdict.INCONCLUSIVE}, "not measured: no GPU"),
    ({"emulated": True}, "emulated"),
    ({"hits": None, "outputs_digest": None}, "does not say what it answered"),
]


@pytest.mark.parametrize(("change", "words"), UNFIT)
def test_which_may_become_a_baseline(change: dict[str, Any], words: str | None) -> None:
    reasons = unfit(report(), candidate(**change))
    assert bool(reasons) == bool(words)
    assert words is None or words in reasons[0]


def test_made_up_data_are_no_baseline() -> None:
    made_up = spec(checks=None, dataset={"uri": "s3://datasets/digits/", "synthetic": True})
    assert "made up" in unfit(report(spec=made_up), candidate())[0]


def test_a_place_is_what_it_is_of_and_not_what_is_in_it() -> None:
    here = place_of(report(), candidate())
    assert place_of(report(run="other", dataset="e" * 64), candidate(verdict=Verdict.FAILED)) == here
    others = [
        place_of(report(), candidate(gpu_product="L4")), place_of(report(), candidate(candidate="int8")),
        place_of(report(spec=spec(checks=None, model={"uri": "s3://models/other.onnx"})), candidate()),
        place_of(report(spec=spec(checks=None, dataset={"uri": "s3://datasets/other/"})), candidate()),
    ]  # fmt: skip
    assert len({here, *others}) == 5


def test_a_thousand_cells_that_have_not_changed_alarm_in_none() -> None:
    same: list[Beside] = []
    for number in range(1000):
        one = candidate(outputs_digest=f"{number:064x}")
        same.append(beside(record_of(report(), one, "c" * 64), report(), one))
    assert {each.state for each in same} == {"Unchanged"}


def test_the_state_of_several_is_the_one_that_matters_most() -> None:
    states = ("Unchanged", "Improved", "Changed", "New", "Inconclusive", "Regressed")
    for worst in range(len(states)):
        assert overall([Beside(state, "") for state in states[: worst + 1]]) == states[worst]  # type: ignore[arg-type]


def test_a_record_survives_the_store() -> None:
    assert BaselineRecord.model_validate_json(OLD.model_dump_json(by_alias=True)) == OLD


def test_what_regressed_says_what_has_changed_since() -> None:
    layers = (EngineLayerEntry(name="conv1+relu", tactic="old_kernel", nodes=("/conv1",)),
              EngineLayerEntry(name="head", tactic="same", nodes=("/head",)))  # fmt: skip
    made = Provenance(runtime="tensorrt", version="10.13.3", model="m1")
    old = record_of(report(), candidate(provenance=made, engine_layers=layers), "c" * 64)
    assert (old.runtime, old.model, old.tactics) == (
        "tensorrt 10.13.3", "m1", {"conv1+relu": "old_kernel", "head": "same"},
    )  # fmt: skip
    worse = candidate(
        verdict=Verdict.FAILED, outputs_digest="e" * 64,
        provenance=made.model_copy(update={"version": "11.1.0", "model": "m2"}),
        engine_layers=(layers[0].model_copy(update={"tactic": "new_kernel"}), layers[1]),
    )  # fmt: skip
    bad = Finding(candidate="fp16", check="outputDrift", verdict=Verdict.FAILED, message="snr=3", node="/conv1")
    found = beside(old, report(findings=(bad,)), worse)
    assert found.state == "Regressed"
    assert found.causes == (
        "outputDrift at /conv1", "tactic of conv1+relu: old_kernel -> new_kernel", "tensorrt 10.13.3 -> 11.1.0",
        "another model",
    )  # fmt: skip
    # Another layer's tactic is told less exactly; what has not changed is no cause.
    elsewhere = bad.model_copy(update={"node": "/other"})
    assert beside(old, report(findings=(elsewhere,)), worse).causes[1] == "other tactics"
    same = worse.model_copy(update={"provenance": made, "engine_layers": layers})
    assert beside(old, report(findings=(bad,)), same).causes == ("outputDrift at /conv1",)
    other = made.model_copy(update={"runtime": "onnxruntime", "version": "1.23.0"})
    moved = worse.model_copy(update={"provenance": other, "engine_layers": ()})
    assert beside(old, report(), moved).causes == ("tensorrt 10.13.3 -> onnxruntime 1.23.0",)
    assert beside(old, report(), candidate(outputs_digest="e" * 64)).causes == ()
    silent = beside(OLD, report(), candidate(outputs_digest="e" * 64, hits=hits(19, 6)))
    assert (silent.state, silent.causes) == ("Regressed", ("nothing else that reports tell has changed",))
