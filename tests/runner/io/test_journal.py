"""What a process is about to do stands where its death cannot reach it, however many steps it enters and leaves."""

from __future__ import annotations

import os
import signal

import pytest

from assay_runner import journal
from assay_runner.errors import Died
from assay_runner.journal import Journal, step

MANY = 100
"""More than there are pages."""


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Journal:
    """The journal of this process for as long as the test runs."""
    monkeypatch.setattr(journal, "_HERE", journal._Here())
    book = Journal()
    journal.use(book, {}, again=False)
    return book


def paths(book: Journal) -> list[tuple[str, ...]]:
    return [each.path for each in book.read().steps]


def test_what_is_open_is_what_is_read(book: Journal) -> None:
    """After every step that begins or ends, of few that come again and of more than there are pages."""
    assert paths(book) == []
    for turn in range(3):
        with step("task", "doing a task"):
            for number in (*range(MANY), *range(MANY), 0, 1, 0, 1):
                with step(f"pass {number}", "measuring", "a check"), step("run", "running"):
                    assert paths(book) == [("task",), ("task", f"pass {number}"), ("task", f"pass {number}", "run")]
                assert paths(book) == [("task",)], turn
        assert paths(book) == []


def test_a_step_of_the_same_name_may_be_told_in_other_words(book: Journal) -> None:
    for words in ("building", "running", "building"):
        with step("step", words):
            assert [each.words for each in book.read().steps] == [words]


def test_what_is_known_beside_the_steps_is_told_with_each(book: Journal) -> None:
    for seconds in (5.0, 7.0):
        with step("a", "doing"):
            journal.be_patient(seconds)
            assert (paths(book), book.read().patience) == ([("a",)], seconds)
        with step("b", "doing"), journal.beside("c", "loading"):
            assert (paths(book), book.read().patience) == ([("b",), ("c",)], seconds)
        with step("a", "doing"):
            assert (paths(book), book.read().patience) == ([("a",)], seconds)
        assert (paths(book), book.read().patience) == ([], seconds)


def test_an_error_ends_every_step_inside(book: Journal) -> None:
    with step("outer", "doing"):
        with pytest.raises(KeyError), step("inner", "doing"), step("innermost", "doing"):
            raise KeyError
        assert paths(book) == [("outer",)]


def test_a_step_that_killed_a_process_is_passed_over_by_the_next(book: Journal) -> None:
    """Which begins its pages where the first ended."""
    child = os.fork()
    if not child:
        for number in range(MANY):
            with step(f"a {number}", "doing"):
                pass
        with step("task", "doing"), step("deadly", "crashing"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert paths(book) == [("task",), ("task", "deadly")]
    journal.use(book, {("task", "deadly"): "it ended a process"}, again=True)
    assert paths(book) == []
    with step("task", "doing"):
        with pytest.raises(Died, match="it ended a process"), step("deadly", "crashing"):
            pytest.fail("it was entered")
        assert paths(book) == [("task",)]
