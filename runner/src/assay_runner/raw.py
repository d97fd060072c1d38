"""Resources as the API server has them: anybody's, so that anything in them may be missing, or be something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]


def mapping(value: Any) -> Raw:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where the value is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
