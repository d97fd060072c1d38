"""How long an outside service is waited for.

A pod that gives up on the first refused connection wastes a GPU slot; one that waits for ever hides the outage. So a
failed attempt is repeated with growing pauses until a budget of seconds is spent, and the last sentence says what was
waited for and for how long.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from assay_api.names import ENV_RETRY_SECONDS
from assay_runner.errors import InvalidInput, Unreachable

T = TypeVar("T")

DEFAULT_SECONDS: Final = 120.0


class Transient(Exception):
    """An attempt failed in a way that a later one may not; the message is a clause without a full stop."""


@dataclass(frozen=True)
class Patience:
    """A budget for attempts.

    Attributes:
        seconds: no attempt starts later than this after the first.
        first: pause after the first failure, in seconds; doubled each time, up to `longest`.
        longest: longest pause in seconds.
        notify: called with a few words before each pause.
        clock: seconds, monotonic.
        sleep: pauses for seconds.
    """

    seconds: float = DEFAULT_SECONDS
    first: float = 0.5
    longest: float = 15.0
    notify: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def persist(self, attempt: Callable[[], T]) -> T:
        """The attempt's result, once it succeeds.

        Raises:
            Unreachable: it raised `Transient` until the budget was spent.
        """
        begin = self.clock()
        pause = self.first
        tries = 0
        while True:
            tries += 1
            try:
                return attempt()
            except Transient as failure:
                waited = self.clock() - begin
                if waited + pause > self.seconds:
                    raise Unreachable(f"{failure}; gave up after {_times(tries)} over {waited:.0f} s") from failure
                self.notify(f"{failure}; trying again in {pause:.0f} s")
            # Many pods meet the same outage at once: spread their return.
            self.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(2 * pause, self.longest)


def _times(tries: int) -> str:
    return "1 attempt" if tries == 1 else f"{tries} attempts"


def retry_seconds(environ: Mapping[str, str] = os.environ) -> float:
    """The budget asked for by the environment.

    Raises:
        InvalidInput: it is not a number of seconds.
    """
    text = environ.get(ENV_RETRY_SECONDS, "")
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidInput(f"{ENV_RETRY_SECONDS}={text!r} is not a number of seconds: give one such as 120")
    return seconds
