"""Runs of ONNX Runtime and figures of tensors go on beside one another; what is found is what it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.graphs.documents import save
from assay_runner.passes.side_by_side import MOST, SideBySide
from assay_runner.tensors import Array
from tests.models import model, node, random, value


def test_what_is_begun_goes_on_beside_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_runner.passes.side_by_side.cores", lambda: 2)
    going, done = threading.Event(), list[str]()

    def wait(name: str) -> None:
        assert going.wait(30)
        done.append(name)

    with ExitStack() as stack:
        looking = SideBySide(stack)
        looking.begin(["a", "b", "c"], wait)
        looking.begin(["d"], lambda name: done.append(f"{name} after {len(done)}"))
        assert not done
        going.set()
        looking.settle()
    assert done == ["a", "b", "c", "d after 3"]


def test_no_more_than_so_many_are_under_way() -> None:
    """Each holds tensors."""
    going, begun, done = threading.Event(), list[int](), list[str]()

    def wait(name: str) -> None:
        assert going.wait(30)
        done.append(name)

    def begin(looking: SideBySide) -> None:
        for number in range(MOST + 1):
            looking.begin([str(number)], wait)
            begun.append(number)

    with ExitStack() as stack:
        looking = SideBySide(stack)
        beginning = threading.Thread(target=begin, args=(looking,))
        beginning.start()
        beginning.join(0.3)
        assert beginning.is_alive()
        assert begun == list(range(MOST))
        going.set()
        beginning.join(30)
        assert begun == list(range(MOST + 1))
        looking.settle()
    assert sorted(done) == [str(number) for number in range(MOST + 1)]


def test_what_went_wrong_is_told_by_the_next_that_waits_once_all_others_are_done() -> None:
    done = list[str]()

    def work(name: str) -> None:
        if name == "wrong":
            raise ValueError(name)
        time.sleep(0.1)
        done.append(name)

    with ExitStack() as stack:
        looking = SideBySide(stack)
        for name in ("wrong", *"abc"):
            looking.begin([name], work)
        with pytest.raises(ValueError, match="wrong"):
            looking.begin(["next"], work)
        assert sorted(done) == ["a", "b", "c"]
        looking.settle()


def test_what_goes_wrong_beside_is_raised_where_it_is_waited_for_and_once() -> None:
    def fail(name: str) -> None:
        raise ValueError(name)

    with ExitStack() as stack:
        looking = SideBySide(stack)
        looking.begin(["a"], fail)
        with pytest.raises(ValueError, match="a"):
            looking.settle()
        looking.settle()


def test_nothing_goes_on_any_more_once_it_is_told_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else memory that was given back, or sums that were taken, might be another's by then."""
    monkeypatch.setattr("assay_runner.passes.side_by_side.cores", lambda: 2)
    failed, done = threading.Event(), list[str]()

    def work(name: str) -> None:
        if name == "wrong":
            failed.set()
            raise ValueError(name)
        assert failed.wait(30)
        time.sleep(0.3)
        done.append(name)

    with ExitStack() as stack:
        looking = SideBySide(stack)
        with pytest.raises(ValueError, match="wrong"):
            looking.each(["wrong", "slow"], work)
        assert done == ["slow"]


PARTS: tuple[Callable[[Array], Array], ...] = (
    lambda a: a, lambda a: a[:7], lambda a: a[7:], lambda a: a.T, lambda a: a[::-1], lambda a: a.reshape(150, 600),
)  # fmt: skip


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL])
def test_a_tensor_that_one_session_lent_is_fed_to_another_as_it_is_read(tmp_path: Path, kind: int) -> None:
    """All of it, a part of it, in another order, in another shape; and it is still there when its session is gone."""
    x, y, z = value("x", "N", "M"), value("y", "N", "M", kind=kind), value("z", "N", "M")
    makes = model([node("Cast", "x", "y", to=kind)], [x], [y])
    reads = model([node("Cast", "y", "z", to=TensorProto.FLOAT)], [y], [z])
    first = OrtSession(save(makes, tmp_path / "makes.onnx"), Purpose.EXACT)
    second = OrtSession(save(reads, tmp_path / "reads.onnx"), Purpose.EXACT)
    lent = first.run({"x": random(300, 300)})["y"]
    del first
    expected = lent.astype(np.float32)
    for part in PARTS:
        assert np.array_equal(second.run({"y": part(lent)})["z"], part(expected))
