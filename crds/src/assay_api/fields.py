"""Bounded scalar types of the resource.

Every string and list is bounded because the API server prices CEL rules by the worst case and refuses a costly CRD.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$", max_length=40)]
"""Name of a candidate: lower-case letters, digits and dashes, at most 40 characters (it becomes part of Job names)."""

ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""Name of another Kubernetes object."""

URI_PATTERN = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file://.+)$"
Uri = Annotated[str, StringConstraints(pattern=URI_PATTERN, max_length=1024)]
"""`s3://bucket/key`, `file:///absolute/path`, or `file://./path` relative to the audit's file (local runs only)."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]
"""SHA-256 in lower-case hexadecimal."""

ArrayName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
"""Name of an array in the dataset or of a tensor of the model."""

Text = Annotated[str, StringConstraints(max_length=1024)]
ShortText = Annotated[str, StringConstraints(max_length=253)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a quantity is a whole number or a string such as 20Gi")
    return str(value)


Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$", max_length=32),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$",
        }
    ),
]
"""A Kubernetes quantity: a whole number or a string such as `20Gi` or `500m`."""

Share = Annotated[float, Field(gt=0, le=1)]
"""A share in (0, 1]."""
