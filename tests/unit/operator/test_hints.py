"""Warnings are asked for a namespace at a time, while those that wait come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from assay_operator.cluster.api import Api
from assay_operator.cluster.hints import Hints
from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw

FIRST, SECOND = Key("AccuracyAudit", "a", "waits"), Key("AccuracyAudit", "b", "goes")


class Cluster:
    """An API server without warnings, beside which the second object goes while the first namespace is listed."""

    def __init__(self) -> None:
        self.hints: Hints | None = None
        self.asked: list[str] = []

    async def pages(self, _: object, namespace: str, *asked: Any) -> AsyncIterator[Raw]:
        """None."""
        self.asked.append(namespace)
        assert self.hints
        self.hints.forget(SECOND)
        yield {"items": []}


def test_one_that_goes_while_another_namespace_is_listed_ends_nothing() -> None:
    async def run() -> list[str]:
        cluster = Cluster()
        hints = cluster.hints = Hints(cast(Api, cluster), lambda: 0.0, lambda key: None, lambda key: True)
        for key in (FIRST, SECOND):
            hints.of(key, ("uid",))
        work = asyncio.create_task(hints.work())
        done, _ = await asyncio.wait({work}, timeout=0.2)
        work.cancel()
        for each in done:
            each.result()
        return cluster.asked

    assert asyncio.run(run()) == ["a"]
