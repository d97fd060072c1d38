"""Numbers that JSON lacks: a report full of NaN must be written and be readable again."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

NON_FINITE = ("NaN", "Infinity", "-Infinity")

Number = Annotated[
    float,
    BeforeValidator(lambda value: float(value) if value in NON_FINITE else value),
    WithJsonSchema({"type": ["number", "string"], "pattern": f"^({'|'.join(NON_FINITE)})$"}),
]
"""A float that JSON carries as a string where it is not finite; a pattern binds strings only, so numbers pass it."""
