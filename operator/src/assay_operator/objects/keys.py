"""What names an object of ours, and what its children are found by."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Key(NamedTuple):
    """Kind, namespace and name of an object of ours."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def group(self) -> Group:
        """What its children are found by."""
        return Group(self.kind, self.namespace, label_value(self.name))


class Group(NamedTuple):
    """All that belongs to one object of ours: its kind, its namespace and its name as a label's value."""

    kind: str
    namespace: str
    label: str


def label_value(name: str) -> str:
    """The name as a label's value: itself, or cut and made unique where it is longer than 63 characters."""
    if len(name) <= 63:
        return name
    return f"{name[:50].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
