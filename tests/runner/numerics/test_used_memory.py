"""An engine that reads memory which nothing has written: caught, told as such, and not accused of it wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assay_api.report import Verdict
from assay_runner.backends import Built, Session
from assay_runner.errors import Unavailable
from tests.models import Samples, random
from tests.runner.numerics.unsteady import DATA, Forgetful, Served, Whim, judged, plugged, stateful
from tests.wire import details

PASSED, FAILED = Verdict.PASSED, Verdict.FAILED
UNWRITTEN = "something that is run reads memory that nothing has written"


def test_memory_that_nothing_has_written_is_told(tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, Forgetful(lambda at: max(0.0, at.filling * 0.5)))
    assert (found.verdict, found.tensor, found.node) == (FAILED, "moved", "moved.node")
    assert "in 3 of 5 runs in memory that held something else" in found.message
    assert UNWRITTEN in found.message
    assert details(found)["unwrittenMemory"] is True
    assert {d["condition"] for d in details(found)["differences"]} == {"usedMemory"}


@pytest.mark.parametrize(
    "whim",
    [
        lambda at: 0.5 * (at.run % 2),  # from run to run, whatever lay in memory
        lambda at: 0.5 * (at.filling >= 0),  # in memory of its own, whatever lay in it
        lambda at: 0.5 * at.filling * (at.run % 2),  # both
        lambda at: 0.5 * (at.run > 3) * (at.filling >= 0),  # once and for all
    ],
)
def test_memory_is_not_blamed_for_what_differs_anyhow(whim: Whim, tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, Forgetful(whim), conditions=["sameSession", "usedMemory"])
    assert found.verdict is FAILED
    assert "memory that held something else" in found.message
    assert UNWRITTEN not in found.message
    assert details(found)["unwrittenMemory"] is False


def test_what_heeds_no_memory_passes_in_any(tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, Forgetful(lambda _: 0.0))
    assert found.verdict is PASSED
    assert "a new process, memory that held something else, under load)" in found.message


class Sealed(Forgetful, Served):
    """Shows what it keeps between its layers in a way that cannot be spoilt."""


def test_tensors_that_cannot_be_shown_in_used_memory_are_no_proof(tmp_path: Path) -> None:
    whim = Sealed(lambda at: 0.5 * (at.filling == 1) * (at.kind == "plain"))
    found = judged(stateful(), DATA, tmp_path, whim, conditions=["usedMemory"])
    assert found.verdict is FAILED
    assert "with 5 tensors shown, none differs (5 x memory that held something else)" in found.message
    assert details(found)["inside"]["reason"] == (
        "usedMemory could not be tried with tensors shown: what shows them runs in memory that cannot be filled"
    )
    assert UNWRITTEN in found.message


@pytest.mark.parametrize("filling", range(4))
@pytest.mark.parametrize("runs", [2, 5])
def test_every_batch_is_run_with_every_filling(filling: int, runs: int, tmp_path: Path) -> None:
    data = Samples({"x": random(32, 8), "state": np.zeros((32, 1), np.float32)})
    whim = Forgetful(lambda at: 0.5 * (at.filling == filling))
    found = judged(stateful(), data, tmp_path, whim, conditions=["usedMemory"], runs=runs)
    assert [d["batch"] for d in details(found)["differences"]] == [0, 1, 2, 3]
    assert details(found)["unwrittenMemory"] is True


@pytest.mark.parametrize("filling", range(4))
def test_each_output_that_differs_is_asked_whether_it_follows_memory(filling: int, tmp_path: Path) -> None:
    whim = Forgetful(lambda at: 0.5 * (at.filling == filling))
    found = judged(stateful(noise=True), DATA, tmp_path, whim, conditions=["usedMemory"])
    assert details(found)["unwrittenMemory"] is True
    times = 2 if filling == 0 else 1
    assert f"output 'y' of batch 0 has other bits in {times} of 5 runs in memory that held something" in found.message
    assert "output 'y' follows what lay in memory before the run" in found.message


def test_memory_is_blamed_for_its_own_output_beside_random_numbers(tmp_path: Path) -> None:
    whim = Forgetful(lambda at: 0.5 * (at.filling == 1))
    found = judged(stateful(noise=True), DATA, tmp_path, whim, conditions=["sameSession", "usedMemory"])
    assert "output 'noise' of batch 0 has other bits in 4 of 4 further runs" in found.message
    assert "feed the numbers as an input; output 'y' follows what lay in memory before the run" in found.message


def test_a_plugin_that_may_read_such_memory_is_named(tmp_path: Path) -> None:
    found = judged(plugged(), DATA, tmp_path, Forgetful(lambda at: 0.5 * (at.filling == 1)), conditions=["usedMemory"])
    assert f"{UNWRITTEN}; do not ship it: tensor 'steady' of node 'mine' (Gelu) is a custom operator" in found.message


class Full(Forgetful):
    """Has no memory for more sessions once it has run under all conditions."""

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        if self.opened == 3:  # measured, referred to, spoilt
            raise Unavailable("device memory ran out")
        self.opened += 1
        with super().open(built) as session:
            yield session

    opened = 0


def test_a_difference_stands_where_its_cause_cannot_be_asked_for(tmp_path: Path) -> None:
    whim = Full(lambda at: 0.5 * (at.filling == 1))
    found = judged(stateful(), DATA, tmp_path, whim, conditions=["usedMemory"])
    assert found.verdict is FAILED
    assert "unwrittenMemory" not in details(found)
