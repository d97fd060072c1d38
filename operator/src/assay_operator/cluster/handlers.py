"""kopf as the source of events, and nothing more: each one goes into the cache, and what it is of into the queue.

No handler decides, writes or waits. kopf's own state (annotations, finalizers, its Events) is left off: a watch that
only spies leaves no trace on an object. This is the only file that knows kopf.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any, Final, cast

import kopf
from kopf._cogs.clients import errors, fetching, watching

from assay_operator.cluster.api import CHUNK
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.resync import Listed
from assay_operator.objects.kind import Kinds
from assay_operator.objects.resources import Resource
from assay_operator.process.signals import listen
from assay_operator.settings import Settings

log = logging.getLogger(__name__)

SERVER_SECONDS, CLIENT_SECONDS, CONNECT_SECONDS, SILENT_SECONDS = 240, 300, 10, 70
AGAIN_SECONDS, GONE = 1.0, 410


async def watch(
    settings: Settings, configuration: Any, kinds: Kinds, feed: Feed, stop: asyncio.Event, since: Mapping[Listed, str]
) -> None:
    """Feed the cluster's events until it is cancelled; an exception where watching cannot go on.

    kopf takes its time to end, a few seconds, and cancels whatever began after it: whoever is in a hurry leaves it be.

    Args:
        settings: which namespaces.
        configuration: the official client's configuration, for address and credentials.
        kinds: what to watch.
        feed: takes the events.
        stop: set by signals, before and after kopf has taken them for its own.
        since: versions as of which all there is was listed.
    """
    _SINCE.update({(r.group, r.version, r.plural, namespace): told for (r, namespace), told in since.items()})
    ready = asyncio.Event()
    hearing = asyncio.create_task(_hear_again(ready, stop))
    try:
        await _watch(settings, configuration, kinds, feed, ready)
    finally:
        hearing.cancel()


async def _hear_again(ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Take the signals back that kopf has made its own when it started."""
    await ready.wait()
    listen(stop)


async def _watch(settings: Settings, configuration: Any, kinds: Kinds, feed: Feed, ready: asyncio.Event) -> None:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(_login(configuration))
    for resource in kinds.watched:
        selector = resource.group, resource.version, resource.plural
        kopf.on.event(*selector, registry=registry, id=resource.plural)(_handler(resource, feed))
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(kinds),
        clusterwide=not settings.namespaces,
        namespaces=list(settings.namespaces),
        # Else kopf looks for a user's name, and a container's user has none.
        identity=cast(Any, settings.identity),
        ready_flag=ready,
    )


class Patiently(Iterable[float]):
    """Seconds between tries to reach the API server, without an end: kopf would give up after a minute, and we with it.

    They stay short, for until a watch is there again nothing is seen but by the next listing.
    """

    def __iter__(self) -> Iterator[float]:
        """1, 1, 2, 3, 5, and then 5 for ever."""
        return chain((1.0, 1.0, 2.0, 3.0), repeat(5.0))


kopf_watch: Final = watching.continuous_watch


async def watch_again(**how: Any) -> AsyncIterator[Any]:
    """Kopf's own watch; where it breaks off in a way that would end kopf, and this process, it is begun anew.

    So ends a listing that took longer than etcd keeps its versions (410), and a watch that the API server gives up with
    an error of its own. That the resource itself is gone (404) goes on to end the process: its definition is waited for
    at the start.
    """
    try:
        async for event in kopf_watch(**how):
            yield event
    except (errors.APIClientError, watching.WatchingError) as error:
        if isinstance(error, errors.APIClientError) and error.status != GONE:
            raise
        words = {"of": str(how.get("resource")), "error": str(error)[:200]}
        log.warning("a watch broke off: everything is listed and watched anew", extra=words)
        await asyncio.sleep(AGAIN_SECONDS)


watching.continuous_watch = watch_again


kopf_listing: Final = fetching.fetch_objs
_SINCE: Final[dict[tuple[str, str, str, str | None], str]] = {}


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


fetching.fetch_objs = listing


class NoDifferences(kopf.DiffBaseStorage):
    """Keeps nothing of an object: no handler asks what changed, and copying each to find out costs much of an event."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is written."""


def kopf_settings(kinds: Kinds) -> kopf.OperatorSettings:
    """kopf, told to watch and to keep its hands off everything."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDifferences()
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.inactivity_timeout = SILENT_SECONDS
    settings.watching.chunk_size = CHUNK
    for resource, label in kinds.watched.items():
        if label:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = label
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = Patiently()
    # A worker waits for more events of its object; with many objects at once, waiting long is memory.
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = 60
    return settings


def _handler(resource: Resource, feed: Feed) -> Callable[..., Awaitable[None]]:
    async def handle(event: Any, **_: Any) -> None:
        raw = event["object"]
        if event["type"] == "DELETED":
            feed.lose(resource, raw)
        else:
            feed.take(resource, raw)

    return handle


def _login(configuration: Any) -> Callable[..., Awaitable[kopf.ConnectionInfo]]:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        key = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        scheme, _blank, token = (key or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            ca_data=configuration.ca_cert_data,
            insecure=not configuration.verify_ssl,
            username=configuration.username or None,
            password=configuration.password or None,
            scheme=(scheme or "Bearer") if token else None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            proxy_url=configuration.proxy,
        )

    return login
