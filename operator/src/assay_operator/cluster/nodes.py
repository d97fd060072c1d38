"""Asking for the cluster's nodes and its ResourceSlices, of which only what tells of GPUs is kept.

A sweep that begins a run waits for the answer. An audit whose GPU task waits takes what is known, and is looked at
again when that changes: one listing a minute, while somebody asks, answers for all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from sys import intern

from assay_api.names import LABEL_GPU_PRODUCT
from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.children import is_gpu
from assay_operator.objects.devices import Device, devices_of
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Asks
from assay_operator.objects.nodes import Gpus, Node
from assay_operator.objects.raw import Raw
from assay_operator.objects.resources import NODES, SLICES, Resource
from assay_operator.process.signals import pause

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
# A GPU that was put back in service a moment ago is one to be screened.
NOW_SECONDS = 3.0
# The right to ask comes with a new chart, not by itself.
REFUSED_SECONDS = 600.0
# Asking costs the API server and this process: the longer it takes, the rarer it is done.
SHARE = 20.0
VERSIONS = ("v1", "v1beta2", "v1beta1")


class Nodes:
    """The nodes of a cluster.

    Args:
        api: the API server.
        clock: seconds that only grow.
        look: has an object of ours looked at, for which the nodes have changed.
    """

    def __init__(self, api: Api, clock: Callable[[], float], look: Callable[[Key], None] = lambda key: None) -> None:
        self._api, self._clock, self._look = api, clock, look
        self._known: Gpus | None = None
        self._due = self._listed = 0.0
        self._listing = asyncio.Lock()
        self._asking: set[Key] = set()
        self._wake = asyncio.Event()

    async def asked(self, key: Key, asks: Asks) -> Gpus | None:
        """What a decision about an object wants to know of them; None where it wants nothing, or nothing is known.

        Raises:
            ApiError: it wants to know what holds now, and the nodes could not be listed.
        """
        if asks != "known":
            self.forget(key)
            return await self.gpus(NOW_SECONDS if asks == "now" else FRESH_SECONDS) if asks else None
        self._asking.add(key)
        self._wake.set()
        return self._known

    def forget(self, key: Key) -> None:
        """An object of ours is gone."""
        self._asking.discard(key)

    async def gpus(self, age: float = FRESH_SECONDS) -> Gpus:
        """What GPUs there are.

        Args:
            age: seconds for which what is known serves.

        Raises:
            ApiError: the nodes could not be listed, other than for want of the right to.
        """
        async with self._listing:
            if not self._known or self._known.refused or self._clock() >= min(self._due, self._listed + age):
                await self._renew()
            assert self._known is not None
            return self._known

    async def work(self) -> None:
        """Ask while somebody wants to know, for ever."""
        while True:
            self._wake.clear()
            if self._asking and self._clock() >= self._due:
                async with self._listing:
                    await self._again()
            await pause(max(self._due - self._clock(), 0.0) if self._asking else None, self._wake)

    async def _again(self) -> None:
        try:
            await self._renew()
        except ApiError as error:
            self._due = self._clock() + FRESH_SECONDS
            log.info("the nodes could not be listed", extra={"error": error.message})
        except Exception:
            # Ours, or an object that nobody thought of: no audit needs to know, and no pass ends for it.
            self._due = self._clock() + REFUSED_SECONDS
            log.exception("what was listed of the nodes could not be read")

    async def _renew(self) -> None:
        began, before = self._clock(), self._known
        self._known = await self._list()
        self._listed = now = self._clock()
        self._due = now + max(REFUSED_SECONDS if self._known.refused else FRESH_SECONDS, SHARE * (now - began))
        if self._known != before:
            # Whoever had them listed: by the next time they may be just as they are now.
            asking, self._asking = self._asking, set()
            for key in asking:
                self._look(key)

    async def _list(self) -> Gpus:
        try:
            # Where GPU feature discovery labels nodes, the others need not be read.
            nodes = await self._nodes({"labelSelector": LABEL_GPU_PRODUCT})
            devices = await self._devices()
            if not nodes or devices:
                bare = {device.node for device in devices}.difference(node.name for node in nodes)
                nodes += [n for n in await self._nodes({}) if not n.product and (n.name in bare or _has_gpus(n))]
        except ApiError as error:
            if error.status != 403:
                raise
            return Gpus(refused=error.message)
        return Gpus.of(nodes, devices)

    async def _nodes(self, query: dict[str, str]) -> list[Node]:
        found: list[Node] = []
        async for page in self._api.pages(NODES, None, query):
            found += [_small(Node.of(node)) for node in page["items"] or ()]
        return found

    async def _devices(self) -> list[Device]:
        """What ResourceSlices show; nothing where there are none, or where they may not be listed."""
        try:
            resource = await self._slices()
            return list(devices_of(await self._raw_slices(resource))) if resource else []
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return []

    async def _slices(self) -> Resource | None:
        """Where this cluster has ResourceSlices, in the newest version that is known here."""
        group = await self._api.get(f"/apis/{SLICES.group}")
        served = {each["version"] for each in group.get("versions") or ()}
        version = next((version for version in VERSIONS if version in served), None)
        return Resource(f"{SLICES.group}/{version}", SLICES.kind, SLICES.plural) if version else None

    async def _raw_slices(self, resource: Resource) -> list[Raw]:
        return [raw async for page in self._api.pages(resource, None) for raw in page["items"] or ()]


def _has_gpus(node: Node) -> bool:
    return any(map(is_gpu, node.capacity))


def _small(node: Node) -> Node:
    """The same with one copy of what all nodes of a kind have."""

    def shared(items: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {intern(str(key)): intern(str(value)) for key, value in items}

    return Node(
        node.name, shared(node.labels.items()), shared(node.capacity.items()), shared(node.allocatable.items()),
        node.taints, node.cordoned,
    )  # fmt: skip
