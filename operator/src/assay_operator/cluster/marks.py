"""Conditions of ours on the cluster's nodes: written where they say something else than what stands there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.decision import Mark
from assay_operator.objects.raw import condition, timestamp
from assay_operator.objects.resources import NODES

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
GONE, FORBIDDEN = 404, 403


async def write_marks(api: Api, marks: Sequence[Mark], now: datetime) -> None:
    """Have nodes say it; one that is gone by now is passed over, and so are all where that may not be written.

    Raises:
        ApiError: a request failed that is worth trying again.
    """
    for start in range(0, len(marks), AT_ONCE):
        await asyncio.gather(*(_write(api, mark, now) for mark in marks[start : start + AT_ONCE]))


async def _write(api: Api, mark: Mark, now: datetime) -> None:
    try:
        node = await api.read(NODES, "", mark.node)
        stands = condition(node.get("status") or {}, mark.condition["type"])
        same = stands.get("status") == mark.condition["status"]
        if same and all(stands.get(key) == value for key, value in mark.condition.items()):
            return
        since = stands.get("lastTransitionTime") if same else timestamp(now)
        times = {"lastHeartbeatTime": timestamp(now), "lastTransitionTime": since}
        await api.mark(NODES, mark.node, {"status": {"conditions": [{**mark.condition, **times}]}})
    except ApiError as error:
        if error.status not in (GONE, FORBIDDEN):
            raise
        if error.status == FORBIDDEN:
            log.warning("a node's condition may not be written", extra={"node": mark.node, "error": error.message})
