"""What time it is to the API server: ages are told from the times that it writes, not by this machine's clock.

A node whose clock is an hour ahead would find every Job an hour old, and give up what has just begun. Each answer of
the API server says when it was made, to the second; where that is farther from our own clock than a request takes, its
word counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

log = logging.getLogger(__name__)

ALIKE_SECONDS: Final = 3.0
"""Clocks that differ by less are one: an answer tells whole seconds, and takes its time."""
EVERY_SECONDS: Final = 1.0
SAID_SECONDS: Final = 600.0
"""Several API servers may have clocks of their own: a difference is told so often at most."""


class ServerClock:
    """The API server's clock, by what its answers say.

    Args:
        wall: this machine's time in seconds since 1970.
        steady: seconds that only grow.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._asked = self._said = float("-inf")
        self.ahead = 0.0

    def now(self) -> datetime:
        """The time."""
        return datetime.fromtimestamp(self._wall(), UTC) - timedelta(seconds=self.ahead)

    def told(self, date: str | None, seconds: float) -> None:
        """Take note of an answer.

        Args:
            date: its header `Date`, if it has one.
            seconds: how long the request took.
        """
        steady = self._steady()
        if date is None or steady - self._asked < EVERY_SECONDS:
            return
        self._asked = steady
        try:
            server = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        ahead = self._wall() - server
        # It was made at any moment of its second, and of the request.
        known = -ALIKE_SECONDS < ahead < ALIKE_SECONDS + seconds
        found = 0.0 if known else ahead
        if abs(found - self.ahead) > ALIKE_SECONDS + seconds:
            if steady - self._said > SAID_SECONDS:
                words = "this machine's clock is not the API server's, whose time counts"
                log.warning(words, extra={"ahead": round(found, 1)})
                self._said = steady
            self.ahead = found
        elif found == 0.0:
            self.ahead = 0.0
