"""Asking tasks for their progress, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from assay_api.names import PROGRESS_PATH
from assay_operator.cache import Cache
from assay_operator.observed import Audit, Job, Pod
from assay_operator.progress import Poller
from assay_operator.queue import WorkQueue

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def progress_of(body: str, status: int = 200, owner: str = "u") -> Cache:
    """What the cache knows after a task that answers with `body` was asked."""
    cache = Cache()
    cache.put_audit(Audit("team", "digits", "u", 1, "1", False, None, "", b"{}", b"{}", "", "", False))
    for index, address in enumerate(("127.0.0.1", None, "127.0.0.2")):
        job = Job(f"j{index}", f"j{index}", "1", owner=owner, audit="digits", run="r", task=f"t{index}", created=THEN)
        cache.jobs.put("team", job)
        pod = Pod(f"p{index}", f"u{index}", "1", job=f"j{index}", audit="digits", task=f"t{index}", created=THEN)
        cache.put_pod("team", replace(pod, phase="Running", address=address))

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
    observed = progress_of(json.dumps(told)).observed(("team", "digits"))
    assert observed is not None
    assert {key: progress.done for key, progress in observed.progress.items()} == {"j0": 5}


def test_a_pod_of_nobody_s_job_is_not_asked() -> None:
    observed = progress_of(json.dumps({"task": "t0", "stage": "infer"}), owner="somebody").observed(("team", "digits"))
    assert observed is not None
    assert not observed.progress


@pytest.mark.parametrize(
    ("body", "status"), [("not json", 200), ('{"task":"other","stage":"x"}', 200), ("{}", 200), ("", 500)]
)
def test_progress_that_is_none_hurts_nobody(body: str, status: int) -> None:
    observed = progress_of(body, status).observed(("team", "digits"))
    assert observed is not None
    assert not observed.progress
