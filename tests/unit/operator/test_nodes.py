"""Who is looked at when the nodes of a cluster change, whoever had them listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from assay_api.names import LABEL_GPU_PRODUCT
from assay_operator.cluster.api import Api
from assay_operator.cluster.nodes import FRESH_SECONDS, NOW_SECONDS, Nodes
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Asks
from assay_operator.objects.raw import Raw

AUDIT, SCREENING = Key("AccuracyAudit", "team", "waits"), Key("GpuScreening", "team", "begins")


class Cluster:
    """An API server with one node, and a clock."""

    def __init__(self) -> None:
        self.gpus, self.seconds = 1, 0.0

    async def get(self, path: str) -> Raw:
        """No ResourceSlices."""
        return {}

    async def pages(self, *asked: Any) -> AsyncIterator[Raw]:
        """The node."""
        many = {"nvidia.com/gpu": str(self.gpus)}
        meta = {"name": "a", "labels": {LABEL_GPU_PRODUCT: "H100"}}
        yield {"items": [{"metadata": meta, "status": {"capacity": many, "allocatable": many}}]}


@pytest.mark.parametrize(("asks", "after"), [("now", NOW_SECONDS), ("fresh", FRESH_SECONDS)])
def test_what_one_had_listed_is_news_to_all_that_wait(asks: Asks, after: float) -> None:
    async def run() -> list[Key]:
        cluster, looked = Cluster(), list[Key]()
        nodes = Nodes(cast(Api, cluster), lambda: cluster.seconds, looked.append)
        await nodes.gpus()
        await nodes.asked(AUDIT, "known")
        cluster.seconds += after
        await nodes.asked(SCREENING, asks)
        assert looked == [], "nothing has changed"
        cluster.gpus, cluster.seconds = 2, cluster.seconds + after
        await nodes.asked(SCREENING, asks)
        return looked

    assert asyncio.run(run()) == [AUDIT]
