"""What details of all checks are made of."""

from __future__ import annotations

from assay_api.model import Model


class Details(Model):
    """What every check may say beside its figures."""

    remark: bool | None = None
    """True where a finding that passed says what must not be overlooked."""


class SiteEntry(Model):
    """Where a tensor comes from."""

    tensor: str
    """Name of the tensor."""
    node: str | None = None
    """Node that makes it; absent for a graph input."""
    op: str | None = None
    """Operator of that node."""
