"""SIGTERM and SIGINT set an event; whatever is waited for meanwhile is given up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any


def listen(stop: asyncio.Event) -> None:
    """Have the signals that ask a process to end set `stop`, whoever listened before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do it, or give it up as soon as `stop` is set; whether it was done.

    Raises:
        Exception: what the work raised.
    """
    doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        doing.result()
        return True
    finally:
        for task in (doing, stopped):
            task.cancel()
        await asyncio.gather(doing, stopped, return_exceptions=True)


async def pause(seconds: float | None, until: asyncio.Event) -> None:
    """Sleep until an event is set, for so many seconds at most; None: however long that takes."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
