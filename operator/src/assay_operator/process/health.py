"""Whether the operator gets on, not merely whether a port answers.

A watch can go silent while its connection lives, and a pass can hang. So liveness asks three things: is a pass stuck,
did the last listings succeed, and did they find, time after time, what the watch should have told long before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

STUCK_SECONDS = 300.0
DEAF_RESYNCS = 3


@dataclass
class Health:
    """What is known of this process; written by those who know, read by the probes.

    Attributes:
        clock: seconds, monotonic.
        resync_seconds: how often everything is listed anew.
        role: what this replica is doing.
        resynced: when everything was last listed; None before the first time.
        deaf: listings in a row that found what the watch had missed.
        stuck: for how long the oldest pass has been due or at work.
    """

    clock: Callable[[], float]
    resync_seconds: float
    role: str = "starting"
    resynced: float | None = None
    deaf: int = 0
    stuck: Callable[[], float] = field(default=lambda: 0.0)

    def ill(self) -> str | None:
        """Why this process should be started anew, or None."""
        if self.role != "leader":
            return None
        if (seconds := self.stuck()) > STUCK_SECONDS:
            return f"a pass has been stuck for {seconds:.0f} s"
        if self.deaf >= DEAF_RESYNCS:
            return f"{self.deaf} listings in a row found what the watch had missed"
        late = 3 * self.resync_seconds + STUCK_SECONDS
        if self.resynced is not None and self.clock() - self.resynced > late:
            return f"nothing was listed for {self.clock() - self.resynced:.0f} s"
        return None

    def unready(self) -> str | None:
        """Why this process is not ready to work or to take over, or None."""
        if self.role == "starting":
            return "starting"
        if self.role == "leader" and self.resynced is None:
            return "listing what there is"
        return self.ill()
