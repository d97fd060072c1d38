"""How a run ends, in a sentence: which failure is told where there are several, and how many there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay_api.audit import AuditSpec
from assay_api.finding import WorstFigure
from assay_api.model import parse
from assay_api.names import Reason
from assay_api.plan import plan
from assay_api.report import Verdict
from assay_api.result import TaskResult
from assay_operator.audits.outcome import figure, outcome
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble

NAMES = ("a", "b", "c")


def states(*candidates: Trouble | str, **summary: Any) -> tuple[TaskState, tuple[TaskState, ...], TaskState]:
    """Golden, candidates that failed or came to a verdict, and the summary, all over."""
    spec = {
        "model": {"uri": "s3://models/a.onnx"},
        "dataset": {"uri": "s3://data/d/"},
        "candidates": [{"name": n, "backend": "onnxruntime", "precision": "fp16"} for n in NAMES[: len(candidates)]],
        "artifacts": {"uri": "s3://audits/"},
    }
    golden, *own, last = (
        TaskState(task, "Finished", result=TaskResult(task=task.digest))
        for task in plan(parse(AuditSpec, spec), "team/a", output="s3://o/", cache="s3://c/")
    )
    ended = [
        replace(state, state="Failed", result=None, trouble=how)
        if isinstance(how, Trouble)
        else replace(state, result=TaskResult(task=state.task.digest, verdict=Verdict(how)))
        for state, how in zip(own, candidates, strict=True)
    ]
    return golden, tuple(ended), replace(last, result=TaskResult(task=last.task.digest, **summary))


CRASHED, WRONG = Trouble(Reason.ERROR, "it crashed"), Trouble(Reason.INVALID_INPUT, "no such output")


@pytest.mark.parametrize(
    ("candidates", "reason", "message"),
    [
        ((CRASHED,), Reason.ERROR, "a: it crashed"),
        ((CRASHED, "Passed"), Reason.ERROR, "a: it crashed"),
        ((CRASHED, CRASHED), Reason.ERROR, "a: it crashed (1 more failed)"),
        ((CRASHED, CRASHED, CRASHED), Reason.ERROR, "a: it crashed (2 more failed)"),
        ((CRASHED, WRONG, CRASHED), Reason.INVALID_INPUT, "b: no such output (2 more failed)"),
    ],
)
def test_what_the_user_can_mend_is_told_before_what_failed_elsewhere(
    candidates: tuple[Trouble | str, ...], reason: Reason, message: str
) -> None:
    end = outcome(*states(*candidates))
    assert end is not None
    assert (end.reason, end.message) == (reason, message)
    assert end.verdict is (Verdict.INCONCLUSIVE if "Passed" in candidates else None)


@pytest.mark.parametrize(
    ("candidates", "summary", "message"),
    [
        (("Passed",), {"recommendation": "a"}, "Candidate a passed; ship a."),
        (("Passed", "Passed"), {"recommendation": "b"}, "All 2 candidates passed; ship b."),
        (("Passed", "Passed"), {}, "All 2 candidates passed."),
        (("Passed", "Failed"), {}, "1 of 2 candidates breached; b"),
        (("Inconclusive", "Inconclusive", "Passed"), {}, "2 of 3 candidates could not be judged; a"),
    ],
)
def test_a_run_that_was_judged_ends_in_one_sentence(
    candidates: tuple[str, ...], summary: dict[str, str], message: str
) -> None:
    end = outcome(*states(*candidates, **summary))
    assert end is not None
    assert end.message == message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "a: finite"),
        ({"tensor": "t"}, "a: finite at t"),
        ({"limit": "3"}, "a: finite"),
        ({"value": "2"}, "a: finite =2"),
        ({"metric": "snr", "value": "2", "limit": "3", "tensor": "t"}, "a: finite snr=2 (limit 3) at t"),
    ],
)
def test_a_figure_tells_what_there_is(fields: dict[str, str], said: str) -> None:
    _, [state], _ = states("Failed")
    worst = WorstFigure(candidate="a", check="finite", message="m", **fields)
    assert figure(replace(state, result=TaskResult(task=state.task.digest, worst=worst))) == said


def test_a_run_goes_on_until_its_summary_is_there() -> None:
    golden, candidates, summary = states("Passed", "Passed")
    assert outcome(golden, candidates, replace(summary, state="Running", result=None)) is None
    assert outcome(golden, (candidates[0], replace(candidates[1], state="Running", result=None)), summary) is None
