"""One replica works, the others wait for its Lease.

The election is the official client's; what it leaves open is closed here. Its lock lets a broken connection fall out
of the whole election, waits minutes for a server that does not answer, and never gives a Lease back. A replica that
cannot renew is fenced at once: it writes nothing more and its process ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from assay_operator.settings import Settings

log = logging.getLogger(__name__)

UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


class PatientLock(LeaseLock):
    """A lock on a Lease that answers in time, whatever the network does."""

    def __init__(self, name: str, namespace: str, identity: str, api_client: ApiClient, seconds: float) -> None:
        super().__init__(name, namespace, identity, api_client)
        self._seconds = seconds

    async def get(
        self, name: str, namespace: str
    ) -> tuple[bool, LeaderElectionRecord] | tuple[bool, Exception] | tuple[bool, None]:
        """The Lease's record, or what kept it from being read."""
        try:
            async with asyncio.timeout(self._seconds):
                return await super().get(name, namespace)
        except UNREACHABLE as error:
            return False, ApiException(status=0, reason=f"{type(error).__name__}: {error}")

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Make the Lease; whether that worked."""
        body = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._try(lambda: self.api_instance.create_namespaced_lease(namespace, body))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Renew the Lease; whether that worked. Another replica's renewal in between makes it fail."""
        lease: Any = self.lease_reference
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._try(lambda: self.api_instance.replace_namespaced_lease(name, namespace, lease))

    async def release(self) -> None:
        """Give the Lease back, so that nobody has to wait until it runs out."""
        held, record = await self.get(self.name, self.namespace)
        if not (held and isinstance(record, LeaderElectionRecord) and record.holder_identity == self.identity):
            return
        lease: Any = self.lease_reference
        lease.spec.holder_identity = ""
        if await self._try(lambda: self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)):
            log.info("gave the lease back", extra={"lease": self.name})

    async def _try(self, write: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(self._seconds):
                await write()
            return True
        except (ApiException, *UNREACHABLE) as error:
            log.warning("the lease could not be written", extra={"lease": self.name, "error": _short(error)})
            return False


class Leader:
    """Runs something while this replica holds the Lease.

    Args:
        api_client: the official client.
        settings: names and times.
        lost: called at once when the Lease is lost.
    """

    def __init__(self, api_client: ApiClient, settings: Settings, lost: Callable[[], None]) -> None:
        self._settings, self._lost = settings, lost
        seconds = max(1.0, settings.renew_seconds / 2)
        self._lock = PatientLock(settings.lease_name, settings.lease_namespace, settings.identity, api_client, seconds)

    async def run(self, lead: Callable[[], Awaitable[None]], stop: asyncio.Event) -> bool:
        """Wait for the Lease and lead until `lead` returns or `stop` is set; whether the Lease was kept throughout."""
        leading = asyncio.Event()
        ended = asyncio.get_running_loop().create_future()

        async def started() -> None:
            leading.set()
            await asyncio.wait([ended])

        async def stopped() -> None:
            log.error("the lease is lost")

        election = LeaderElection(
            Config(
                self._lock, self._settings.lease_seconds, self._settings.renew_seconds, self._settings.retry_seconds,
                started, stopped,
            )
        )  # fmt: skip
        tasks = {name: asyncio.create_task(coro, name=name) for name, coro in
                 (("election", election.run()), ("wait", leading.wait()), ("stop", stop.wait()))}  # fmt: skip
        try:
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            if not leading.is_set():
                if tasks["election"].done():
                    tasks["election"].result()
                return True
            log.info("leading", extra={"lease": self._settings.lease_name, "identity": self._settings.identity})
            return await self._lead(lead, tasks["election"])
        finally:
            ended.cancel()
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            await self._lock.release()

    async def _lead(self, lead: Callable[[], Awaitable[None]], election: asyncio.Task[Any]) -> bool:
        work = asyncio.create_task(_as_coroutine(lead), name="lead")
        await asyncio.wait({work, election}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            return True
        self._lost()
        work.cancel()
        await asyncio.wait({work}, timeout=5)
        return False


async def _as_coroutine(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()


def _short(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return f"{type(error).__name__}: {error}"
