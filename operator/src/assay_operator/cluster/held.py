"""Those whose pass would have written while the Lease was not renewed: looked at again as soon as it is.

Nothing of theirs has failed. Counted as failures, the few seconds in which every event brings another pass would make
each of them wait for a minute, and longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from assay_operator.objects.keys import Key

LOOK_SECONDS: Final = 0.5


class Held:
    """Keeps them.

    Args:
        writes: whether the operator may write now.
    """

    def __init__(self, writes: Callable[[], bool]) -> None:
        self._writes = writes
        self._keys: set[Key] = set()

    def hold(self, key: Key) -> None:
        """Have one wait for the Lease."""
        self._keys.add(key)

    async def work(self, add: Callable[[Key], None]) -> None:
        """Have those that wait looked at once the operator may write, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._keys and self._writes():
                keys, self._keys = self._keys, set()
                for key in keys:
                    add(key)
