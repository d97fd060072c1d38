"""One replica works, the others wait for its Lease.

The official client's election ends a leader that cannot renew, also where nobody else leads, and says nothing of one
that was frozen meanwhile. Here a leader that cannot renew only stops writing (`Fence`, by the clock, well before
another may take over), tries on, and goes on where the Lease is still its own. Only a Lease that names another ends it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.resources import LEASES
from assay_operator.process.fence import Fence, moment
from assay_operator.process.signals import pause
from assay_operator.settings import Settings

log = logging.getLogger(__name__)

Lease = dict[str, Any]
UNHEARD: Final = "the lease could not be renewed for a while: nothing is written until it is"


HALF: Final = 0.5


class Answer(Enum):
    """What came of one try to get or to renew the Lease."""

    OURS = auto()
    THEIRS = auto()
    NONE = auto()


class Leader:
    """Runs something while this replica holds the Lease.

    Args:
        api: the API server; not held back by the fence, for the Lease is what opens it.
        settings: names and times.
        fence: opened by each renewal.
        waits: told at each look at another's Lease whether that one has been silent for half of its time.
    """

    def __init__(
        self, api: Api, settings: Settings, fence: Fence, waits: Callable[[bool], None] = lambda silent: None
    ) -> None:
        self._api, self._settings, self._fence, self._waits = api, settings, fence, waits
        self._known: Lease | None = None
        self._said = ""
        self._known_since = self.heard = time.monotonic()

    async def run(self, lead: Callable[[], Awaitable[None]], stop: asyncio.Event) -> bool:
        """Wait for the Lease and lead until `lead` returns or `stop` is set; whether the Lease was kept throughout."""
        while not stop.is_set() and await self._try(leading=False) is not Answer.OURS:
            self._waits(bool(_holder(self._known)) and self._expired(HALF))
            # More often than the leader renews: one that gives the Lease back is followed at once.
            await pause(self._settings.retry_seconds / 2, stop)
        try:
            if stop.is_set():
                return True
            log.info("leading", extra={"lease": self._settings.lease_name, "identity": self._settings.identity})
            return await self._lead(lead)
        finally:
            self._fence.lose()
            await self._release()

    @property
    def silence(self) -> float:
        """Seconds for which the API server has not answered about the Lease."""
        return time.monotonic() - self.heard

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew(), name="lease")
        await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            renewing.cancel()
            # A renewal that is under way would be in the way of giving the Lease back.
            await asyncio.gather(renewing, return_exceptions=True)
            work.result()
            return True
        self._fence.lose()
        work.cancel()
        log.error("the lease is lost", extra={"to": _holder(self._known) or "nobody"})
        renewing.result()
        return False

    async def _renew(self) -> None:
        """Renew the Lease until it is lost."""
        silent = False
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            if await self._try(leading=True) is Answer.THEIRS:
                return
            if not silent and not self._fence.left:
                log.warning(UNHEARD, extra={"seconds": round(self._fence.age, 1)})
            elif silent and self._fence.left:
                log.info("the lease is renewed, and was nobody else's meanwhile: going on")
            silent = not self._fence.left

    async def _try(self, *, leading: bool) -> Answer:
        try:
            answer = await self._once(leading)
        except ApiError as error:
            if error.message != self._said:
                words = {"lease": self._settings.lease_name, "error": error.message}
                log.warning("the lease could not be had; trying again", extra=words)
            self._said = error.message
            if error.status:
                self.heard = time.monotonic()
            return Answer.NONE
        self.heard, self._said = time.monotonic(), ""
        return answer

    async def _once(self, leading: bool) -> Answer:
        """One try: with what is known of the Lease where it is ours, else with what stands there now."""
        asked = moment()
        if leading and self._known:
            try:
                return await self._write(asked, self._known)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
        # The time counts from before the question: what was answered is at least as old.
        asked = moment()
        lease = await self._read()
        holder = _holder(lease)
        if leading and lease is not None and holder != self._settings.identity:
            return Answer.THEIRS
        if holder not in ("", self._settings.identity) and not self._expired():
            return Answer.THEIRS
        try:
            return await self._write(asked, lease)
        except ApiError as error:
            if error.status != 409:
                raise
            return Answer.NONE

    async def _read(self) -> Lease | None:
        settings = self._settings
        try:
            lease = await self._api.read(LEASES, settings.lease_namespace, settings.lease_name, self._seconds)
        except ApiError as error:
            if error.status != 404:
                raise
            lease = None
        if (lease or {}).get("spec") != (self._known or {}).get("spec"):
            self._known_since = time.monotonic()
        self._known = lease
        return lease

    def _expired(self, share: float = 1.0) -> bool:
        """Whether the holder let its own time pass, or a share: counted from when its last renewal was seen here."""
        spec = (self._known or {}).get("spec") or {}
        lasts = spec.get("leaseDurationSeconds") or self._settings.lease_seconds
        return time.monotonic() - self._known_since >= share * float(lasts)

    async def _write(self, asked: tuple[float, ...], lease: Lease | None) -> Answer:
        settings, now = self._settings, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((lease or {}).get("spec") or {})
        if _holder(lease) != settings.identity:
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + bool(lease)}
        spec |= {
            "holderIdentity": settings.identity,
            "leaseDurationSeconds": math.ceil(settings.lease_seconds),
            "renewTime": now,
        }
        self._known = await self._put(lease, spec)
        self._known_since = time.monotonic()
        self._fence.renewed(asked)
        return Answer.OURS

    async def _put(self, lease: Lease | None, spec: Lease) -> Lease:
        settings = self._settings
        meta = {"name": settings.lease_name, "namespace": settings.lease_namespace}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, **(lease or {}), "spec": spec}
        if lease is None:
            return await self._api.create(LEASES, settings.lease_namespace, body, self._seconds)
        return await self._api.replace(LEASES, settings.lease_namespace, settings.lease_name, body, self._seconds)

    async def _release(self) -> None:
        """Give the Lease back, so that nobody has to wait until it runs out."""
        try:
            lease = await self._read()
            if lease and _holder(lease) == self._settings.identity:
                await self._put(lease, {**lease["spec"], "holderIdentity": ""})
                log.info("gave the lease back", extra={"lease": self._settings.lease_name})
        except ApiError as error:
            log.warning("the lease could not be given back: it runs out by itself", extra={"error": error.message})

    @property
    def _seconds(self) -> float:
        """Seconds that a request about the Lease may take: several must fit into the time of one renewal."""
        return max(1.0, self._settings.renew_seconds / 3)


def _holder(lease: Lease | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
