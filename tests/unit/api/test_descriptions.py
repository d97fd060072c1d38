"""Descriptions are read from the source, so that importing the types costs nothing; none may be lost by that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from assay_api.audit import AccuracyAudit
from assay_api.descriptions import descriptions
from assay_api.model import Model
from assay_api.report import Report
from assay_api.schema import structural
from assay_api.status import AuditStatus


class Base(Model):
    """A base."""

    first: int = 0
    """The first,
    on two lines."""

    bare: int = 0
    kept: int = 0
    """From the base."""


class Derived(Base):
    """A derived type."""

    kept: int = 1
    """From the derived type."""

    second: int = 0
    """The second."""

    def method(self) -> int:
        """No field."""
        inner: int = 1
        """No field either."""
        return inner


def test_a_field_means_what_stands_below_it() -> None:
    assert descriptions(Derived) == {
        "first": "The first,\non two lines.",
        "kept": "From the derived type.",
        "second": "The second.",
    }


@pytest.mark.parametrize("model", [AccuracyAudit, AuditStatus, Report])
def test_no_field_of_the_contract_is_without_a_description(model: type[Model]) -> None:
    assert not list(_undescribed(structural(model), model.__name__))


def _undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{path}.{name}"
        yield from _undescribed(field.get("items", field), f"{path}.{name}")
