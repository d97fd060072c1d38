"""Bounded scalar types of the resource.

Every string and list is bounded because the API server prices CEL rules by the worst case and refuses a costly CRD.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=40)]
"""Name of a candidate: lower-case letters, digits and dashes, at most 40 characters (it becomes part of Job names)."""

OBJECT_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_PATTERN, max_length=253)]
"""Name of another Kubernetes object."""

URI_PATTERN: Final = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file://.+)$"
Uri = Annotated[str, StringConstraints(pattern=URI_PATTERN, max_length=1024)]
"""`s3://bucket/key`, `file:///absolute/path`, or `file://./path` relative to the audit's file (local runs only)."""

SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, StringConstraints(pattern=SHA256_PATTERN, max_length=64)]
"""SHA-256 in lower-case hexadecimal."""

ArrayName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
"""Name of an array in the dataset or of a tensor of the model."""

Text = Annotated[str, StringConstraints(max_length=1024)]
ShortText = Annotated[str, StringConstraints(max_length=253)]
LABEL_PATTERN: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, min_length=1, max_length=63)]
"""Value of a node label that has one."""
LABEL_TEXT_PATTERN: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
LabelText = Annotated[str, StringConstraints(pattern=LABEL_TEXT_PATTERN, max_length=63)]
"""Value of a label, which may be empty."""


ENDPOINT_PATTERN: Final = r"^https?://[^\s/@]+/?$"
Endpoint = Annotated[ShortText, Field(pattern=ENDPOINT_PATTERN)]
"""`https://host:port`, without a path, a user or a password."""


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a quantity is a whole number or a string such as 20Gi")
    return str(value)


QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$"
Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    StringConstraints(pattern=QUANTITY_PATTERN, max_length=32),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            # A pattern binds strings only, a minimum numbers only.
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        }
    ),
]
"""A Kubernetes quantity: a whole number or a string such as `20Gi` or `500m`."""

FLAG_PATTERN: Final = r"^[A-Z][A-Z0-9_]*$"
Flag = Annotated[str, StringConstraints(pattern=FLAG_PATTERN, max_length=64)]
"""Name of a flag, as TensorRT spells it."""

IMAGE_PATH_PATTERN: Final = r"^/[^/].*$"
ImagePath = Annotated[str, StringConstraints(pattern=IMAGE_PATH_PATTERN, max_length=253)]
"""Absolute path of a file in the runner's image."""

MODEL_PATTERN: Final = r"^[A-Za-z0-9_]([-A-Za-z0-9_./]*[-A-Za-z0-9_])?$"
ModelName = Annotated[str, StringConstraints(pattern=MODEL_PATTERN, max_length=128)]
"""Name of a model in a sweep; it may be a path."""

CRON_PATTERN: Final = r"^[-0-9A-Za-z*/,#?]+( +[-0-9A-Za-z*/,#?]+){4}$"
Cron = Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=128)]
"""Five fields, as cron has them."""

ZONE_PATTERN: Final = r"^[A-Za-z][-+A-Za-z0-9_/]*$"
Zone = Annotated[str, StringConstraints(pattern=ZONE_PATTERN, max_length=64)]
"""A time zone by its name in the IANA database."""

Share = Annotated[float, Field(gt=0, le=1)]
"""A share in (0, 1]."""

PATTERNS: Final = {
    NAME_PATTERN: "must be lower-case letters, digits and dashes, at most 40 characters, with no dash at either end",
    OBJECT_PATTERN: "must be a Kubernetes name: lower-case letters, digits, dashes and dots",
    URI_PATTERN: "must be s3://bucket/key, file:///absolute/path or, beside the audit's file, file://./path",
    SHA256_PATTERN: "must be 64 lower-case hexadecimal digits, as sha256sum prints them",
    ENDPOINT_PATTERN: "must be https://host or http://host:port, without a path and without a user or password",
    LABEL_PATTERN: "must be the value of a node label: letters, digits, dashes, dots and underscores, at most 63",
    LABEL_TEXT_PATTERN: "must be the value of a label: letters, digits, dashes, dots and underscores, at most 63",
    FLAG_PATTERN: "must be the name of a flag in capitals, for example STRICT_NANS",
    IMAGE_PATH_PATTERN: "must be an absolute path in the runner's image",
    MODEL_PATTERN: "must be letters, digits, dashes, dots, underscores and slashes, with no slash or dot at either end",
    CRON_PATTERN: "must be the five fields of cron: minute, hour, day of the month, month, day of the week",
    ZONE_PATTERN: "must be a time zone by its name, for example Europe/Berlin or Etc/UTC",
    QUANTITY_PATTERN: "must be a Kubernetes quantity: a number with a unit or without one, for example 20Gi or 500m",
}
"""What each pattern asks for, in words."""


def unlike(pattern: str, given: str) -> str:
    """Why a text is not as a pattern asks, in words that do not repeat it: there may be a password in it.

    Args:
        pattern: one of `PATTERNS`.
        given: the text.
    """
    return (_no_uri(given) if pattern == URI_PATTERN else "") or PATTERNS[pattern]


def _no_uri(given: str) -> str:
    """What is wrong with a URI whose scheme is right; nothing where that is what is wrong."""
    scheme, _, rest = given.partition("://")
    if scheme not in ("s3", "file"):
        return ""
    if scheme == "s3" and (told := _no_bucket(rest.partition("/")[0])):
        return told
    if not rest:
        return "names no file: write file:///absolute/path or, beside the audit's file, file://./path"
    return "has a line break in it, which no URI takes: rename the file"


def _no_bucket(name: str) -> str:
    """Why S3 has no bucket of such a name, or nothing."""
    if not name:
        return "names no bucket: write s3://bucket/key"
    if not 3 <= len(name) <= 63:
        characters = f"{len(name)} character{'' if len(name) == 1 else 's'}"
        return f"the bucket's name has {characters}, and S3 gives buckets names of 3 to 63: correct the bucket"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", name):
        return (
            "the bucket's name is not lower-case letters, digits, dots and dashes with a letter or a digit at either "
            "end: correct the bucket"
        )
    return ""
