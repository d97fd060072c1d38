"""What names an object of ours, and what its children are found by."""

from __future__ import annotations

from typing import NamedTuple

from assay_api.names import label_value

__all__ = ["Group", "Key", "label_value"]


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
