"""Asking tasks for their progress, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from assay_api.names import KIND, PROGRESS_PATH
from assay_operator.audits.kind import AUDITS
from assay_operator.audits.observed import Audit
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.progress import Poller
from assay_operator.cluster.queue import WorkQueue
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.resources import JOBS, PODS

THEN = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key(KIND, "team", "digits")


def progress_of(body: str, status: int = 200, owner: str = "u") -> Cache:
    """What the cache knows after a task that answers with `body` was asked."""
    cache = Cache(KINDS)
    audit = Audit("team", "digits", "u", 1, "1", False, None, "", b"{}", b"{}", "", "", False)
    cache.put(Item(AUDITS.resource, KEY.group, audit, KEY))
    for index, address in enumerate(("127.0.0.1", None, "127.0.0.2")):
        job = Job(f"j{index}", f"j{index}", "1", owner=owner, run="r", task=f"t{index}", created=THEN)
        cache.put(Item(JOBS, KEY.group, job))
        pod = Pod(f"p{index}", f"u{index}", "1", job=f"j{index}", task=f"t{index}", created=THEN)
        cache.put(Item(PODS, KEY.group, replace(pod, phase="Running", address=address)))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    async def ask() -> None:
        app = web.Application()
        app.router.add_get(PROGRESS_PATH, answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            await Poller(cache, WorkQueue(lambda: 0.0, lambda: 0.5), 1, port).ask_all(session)
        await runner.cleanup()

    asyncio.run(ask())
    return cache


def test_progress_is_taken_from_the_task_that_tells_it() -> None:
    told = {"task": "t0", "stage": "infer", "done": 5, "total": 10, "unit": "samples"}
    seen = progress_of(json.dumps(told)).seen(KEY)
    assert seen is not None
    assert {key: progress.done for key, progress in seen.progress.items()} == {"j0": 5}


def test_a_pod_of_nobody_s_job_is_not_asked() -> None:
    seen = progress_of(json.dumps({"task": "t0", "stage": "infer"}), owner="somebody").seen(KEY)
    assert seen is not None
    assert not seen.progress


@pytest.mark.parametrize(
    ("body", "status"), [("not json", 200), ('{"task":"other","stage":"x"}', 200), ("{}", 200), ("", 500)]
)
def test_progress_that_is_none_hurts_nobody(body: str, status: int) -> None:
    seen = progress_of(body, status).seen(KEY)
    assert seen is not None
    assert not seen.progress
