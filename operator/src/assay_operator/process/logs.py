"""Log lines for people (text) or collectors (JSON): a constant message, and fields that say of what."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What kopf attaches to its records is for its own formatter.
KOPF = frozenset({"settings", "k8s_skip", "k8s_ref"})


def fields(record: logging.LogRecord) -> dict[str, str]:
    """What was given as `extra`."""
    return {key: str(value) for key, value in vars(record).items() if key not in STANDARD | KOPF}


class Text(logging.Formatter):
    """`time level message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        extra = "".join(f" {key}={value!r}" for key, value in fields(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{when} {record.levelname.lower():7} {record.getMessage()}{extra}{trace}"


class Json(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(style: str, level: str) -> None:
    """Log everything to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if style == "json" else Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kopf.objects", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("kopf").setLevel(level.upper() if level == "debug" else "WARNING")
    logging.getLogger("kubernetes").setLevel(logging.ERROR)
