"""How a run ends, in a sentence: which failure is told where there are several, and how many there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay_api.audit import AuditSpec
from assay_api.finding import WorstFigure
from assay_api.model import parse
from assay_api.names import Reason
from assay_api.plan import plan, run_digest
from assay_api.report import Verdict
from assay_api.result import TaskResult
from assay_operator.audits.outcome import figure, outcome
from assay_operator.audits.run import Run
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble

NAMES = ("a", "b", "c")


def states(*candidates: Trouble | str, **summary: Any) -> RunStates:
    """Golden, candidates that failed or came to a verdict, and the summary, all over."""
    spec = {
        "model": {"uri": "s3://models/a.onnx"},
        "dataset": {"uri": "s3://data/d/"},
        "candidates": [{"name": n, "backend": "onnxruntime", "precision": "fp16"} for n in NAMES[: len(candidates)]],
        "artifacts": {"uri": "s3://audits/"},
    }
    asked = parse(AuditSpec, spec)
    tasks = plan(asked, "team/a", output="s3://o/", cache="s3://c/")
    run = RunStates(
        Run(asked, run_digest(asked), tasks),
        tuple(TaskState(task, "Finished", result=TaskResult(task=task.digest)) for task in tasks),
    )
    ended = [
        replace(state, state="Failed", result=None, trouble=how)
        if isinstance(how, Trouble)
        else replace(state, result=TaskResult(task=state.task.digest, verdict=Verdict(how)))
        for state, how in zip(run.candidates, candidates, strict=True)
    ]
    last = run.conclusion
    return run.replaced(*ended, replace(last, result=TaskResult(task=last.task.digest, **summary)))


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
    end = outcome(states(*candidates))
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
    end = outcome(states(*candidates, **summary))
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
    [state] = states("Failed").candidates
    worst = WorstFigure(candidate="a", check="finite", message="m", **fields)
    assert figure(replace(state, result=TaskResult(task=state.task.digest, worst=worst))) == said


def test_a_run_goes_on_until_its_summary_is_there() -> None:
    run = states("Passed", "Passed")
    assert outcome(run) is not None
    for state in (run.conclusion, *run.candidates):
        assert outcome(run.replaced(replace(state, state="Running", result=None))) is None
