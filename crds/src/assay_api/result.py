"""What a task tells the operator: at most 4,096 bytes in the container's termination message, and its progress."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import ConfigDict, field_validator

from assay_api.model import Model
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.report import Verdict

# Everything but what a terminal shows or breaks a line at: controls, halves of surrogate pairs, noncharacters.
ILLEGIBLE: Final = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def legible(value: Any) -> Any:
    """The value with a replacement character for each that cannot be shown, in a text or in a mapping of texts."""
    if isinstance(value, str):
        return ILLEGIBLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {legible(key): legible(text) for key, text in value.items()}
    return value


class Told(Model):
    """What a runner tells; one that is newer than the operator may tell more, which is left unread.

    Names of files and tensors are in it, which may hold anything; it ends up in statuses, events and terminals.
    """

    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="after")
    @classmethod
    def _legible(cls, value: Any) -> Any:
        return value if isinstance(value, Verdict) else legible(value)


class StoredReport(Told):
    """A report in the artifact store."""

    uri: str
    """URI of report.json."""
    sha256: str
    """SHA-256 of report.json."""
    page: str | None = None
    """URI of report.html."""


class WorstFigure(Told):
    """The worst finding in few words."""

    candidate: str
    """Key of the candidate."""
    check: str
    """The check."""
    message: str
    """The finding's sentence."""
    tensor: str | None = None
    """Tensor it is about."""
    node: str | None = None
    """Node that makes the tensor."""
    metric: str | None = None
    """What the value is."""
    value: str | None = None
    """The measured value, formatted."""
    limit: str | None = None
    """The limit, formatted."""


class TaskError(Told):
    """Why a task has no result."""

    reason: Literal["InvalidInput", "Unavailable", "Internal"]
    """InvalidInput is never retried; the others are."""
    message: str
    """One sentence that names the thing and the way out."""


class TaskResult(Told):
    """The result of one task."""

    version: Literal[1] = 1
    """Version of this format."""
    task: str
    """Digest of the task."""
    verdict: Verdict | None = None
    """The verdict; absent for golden and where there is an error."""
    samples: int = 0
    """Samples judged."""
    report: StoredReport | None = None
    """Where the report lies."""
    worst: WorstFigure | None = None
    """The worst finding."""
    findings: dict[str, int] = {}
    """Number of findings by verdict."""
    latency_ms: str | None = None
    """Median latency of a batch in milliseconds, formatted."""
    typing: str | None = None
    """TensorRT's typing."""
    achieved: str | None = None
    """Layers of the engine by the precision they ran in, formatted."""
    emulated: bool = False
    """True where ONNX Runtime stood in for the engine."""
    accuracy: dict[str, str] = {}
    """Label metrics, formatted."""
    recommendation: str | None = None
    """Candidate to ship; from the summary."""
    recommended_because: str = ""
    """Why that one, or why none, in one sentence; from the summary."""
    message: str = ""
    """One sentence."""
    error: TaskError | None = None
    """Why there is no result."""


class Progress(Told):
    """What a task is doing now, served at /progress."""

    task: str
    """Digest of the task."""
    stage: str
    """Stage, for example infer."""
    done: int = 0
    """Units done."""
    total: int | None = None
    """Units in all, where known."""
    unit: str = ""
    """What is counted, for example samples."""
    message: str = ""
    """What is happening, in a few words."""


def to_termination_message(result: TaskResult) -> str:
    """The result as JSON of at most 4,096 bytes: sentences are shortened, never the verdict, URI or digest."""
    for limit in (1024, 512, 256, 128, 64):
        text = _shortened(result, limit).model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
        if len(text.encode()) <= TERMINATION_MESSAGE_BYTES:
            return text
    bare = result.model_copy(update={"worst": None, "accuracy": {}, "message": "", "recommended_because": ""})
    return _shortened(bare, 64).model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)


def _shortened(result: TaskResult, limit: int) -> TaskResult:
    update: dict[str, object] = {
        "message": shorten(result.message, limit),
        "recommended_because": shorten(result.recommended_because, limit),
    }
    if result.worst:
        fields = {key: shorten(value, limit) for key, value in result.worst if isinstance(value, str)}
        update["worst"] = result.worst.model_copy(update=fields)
    if result.error:
        update["error"] = result.error.model_copy(update={"message": shorten(result.error.message, limit)})
    return result.model_copy(update=update)


def shorten(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
