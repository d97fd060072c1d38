"""What a task tells the operator: at most 4,096 bytes in the container's termination message, and its progress."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from assay_api.baseline import BaselineTold
from assay_api.finding import Verdict, WorstFigure
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.repair import Deployable
from assay_api.resolved import Resolved
from assay_api.screen_orders import FleetTold, NodeTold, smaller
from assay_api.told import Told


class StoredReport(Told):
    """A report in the artifact store."""

    uri: str
    """URI of report.json."""
    sha256: str
    """SHA-256 of report.json."""
    page: str | None = None
    """URI of report.html."""


class TaskError(Told):
    """Why a task has no result."""

    reason: Literal["InvalidInput", "Unavailable", "Internal"]
    """InvalidInput is never retried; the others are."""
    message: str
    """One sentence that names the thing and the way out."""
    again: Literal["Outage", "Setup"] | None = None
    """Where only something outside has to be mended, so that the task is tried again until it is. Outage: storage does
    not answer. Setup: it refuses the credentials, or what the spec names is not there (yet)."""


class CureTold(Told):
    """What a repair came to for one candidate, by the remedy that came to most."""

    candidate: str
    """Key of the candidate that failed."""
    remedy: str
    """The remedy, as in `spec.remedies`."""
    outcome: str
    """What came of it, as in the report."""
    repaired: str | None = None
    """Key of the repaired candidate, where one was audited."""


class DeployTold(Told):
    """What to deploy: names of files in one folder, or URIs of what lies elsewhere."""

    folder: str
    """URI of the folder."""
    files: dict[str, str]
    """Name or URI by what it is, as `Deployable` names it."""

    @classmethod
    def of(cls, deploy: Deployable) -> Self | None:
        """In few bytes; None where there is nothing."""
        uris = deploy.model_dump(by_alias=True, exclude_none=True)
        if not uris:
            return None
        folder = next(iter(uris.values())).rpartition("/")[0]
        return cls(folder=folder, files={what: uri.removeprefix(f"{folder}/") for what, uri in uris.items()})

    def whole(self) -> Deployable:
        """With URIs."""
        known = {field.alias or name for name, field in Deployable.model_fields.items()}
        uris = {what: name if "://" in name else f"{self.folder}/{name}" for what, name in self.files.items()}
        return Deployable.model_validate({what: uri for what, uri in uris.items() if what in known})


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
    deploy: DeployTold | None = None
    """What to deploy of it, where it was repaired; from the summary."""
    cures: tuple[CureTold, ...] = ()
    """What came of each candidate that failed; from a repair."""
    resolved: Resolved | None = None
    """Models of a sweep; from the task that looks at them."""
    screened: NodeTold | None = None
    """What came of a node's GPUs; from the task that screens it."""
    fleet: FleetTold | None = None
    """What came of all nodes; from the task that holds their reports together."""
    baselines: tuple[BaselineTold, ...] = ()
    """What answers are beside their baselines; from a candidate and from an acceptance."""
    compared: BaselineTold | None = None
    """What the answer is beside the one that spec.compareWith names; from a candidate."""
    answers: str | None = None
    """Results of the tasks that it did ahead, packed, see `together`."""
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
    waiting: bool = False
    """True while the storage does not answer and is tried again."""


def to_termination_message(result: TaskResult) -> str:
    """The result as JSON of at most 4,096 bytes: sentences are shortened, never the verdict, URI or digest."""
    for limit in (1024, 512, 256, 128, 64):
        text = shortened(result, limit).model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
        if len(text.encode()) <= TERMINATION_MESSAGE_BYTES:
            return text
    bare: dict[str, object] = {"worst": None, "accuracy": {}, "message": "", "recommended_because": "", "cures": ()}
    return shortened(result.model_copy(update=bare), 64).model_dump_json(
        by_alias=True, exclude_none=True, exclude_defaults=True
    )


def shortened(result: TaskResult, limit: int) -> TaskResult:
    """The result with sentences of at most `limit` characters; figures, verdict and digests as they are."""
    update: dict[str, object] = {
        "message": shorten(result.message, limit),
        "recommended_because": shorten(result.recommended_because, limit),
        "cures": result.cures[: max(limit // 32, 1)],
        "baselines": tuple(_shorter_baseline(told, min(limit, 256)) for told in result.baselines),
        "compared": _shorter_baseline(result.compared, min(limit, 256)) if result.compared else None,
        "fleet": smaller(result.fleet, max(limit // 64, 1), min(limit, 160)) if result.fleet else None,
    }
    if result.worst:
        fields = {key: shorten(value, limit) for key, value in result.worst if isinstance(value, str)}
        update["worst"] = result.worst.model_copy(update=fields)
    if result.error:
        update["error"] = result.error.model_copy(update={"message": shorten(result.error.message, limit)})
    return result.model_copy(update=update)


def _shorter_baseline(told: BaselineTold, limit: int) -> BaselineTold:
    causes = tuple(shorten(cause, limit) for cause in told.causes[: max(limit // 64, 1)])
    accepted = shorten(told.accepted, limit) if told.accepted else None
    return told.model_copy(update={"why": shorten(told.why, limit), "causes": causes, "accepted": accepted})


def shorten(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
