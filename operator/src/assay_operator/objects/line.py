"""Whose turn it is, where only so many tasks may run at once: pure, from who wants how many.

Between namespaces those that run least go first, so that a thousand audits of one team do not keep another's waiting;
within a namespace the audits with the higher priority, then the oldest.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assay_operator.objects.keys import Key


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tasks may run at once.

    Attributes:
        everywhere: in all namespaces together; 0 for as many as there are.
        namespace: in each namespace; 0 for as many as there are.
    """

    everywhere: int = 0
    namespace: int = 0

    def __bool__(self) -> bool:
        return bool(self.everywhere or self.namespace)

    def left(self, busy: Mapping[str, int], namespace: str) -> int:
        """How many more may run in a namespace, whoever wants to."""
        everywhere = self.everywhere - sum(busy.values()) if self.everywhere else sys.maxsize
        own = self.namespace - busy.get(namespace, 0) if self.namespace else sys.maxsize
        return max(min(everywhere, own), 0)

    def words(self, busy: Mapping[str, int], namespace: str) -> str:
        """Why none more may run in a namespace."""
        if self.namespace and busy.get(namespace, 0) >= self.namespace:
            return f"at most {self.namespace} at once run in this namespace"
        if self.everywhere:
            return f"at most {self.everywhere} at once run in the whole cluster"
        return f"at most {self.namespace} at once run in this namespace"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one object of ours would start now if it might.

    Attributes:
        key: whose it is.
        wants: how many tasks.
        priority: those with more go first in their namespace.
        since: for how long it has been there, in seconds since 1970.
    """

    key: Key
    wants: int
    priority: int = 0
    since: float = 0.0

    @property
    def order(self) -> tuple[int, float, Key]:
        """Its place among the claims of its namespace."""
        return -self.priority, self.since, self.key


@dataclass(frozen=True, slots=True)
class Turn:
    """What one object of ours may start now.

    Attributes:
        free: how many tasks.
        why: why no more.
    """

    free: int
    why: str


def shares(claims: Iterable[Claim], busy: Mapping[str, int], limits: Limits) -> dict[Key, int]:
    """How many of its tasks each may start now; who may start none is left out.

    Args:
        claims: what each wants; at most one claim of each.
        busy: tasks that run, by namespace.
        limits: how many may.
    """
    lines: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.wants > 0:
            lines.setdefault(claim.key.namespace, []).append(claim)
    given: dict[Key, int] = {}
    running = dict(busy)
    heap = []
    for namespace, line in lines.items():
        line.sort(key=lambda claim: claim.order, reverse=True)
        heap.append((running.get(namespace, 0), line[-1].since, namespace))
    heapq.heapify(heap)
    while heap:
        _, _, namespace = heapq.heappop(heap)
        if not limits.left(running, namespace):
            continue
        line = lines[namespace]
        first = line[-1]
        given[first.key] = given.get(first.key, 0) + 1
        running[namespace] = running.get(namespace, 0) + 1
        if given[first.key] == first.wants:
            line.pop()
        if line:
            heapq.heappush(heap, (running[namespace], line[-1].since, namespace))
    return given
