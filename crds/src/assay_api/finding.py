"""What a check found: once in full for the report, once in few words for the status and the termination message.

All three say the same of one place in the model, so they stand on one base. What is short is read off the finding by
the names of its fields: no list of them stands anywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, SerializeAsAny, ValidationInfo, field_validator
from typing_extensions import Self

from assay_api.details import DETAILS, Details
from assay_api.model import Model
from assay_api.numbers import Number
from assay_api.text_enum import StrEnum
from assay_api.told import Told


class Verdict(StrEnum):
    """`Inconclusive` is what could not be measured; it is never `Passed`."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


_SEVERITY = {Verdict.PASSED: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAILED: 2}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts, Failed > Inconclusive > Passed; nothing judged is Inconclusive."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.INCONCLUSIVE)


class OfCandidate(Model):
    """What is said of one candidate, where others may stand beside it."""

    candidate: str
    """Key of the candidate, `name` or `name@gpu-product`."""


class Judged(Model):
    """What was judged: by which check, and where."""

    check: str
    """Name of the check, as in the spec."""
    message: str
    """One sentence: what was measured, where, against which limit, and what to do."""
    tensor: str | None = None
    """Tensor it is about."""
    node: str | None = None
    """Node of the ONNX graph that makes the tensor."""
    metric: str | None = None
    """What `value` is, for example maxAbs."""


Figure = Annotated[str, BeforeValidator(lambda value: f"{value:.6g}" if isinstance(value, int | float) else value)]
"""A number as text, six digits of it: Kubernetes advises against floats in a status."""


class Worst(Judged, Told):
    """The worst finding of a candidate, in few words; one that is newer may tell more, which is left unread."""

    value: Figure | None = None
    """The measured value, formatted."""
    limit: Figure | None = None
    """The limit it was judged by, formatted."""

    @classmethod
    def of(cls, judged: Judged) -> Self:
        """What this type has room for of a finding, or of what was said of one."""
        return cls.model_validate(dict(judged))


class WorstFigure(Worst, OfCandidate):
    """The worst finding of a task, whose candidates may be many; read as leniently as `Worst`."""

    model_config = ConfigDict(extra="ignore")


class Finding(Judged, OfCandidate):
    """What one check found on one candidate."""

    verdict: Verdict
    """The verdict."""
    value: Number | None = None
    """The measured value."""
    limit: Number | None = None
    """The limit it was judged by."""
    details: SerializeAsAny[Details] = Details()
    """Everything else the check measured, for the page and for scripts; what is in it depends on `check`."""

    @field_validator("details", mode="before")
    @classmethod
    def _of_its_check(cls, value: Any, info: ValidationInfo) -> Any:
        check = info.data.get("check", "")
        kind = DETAILS.get(check, Details)
        if isinstance(value, Mapping):
            measured = any(part is not None for part in value.values())
            return kind.model_validate_json(json.dumps(value)) if measured else Details()
        if isinstance(value, Details) and type(value) not in (kind, Details):
            raise ValueError(f"details of check {check!r} are {kind.__name__}, not {type(value).__name__}")
        return value
