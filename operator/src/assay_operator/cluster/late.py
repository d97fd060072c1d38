"""Pods that no watch has told of, though their Job is closed: asked for once, before their answer is given up.

Jobs and Pods come by different watches, and one may be silent while the other works. A Job that has ended without a Pod
that is known to be over would be asked for its stored report, and in the end be told to have lost its answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from assay_api.names import LABEL_TASK
from assay_operator.cluster.api import Api
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.objects.keys import Key
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.seen import Seen

LATE_SECONDS: Final = 9.0
"""A little less than a Pod is waited for: who waits is looked at when that time is over."""


class LatePods:
    """Asks for them.

    Args:
        api: the API server.
        cache: remembers what was asked for.
        feed: takes them.
    """

    def __init__(self, api: Api, cache: Cache, feed: Feed) -> None:
        self._api, self._cache, self._feed = api, cache, feed

    async def found(self, key: Key, seen: Seen, now: datetime) -> Seen:
        """What is seen of an object of ours, with the Pods that are late.

        Raises:
            ApiError: they could not be asked for; nothing is known of them yet.
        """
        late = [] if seen.parent.complete else [job for job in seen.children.get(JOBS, ()) if _late(job, seen, now)]
        asked = self._cache.memory(key.group).asked if late else set()
        for job in late:
            if job.uid not in asked:
                async for page in self._api.pages(PODS, key.namespace, {"labelSelector": f"{LABEL_TASK}={job.task}"}):
                    for raw in page["items"] or ():
                        self._feed.take(PODS, raw)
                asked.add(job.uid)
        return (self._cache.seen(key) or seen) if late else seen


def _late(job: Any, seen: Seen, now: datetime) -> bool:
    """Whether a Job has been closed for a while, and no Pod of it is known to be over."""
    if not (job.finished and job.owner == seen.parent.uid) or job.elsewhere or job.uid in seen.results:
        return False
    if (now - (job.ended or job.created)).total_seconds() < LATE_SECONDS:
        return False
    return not any(pod.job == job.uid and pod.over for pod in seen.children.get(PODS, ()))
