"""The API server's clock, by what its answers say."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from assay_operator.process.clock import ServerClock

SERVER = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clocks:
    """This machine's: one on the wall, one that only grows."""

    def __init__(self, ahead: float) -> None:
        self.ahead, self.steady = ahead, 0.0
        self.server = ServerClock(lambda: SERVER.timestamp() + self.ahead + self.steady, lambda: self.steady)

    def answers(self, seconds: float = 0.0, date: str | None = format_datetime(SERVER, usegmt=True)) -> float:
        """How far the API server's clock is from the truth after an answer that took so long."""
        self.server.told(date, seconds)
        return (self.server.now() - SERVER).total_seconds() - self.steady


@pytest.mark.parametrize("ahead", [5400.0, -5400.0, 3.5, -3.5])
def test_a_clock_that_is_off_is_put_right(ahead: float) -> None:
    assert Clocks(ahead).answers() == pytest.approx(0)


@pytest.mark.parametrize("ahead", [0.0, 1.9, -1.9])
def test_what_a_whole_second_or_the_way_explains_is_no_difference(ahead: float) -> None:
    assert Clocks(ahead).answers() == ahead
    assert Clocks(ahead + 20).answers(seconds=25) == ahead + 20


def test_it_is_asked_once_a_second_and_follows_a_clock_that_is_set() -> None:
    clocks = Clocks(0)
    assert clocks.answers() == 0
    clocks.ahead = 600
    assert clocks.answers() == 600
    clocks.steady = 2
    date = format_datetime(datetime.fromtimestamp(SERVER.timestamp() + 2, UTC), usegmt=True)
    assert clocks.answers(date=date) == pytest.approx(0)
    clocks.ahead, clocks.steady = 0, 4
    date = format_datetime(datetime.fromtimestamp(SERVER.timestamp() + 4, UTC), usegmt=True)
    assert clocks.answers(date=date) == pytest.approx(0)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_time_changes_nothing(date: str | None) -> None:
    assert Clocks(600).answers(date=date) == 600
