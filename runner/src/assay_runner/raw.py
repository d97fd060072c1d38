"""Resources as the API server has them: anybody's, so that anything in them may be missing, or be something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]


def mapping(value: Any) -> Raw:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
