"""A standby that expects to lead soon has looked around by then.

To list what there is takes seconds where there is much. A leader that has died leaves its Lease to run out, and half of
that time is enough to tell that it does not renew it: what is listed meanwhile is not to be listed afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assay_operator.controller import Controller


class Standby:
    """Keeps a controller that has looked around, while whoever leads is silent.

    Args:
        make: a controller that knows nothing yet.
    """

    def __init__(self, make: Callable[[], Controller]) -> None:
        self._make = make
        self._ahead: tuple[Controller, asyncio.Task[None]] | None = None

    def hears(self, *, silent: bool) -> None:
        """Look around where the leader is silent; forget it all where it is not, for that grows old."""
        if silent and self._ahead is None:
            controller = self._make()
            self._ahead = controller, asyncio.create_task(controller.fill(ahead=True), name="ahead")
        elif self._ahead and not silent:
            self.leave()

    async def looked(self) -> None:
        """Wait until it has looked around, where it is doing so."""
        if self._ahead:
            await self._ahead[1]

    def leads(self) -> Controller:
        """The controller of a replica that leads from now on."""
        controller = self._ahead[0] if self._ahead else self._make()
        self._ahead = None
        return controller

    def leave(self) -> None:
        """Look around no more."""
        if self._ahead:
            self._ahead[1].cancel()
            self._ahead = None
