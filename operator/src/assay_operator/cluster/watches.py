"""kopf's watches, mended where they end the process, fall silent, or list and ask more than they need.

For kopf 1.45.2, whose settings have nothing for any of it:

- A watch that is silent for too long is ended by cancelling the task that reads it. Where that task has just been told
  of something and waits elsewhere, the cancellation ends the task, and nobody is told: the kind is watched no more.
- What is neither an error of the connection nor an answer that kopf knows (half a line, a page of a login, a 410 to a
  listing) ends kopf, and this process with it.
- A watch that ends as soon as it has begun is begun again at once, for as long as that goes on.
- It begins with a listing of its own, of what has just been listed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any, Final

import aiohttp
from kopf._cogs.clients import errors, fetching, watching

from assay_operator.cluster.resync import Listed

log = logging.getLogger(__name__)

AGAIN_SECONDS, GONE = 1.0, 410
BROKEN: Final = (
    errors.APIClientError, watching.WatchingError, aiohttp.ClientError, ValueError, LookupError, TypeError,
    AttributeError,
)  # fmt: skip
"""How a watch or its listing breaks off, by what the API server, or whoever stands before it, said."""
OVER: Final = object()
_SINCE: Final[dict[tuple[str, str, str, str | None], str]] = {}

kopf_listing: Final = fetching.fetch_objs
kopf_connection: Final = watching.watch_objs
kopf_watch: Final = watching.continuous_watch


def mend(since: Mapping[Listed, str]) -> None:
    """Have kopf's watches be these.

    Args:
        since: versions as of which all there is was listed.
    """
    _SINCE.update({(r.group, r.version, r.plural, namespace): told for (r, namespace), told in since.items()})
    fetching.fetch_objs, watching.watch_objs, watching.continuous_watch = listing, connection, watch_again


class Patiently(Iterable[float]):
    """Seconds between tries to reach the API server, without an end: kopf would give up after a minute, and we with it.

    They stay short, for until a watch is there again nothing is seen but by the next listing.
    """

    def __iter__(self) -> Iterator[float]:
        """1, 1, 2, 3, 5, and then 5 for ever."""
        return chain((1.0, 1.0, 2.0, 3.0), repeat(5.0))


async def listing(**how: Any) -> AsyncIterator[Any]:
    """Kopf's own listing; none at all for the first watch of what was listed before the first pass.

    To list and to read everything a second time took a third of a start, and what was deleted in between nobody told.
    """
    resource = how["resource"]
    version = _SINCE.pop((resource.group, resource.version, resource.plural, how["namespace"]), None)
    if version is not None:
        yield (), version
        return
    async for page in kopf_listing(**how):
        yield page


async def connection(**how: Any) -> AsyncIterator[Any]:
    """One connection of a watch, which the next one follows after a second at the soonest."""
    began = time.monotonic()
    async for event in kopf_connection(**how):
        yield event
    await asyncio.sleep(began + AGAIN_SECONDS - time.monotonic())


async def watch_again(**how: Any) -> AsyncIterator[Any]:
    """Kopf's own watch, read by a task that waits for nothing else; where it breaks off, it is begun anew.

    That the resource itself is gone (404) goes on to end the process: its definition is waited for at the start.
    """
    told: asyncio.Queue[Any] = asyncio.Queue()
    reading = asyncio.create_task(_read(told, how), name=f"reader of {how.get('resource')}")
    try:
        while (event := await told.get()) is not OVER:
            yield event
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.result()
    except BROKEN as error:
        if isinstance(error, errors.APIClientError) and error.status != GONE:
            raise
        words = {"of": str(how.get("resource")), "error": (str(error) or type(error).__name__)[:200]}
        log.warning("a watch broke off: everything is listed and watched anew", extra=words)
        await asyncio.sleep(AGAIN_SECONDS)
    finally:
        reading.cancel()


async def _read(told: asyncio.Queue[Any], how: Mapping[str, Any]) -> None:
    try:
        async for event in kopf_watch(**how):
            told.put_nowait(_whole(event))
    finally:
        told.put_nowait(OVER)


def _whole(event: Any) -> Any:
    """An event of an object, or a bookmark; kopf looks at the metadata where nothing is begun anew."""
    if not isinstance(event, watching.Bookmark) and "resourceVersion" not in event["object"]["metadata"]:
        raise ValueError("an event of an object without a version")
    return event
