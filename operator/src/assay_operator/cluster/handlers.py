"""kopf as the source of events, and nothing more: each one goes into the cache, and what it is of into the queue.

No handler decides, writes or waits. kopf's own state (annotations, finalizers, its Events) is left off: a watch that
only spies leaves no trace on an object. This file and `watches.py` are the only ones that know kopf.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import kopf

from assay_operator.cluster import watches
from assay_operator.cluster.api import CHUNK
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.resync import Listed
from assay_operator.objects.kind import Kinds
from assay_operator.objects.resources import Resource
from assay_operator.process.signals import listen
from assay_operator.settings import Settings

# An API server sends a bookmark every minute: a watch that brings nothing for longer is dead. In less time one would be
# made anew from ever older versions, and in the end everything would have to be listed.
SERVER_SECONDS, CLIENT_SECONDS, CONNECT_SECONDS, SILENT_SECONDS = 240, 300, 10, 70


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
    watches.mend(since)
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
    settings.networking.error_backoffs = watches.Patiently()
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
