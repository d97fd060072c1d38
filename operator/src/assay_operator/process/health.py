"""Whether the operator gets on, not merely whether a port answers.

A watch can go silent while its connection lives, and a pass can hang. So liveness asks three things: is a pass stuck,
did the last listings succeed, and did they find, time after time, what the watch should have told long before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from assay_operator.process.fence import Fence

STUCK_SECONDS = 300.0
DEAF_RESYNCS = 3
SILENT_SECONDS = 15.0


@dataclass
class Health:
    """What is known of this process; written by those who know, read by the probes.

    Attributes:
        clock: seconds, monotonic.
        resync_seconds: how often everything is listed anew.
        role: what this replica is doing.
        waits: what a replica that is starting waits for.
        fence: of the leader.
        silence: for how long the API server has not answered about the Lease.
        resynced: when everything was last listed; None before the first time.
        deaf: listings in a row that found what the watch had missed.
        stuck: for how long the oldest pass has been due or at work.
    """

    clock: Callable[[], float]
    resync_seconds: float
    role: str = "starting"
    waits: str = ""
    fence: Fence | None = None
    silence: Callable[[], float] = field(default=lambda: 0.0)
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
        return self._unlisted()

    def unready(self) -> str | None:
        """Why this process is not ready to work or to take over, or None."""
        if self.role == "starting":
            return f"starting{f': {self.waits}' if self.waits else ''}"
        if self.role == "leader" and self.fence and not self.fence.left:
            return f"the lease was not renewed for {self.fence.age:.0f} s, so nothing is written"
        if self.role == "standby" and (seconds := self.silence()) > SILENT_SECONDS:
            return f"the API server has not answered about the lease for {seconds:.0f} s"
        if self.role == "leader" and self.resynced is None:
            return "listing what there is"
        return self.ill()

    def _unlisted(self) -> str | None:
        """Why nothing was listed for too long, where the API server answers: starting anew brings none back."""
        late = 3 * self.resync_seconds + STUCK_SECONDS
        if self.resynced is None or (since := self.clock() - self.resynced) <= late:
            return None
        if self.fence and self.fence.open_seconds <= late:
            return None
        return f"nothing was listed for {since:.0f} s"
