"""The operator as users start it, but that it gives a silent watch up after two seconds, in place of seventy, and that
kopf takes longer than that to begin with an object.

`python -m tests.operator.hasty`
"""

from __future__ import annotations

import asyncio
from typing import Any

from kopf._cogs.aiokits import aiotasks

from assay_operator.cluster import handlers
from assay_operator.serving import main

SILENT_SECONDS, SLOW_SECONDS = 2, 3.0
spawn = aiotasks.Scheduler.spawn


async def slowly(self: Any, coro: Any, **named: Any) -> None:
    """Begin with an object, as under contention for the lock that this takes."""
    await spawn(self, coro, **named)
    await asyncio.sleep(SLOW_SECONDS)


if __name__ == "__main__":
    handlers.SILENT_SECONDS = SILENT_SECONDS
    aiotasks.Scheduler.spawn = slowly  # type: ignore[method-assign]
    main()
