"""Asking for the cluster's nodes, of which only labels matter; what was told holds for a minute, nothing for none."""

from __future__ import annotations

from collections.abc import Callable

from assay_api.names import LABEL_GPU_PRODUCT
from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.nodes import Gpus, gpus_of
from assay_operator.objects.resources import NODES

FRESH_SECONDS = 60.0


class Nodes:
    """The nodes of a cluster.

    Args:
        api: the API server.
        clock: seconds that only grow.
    """

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api, self._clock = api, clock
        self._known: Gpus | None = None
        self._asked = 0.0

    async def gpus(self) -> Gpus:
        """What GPUs there are, at most a minute ago.

        Raises:
            ApiError: the nodes could not be listed, other than for want of the right to.
        """
        if not self._known or self._clock() - self._asked > FRESH_SECONDS:
            self._known, self._asked = await self._list(), self._clock()
        return self._known

    async def _list(self) -> Gpus:
        labels = []
        try:
            async for page in self._api.pages(NODES, None, {"labelSelector": LABEL_GPU_PRODUCT}, metadata_only=True):
                labels += [node["metadata"].get("labels") or {} for node in page["items"] or ()]
        except ApiError as error:
            if error.status != 403:
                raise
            return Gpus(refused=error.message)
        return Gpus(gpus_of(labels))
