"""Lines that a process tells of its work: text for people, JSON for collectors where a task's Pod is told so.

In JSON each line says of what it is: the trace that sweep, audit, Pod and report share, the audit, its run, the task.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from functools import cache
from typing import Final, Literal

from assay_api.names import ENV_LOG_FORMAT, ENV_TASK, ENV_TRACE

Level = Literal["info", "error"]
_OF_A_TASK: Final = ("audit", "run", "key")


def trace() -> str | None:
    """The trace that this process belongs to, where it is a task's."""
    return os.environ.get(ENV_TRACE) or None


def log_line(message: str, text: str | None = None, level: Level = "info") -> str:
    """One line about a task's work.

    Args:
        message: the sentence.
        text: the same as people are to see it, where that is not the sentence alone.
        level: for machines.
    """
    if os.environ.get(ENV_LOG_FORMAT) != "json" or not os.environ.get(ENV_TASK):
        return message if text is None else text
    when = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    told = {"time": when, "level": level, "logger": "assay", "message": message, **_about(os.environ[ENV_TASK])}
    return json.dumps(told)


@cache
def _about(task: str) -> dict[str, str]:
    """What a task is of; of one that cannot be read, what is known beside it."""
    try:
        found = json.loads(task)
    except ValueError:
        found = None
    of_task = found if isinstance(found, dict) else {}
    fields = {"task" if key == "key" else key: str(of_task[key]) for key in _OF_A_TASK if key in of_task}
    return ({"trace": of} if (of := trace()) else {}) | fields
