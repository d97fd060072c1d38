"""What the running tasks are doing: each serves it at /progress, and is asked now and then.

Nothing depends on it. A Pod that cannot be reached, from a laptop or behind a network policy, costs a short wait and
leaves its line of the status empty.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp
from pydantic import ValidationError

from assay_api.names import PROGRESS_PATH, PROGRESS_PORT
from assay_api.result import Progress
from assay_operator.cache import Cache
from assay_operator.observed import Key, Pod
from assay_operator.queue import WorkQueue

log = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=1)
AT_ONCE = 16
MOST_BYTES = 16 * 1024


class Poller:
    """Asks running Pods for their progress, each at most once in `seconds`."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key], seconds: float, port: int = PROGRESS_PORT) -> None:
        self._cache, self._queue, self._seconds, self._port = cache, queue, seconds, port
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def work(self) -> None:
        """Ask, for ever."""
        async with aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False) as session:
            while True:
                await asyncio.sleep(self._seconds)
                await self.ask_all(session)

    async def ask_all(self, session: aiohttp.ClientSession) -> None:
        """Ask every running Pod of a Job of ours once, and have the audits whose progress changed looked at."""
        running = [
            (namespace, pod)
            for namespace, pod in self._cache.pods
            if pod.phase == "Running" and pod.address and not pod.deleting and self._cache.job_of(namespace, pod)
        ]
        answers = await asyncio.gather(*(self._ask(session, pod) for _, pod in running))
        for (namespace, pod), progress in zip(running, answers, strict=True):
            if progress and progress.task == pod.task:
                self._take(namespace, pod, progress)

    async def _ask(self, session: aiohttp.ClientSession, pod: Pod) -> Progress | None:
        host = f"[{pod.address}]" if ":" in (pod.address or "") else pod.address
        try:
            async with self._slots, session.get(f"http://{host}:{self._port}{PROGRESS_PATH}") as response:
                if response.status != 200:
                    return None
                return Progress.model_validate_json(await response.content.read(MOST_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            log.debug("a task told no progress", extra={"pod": pod.name, "error": str(error)})
            return None

    def _take(self, namespace: str, pod: Pod, progress: Progress) -> None:
        known = self._cache.progress.setdefault((namespace, pod.audit), {})
        if known.get(pod.job) == progress:
            return
        known[pod.job] = progress
        if key := self._cache.key_of(namespace, pod):
            self._queue.add(key)
