"""What a search is told of those before it: engines, and what failed on samples that it was not searched with."""

from __future__ import annotations

import math

import pytest

from assay_api.report import Verdict as Of
from assay_runner.remedies.judged import Judged, Said
from assay_runner.remedies.precision.oracle import answer_of
from assay_runner.remedies.precision.recalled import recalled
from assay_runner.remedies.workshop import Heard, Memory
from assay_runner.search import FAILED, PASSED, Answer, Stage, Told

BOTH = ("bf16", "fp32")
SURE = {True: Answer.of(True, math.inf), False: Answer.of(False, -math.inf)}


def engine(nodes: str, snr: float, kind: str = "fp32", key: str = "as it is") -> Heard:
    """One with these nodes wide, of a limit of 30 dB."""
    said = Said(
        check="outputDrift",
        verdict=Of.PASSED if snr >= 30 else Of.FAILED,
        message="",
        metric="snr",
        value=snr,
        limit=30,
    )
    return Heard(dict.fromkeys(nodes, kind), key, Judged(said=(said,), noise="some"))


def told(*engines: Heard, failed: tuple[dict[str, str], ...] = (), to: tuple[str, ...] = BOTH) -> list[Told[str]]:
    memory = Memory(failed=list(failed), engines=list(engines))
    return recalled(memory, to, lambda heard: heard.key == "as it is").told(answer_of)


def of(nodes: str, answer: Answer) -> Told[str]:
    return Stage.DECIDE, frozenset(nodes), answer


def test_one_engine_near_its_limit_may_be_wrong_and_two_that_are_alike_are_not() -> None:
    assert told(engine("ab", 31.5), engine("a", 29.0)) == [of("ab", PASSED), of("a", FAILED)]
    assert told(engine("ab", 31.5), engine("ab", 31.4)) == [of("ab", SURE[True])]
    assert told(engine("a", 29.0), engine("a", 29.1)) == [of("a", SURE[False])]
    assert told(engine("a", 29.0), engine("a", 31.5)) == [of("a", FAILED), of("a", PASSED)]
    assert told(engine("ab", 60.0)) == [of("ab", SURE[True])]


def test_an_engine_of_something_else_is_none() -> None:
    assert told(engine("ab", 60.0, key="with other ranges")) == []


def test_the_formats_that_it_was_built_in_last_count() -> None:
    assert told(engine("ab", 0.0, "bf16"), engine("ab", 60.0)) == [of("ab", SURE[True])]


@pytest.mark.parametrize("to", [BOTH, ("fp32",)])
def test_what_failed_elsewhere_fails_and_so_does_part_of_it(to: tuple[str, ...]) -> None:
    found = told(
        engine("ab", 60.0), engine("a", 60.0), engine("abc", 60.0), failed=({"a": "fp32", "b": "fp32"},), to=to
    )
    assert {kept: answer for _, kept, answer in found} == {
        frozenset("ab"): SURE[False], frozenset("a"): SURE[False], frozenset("abc"): SURE[True],
    }  # fmt: skip


def test_what_failed_elsewhere_in_a_half_is_open_in_fp32() -> None:
    half = {"a": "bf16", "b": "bf16"}
    memory = Memory(failed=[half], engines=[engine("ab", 60.0, "bf16"), engine("c", 60.0, "bf16")])
    found = recalled(memory, BOTH, lambda heard: True)
    assert not found.failed
    assert found.unfit == {"bf16"}
    assert found.told(answer_of) == [of("c", SURE[True])]
    # Where nothing wider may be had, it has failed.
    assert recalled(memory, ("bf16",), lambda heard: True).failed == (frozenset("ab"),)


def test_a_model_written_otherwise_holds_no_nodes_and_says_nothing_of_any() -> None:
    assert told(engine("ab", 60.0), failed=({},)) == [of("ab", SURE[True])]
