from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from assay_api.model import parse
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.report import Verdict, worst
from assay_api.result import StoredReport, TaskError, TaskResult, WorstFigure, shorten, to_termination_message

LONG = st.text(max_size=9000)


@given(message=LONG, tensor=LONG, error=LONG, because=LONG)
def test_a_result_always_fits_the_termination_message(message: str, tensor: str, error: str, because: str) -> None:
    report = StoredReport(uri="s3://" + "a" * 1000, sha256="0" * 64, page="s3://" + "a" * 1000)
    figure = WorstFigure(candidate="fp16", check="finite", message=message, tensor=tensor, value="inf", limit="0")
    result = TaskResult(
        task="abc",
        verdict=Verdict.FAILED,
        report=report,
        worst=figure,
        message=message,
        recommended_because=because,
        error=TaskError(reason="Internal", message=error),
        accuracy={"top1": "0.5"},
    )
    text = to_termination_message(result)
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    read = TaskResult.model_validate_json(text)
    assert (read.verdict, read.report, read.task) == (result.verdict, result.report, result.task)


def test_a_short_result_is_kept_whole() -> None:
    result = TaskResult(task="abc", verdict=Verdict.PASSED, samples=12, message="fine")
    assert TaskResult.model_validate_json(to_termination_message(result)) == result


@given(text=st.text(st.characters()))
def test_any_text_can_be_told_and_is_legible_then(text: str) -> None:
    error = TaskError(reason="Internal", message=text)
    told = to_termination_message(TaskResult(task="abc", message=text, accuracy={text: text}, error=error))
    read = TaskResult.model_validate_json(told)
    assert read.error is not None
    for words in (read.message, read.error.message, *read.accuracy, *read.accuracy.values()):
        assert [a for a, b in zip(words, shorten(text, 1024), strict=False) if a not in (b, "\ufffd", "…")] == []
        assert not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n" for char in words)


def test_shortening_shows_that_it_shortened() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"


def test_nothing_judged_is_inconclusive() -> None:
    assert worst([]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.PASSED, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED]) is Verdict.FAILED


def test_strictness_holds_for_results_too() -> None:
    assert parse(TaskResult, {"task": "abc"}).verdict is None
