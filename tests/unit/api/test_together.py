"""Results of several tasks in one termination message."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_api.finding import Verdict, WorstFigure
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.result import StoredReport, TaskResult, to_termination_message
from assay_api.together import MOST, answers_of, with_answers

OWN = TaskResult(task="0123456789ab", message="7 of 7 candidates answered")


def answer(number: int) -> TaskResult:
    """One as a candidate's task gives it: digests and figures that are like no other's."""
    chance = random.Random(number)
    uri = f"s3://audits/team/digits/0123456789abcdef-01234567/candidate-{number}"
    return TaskResult(
        task=f"{chance.getrandbits(48):012x}",
        verdict=Verdict.FAILED,
        samples=1797,
        report=StoredReport(uri=f"{uri}/report.json", sha256=f"{chance.getrandbits(256):064x}", page=f"{uri}/r.html"),
        worst=WorstFigure(
            candidate=f"candidate-{number}", check="outputDrift", message=f"cosine of logits is {chance.random():.5f}",
            tensor="logits", metric="cosine", value=f"{chance.random():.5f}", limit="0.999",
        ),
        findings={"Passed": 4, "Failed": 1},
        latency_ms=f"{chance.random():.3f}",
        typing="strong",
        achieved=f"{number} FP16, 1 FP32",
        accuracy={"top1": f"{chance.random():.4f}"},
    )  # fmt: skip


def told(result: TaskResult) -> TaskResult:
    """As the operator reads it."""
    text = to_termination_message(result)
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    return TaskResult.model_validate_json(text)


def test_seven_candidates_fit_whole_where_they_would_not_as_they_are() -> None:
    answers = tuple(answer(number) for number in range(7))
    assert sum(len(to_termination_message(each).encode()) for each in answers) > TERMINATION_MESSAGE_BYTES
    found = told(with_answers(OWN, answers))
    assert answers_of(found) == answers
    assert (found.task, found.message) == (OWN.task, OWN.message)


@given(texts=st.lists(st.text(max_size=3000), min_size=1, max_size=32))
def test_as_many_of_the_first_as_there_is_room_for_and_each_with_its_verdict(texts: list[str]) -> None:
    answers = [answer(n).model_copy(update={"message": text}) for n, text in enumerate(texts)]
    found = answers_of(told(with_answers(OWN, answers)))
    assert found
    assert [(a.task, a.verdict, a.report) for a in found] == [(a.task, a.verdict, a.report) for a in answers][
        : len(found)
    ]


def test_what_holds_none_answers_nothing() -> None:
    assert answers_of(OWN) == ()
    assert with_answers(OWN, ()) == OWN


@pytest.mark.parametrize(
    "packed",
    [
        "no base64!", base64.b64encode(b"no deflate").decode(), base64.b64encode(zlib.compress(b"[{]")).decode(),
        base64.b64encode(zlib.compress(b"[1]")).decode(), base64.b64encode(zlib.compress(b"{}")).decode(),
        base64.b64encode(zlib.compress(b"[" * 9000)).decode(), base64.b64encode(zlib.compress(b"[]"))[:-4].decode(),
        # What unpacks to more than results ever take is not unpacked to its end.
        base64.b64encode(zlib.compress(b"[" + b" " * 8 * MOST + b"]")).decode(),
    ],
)  # fmt: skip
def test_what_cannot_be_read_answers_nothing(packed: str) -> None:
    assert answers_of(OWN.model_copy(update={"answers": packed})) == ()
