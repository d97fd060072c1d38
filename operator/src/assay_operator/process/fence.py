"""Whether this process may write: only while its Lease was renewed a short time ago, by the clock.

A process that was frozen (a paused virtual machine, a live migration, SIGSTOP) comes back in the middle of a pass and
knows nothing of it; another one leads by then. So no write asks what the election last said. Each asks the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Moment = tuple[float, ...]
"""What several clocks show at one moment, in seconds."""


def moment() -> Moment:
    """What the clocks show now: one that never steps and counts the sleep of the machine, and the wall's.

    A machine that is paused from outside may find neither of the first moved, but its wall clock set right.
    """
    steady = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(steady), time.time()


def elapsed(since: Moment, now: Moment) -> float:
    """Seconds between two moments, by the clock that went furthest: one that was set back counts for nothing."""
    return max(0.0, *(after - before for before, after in zip(since, now, strict=True)))


class Fence:
    """Open for so many seconds after each renewal of the Lease, until it is lost for good.

    Args:
        seconds: how long a renewal lasts.
        clock: tells the moment.
    """

    def __init__(self, seconds: float, clock: Callable[[], Moment] = moment) -> None:
        self._seconds, self._clock = seconds, clock
        self._renewed: Moment | None = None
        self._opened = self._clock()
        self.lost = False

    def renewed(self, asked: Moment) -> bool:
        """The Lease was renewed by a request sent at that moment; whether the fence was closed before."""
        closed = self.left <= 0
        self._renewed = asked
        if closed:
            self._opened = self._clock()
        return closed

    def lose(self) -> None:
        """The Lease is somebody else's: nothing is written by this process any more."""
        self.lost = True

    @property
    def age(self) -> float:
        """Seconds since the last renewal."""
        return elapsed(self._renewed, self._clock()) if self._renewed else float("inf")

    @property
    def left(self) -> float:
        """Seconds for which writing is allowed; 0 where it is not."""
        return 0.0 if self.lost else max(0.0, self._seconds - self.age)

    @property
    def open_seconds(self) -> float:
        """For how long it has been open without a break; 0 where it is closed."""
        return elapsed(self._opened, self._clock()) if self.left else 0.0
