"""Every name that Kubernetes, the object store or a shell sees.

Names are an interface: dashboards select labels, pipelines wait for conditions, scripts read exit codes. They stand
in one file so that a change to one is seen for what it is.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

from assay_api.text_enum import StrEnum

GROUP: Final = "assay.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "AccuracyAudit"
PLURAL: Final = "accuracyaudits"
SINGULAR: Final = "accuracyaudit"
SHORT_NAMES: Final = ("audit", "audits")
CATEGORIES: Final = ("assay", "all")

FIELD_MANAGER: Final = "assay-operator"
REPORT_VERSION: Final = "assay.dev/report/v1"

SWEEP_KIND: Final = "AccuracySweep"
SWEEP_PLURAL: Final = "accuracysweeps"
SWEEP_SINGULAR: Final = "accuracysweep"
SWEEP_SHORT_NAMES: Final = ("sweep", "sweeps")

SCREENING_KIND: Final = "GpuScreening"
SCREENING_PLURAL: Final = "gpuscreenings"
SCREENING_SINGULAR: Final = "gpuscreening"
SCREENING_SHORT_NAMES: Final = ("screening", "screenings")

# Labels on every child Job and Pod. The operator watches nothing that lacks LABEL_MANAGED.
LABEL_MANAGED: Final = f"{GROUP}/managed"
LABEL_AUDIT: Final = f"{GROUP}/audit"
# On the audits of a sweep, and on the Jobs that look at its models; the run is the one that made them.
LABEL_SWEEP: Final = f"{GROUP}/sweep"
LABEL_SWEEP_RUN: Final = f"{GROUP}/sweep-run"
# On the Jobs of a screening.
LABEL_SCREENING: Final = f"{GROUP}/screening"
LABEL_RUN: Final = f"{GROUP}/run"
LABEL_TASK: Final = f"{GROUP}/task"
LABEL_KIND: Final = f"{GROUP}/kind"
LABEL_CANDIDATE: Final = f"{GROUP}/candidate"
# What sweep, audits, Jobs, Pods, events, log lines and reports of a run share. On an audit or a sweep it may be
# anybody's, a pipeline's own number for example; where there is none, the operator makes one.
LABEL_TRACE: Final = f"{GROUP}/trace"
MANAGED_BY: Final = "assay.dev/operator"
"""In spec.managedBy: the operator, as where nothing stands there."""
LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
LABEL_QUEUE_PRIORITY: Final = "kueue.x-k8s.io/priority-class"
LABEL_GPU_PRODUCT: Final = "nvidia.com/gpu.product"

# A new value of this annotation on an audit asks for a new run of an unchanged spec.
ANNOTATION_RERUN: Final = f"{GROUP}/rerun"
# On a sweep: a new value asks for all cells to be audited again, or for those that did not pass.
ANNOTATION_RERUN_FAILED: Final = f"{GROUP}/rerun-failed"
# On a sweep's audit: what the operator made it for, as JSON; an audit that was changed since answers for nothing.
ANNOTATION_CELLS: Final = f"{GROUP}/cells"

# On an audit or a sweep: why its answers are accepted as baselines, or JSON that says which of them too.
ANNOTATION_ACCEPT: Final = f"{GROUP}/accept-baseline"

# The environment of a task's container.
ENV_TASK: Final = "ASSAY_TASK"
# SHA-256 of each candidate's report by the candidate's key, as JSON; of a summary. No part of the task, whose name
# comes before anything is measured.
ENV_REPORTS: Final = "ASSAY_REPORTS"
ENV_TERMINATION_MESSAGE: Final = "ASSAY_TERMINATION_MESSAGE"
ENV_SCRATCH: Final = "ASSAY_SCRATCH"
ENV_RETRY_SECONDS: Final = "ASSAY_RETRY_SECONDS"
# Keys of the tasks that ran before a summary by the image that they ran, as JSON: a Pod does not know its own. No part
# of the task either.
ENV_IMAGES: Final = "ASSAY_IMAGES"
ENV_TRACE: Final = "ASSAY_TRACE"
ENV_LOG_FORMAT: Final = "ASSAY_LOG_FORMAT"
ENV_PROGRESS_PORT: Final = "ASSAY_PROGRESS_PORT"
PROGRESS_PORT: Final = 8090
PROGRESS_PATH: Final = "/progress"
TERMINATION_MESSAGE_BYTES: Final = 4096
STATUS_BYTES: Final = 16 * 1024

# Objects of one task, below the task's output URI.
REPORT_JSON: Final = "report.json"
REPORT_HTML: Final = "report.html"
REPORT_JUNIT: Final = "junit.xml"
REPORT_CTRF: Final = "ctrf.json"


def label_value(name: str) -> str:
    """A name as a label's value: itself, or cut and made unique where it is longer than 63 characters."""
    if len(name) <= 63:
        return name
    return f"{name[:50].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def trace_of(uid: str, run: str) -> str:
    """The trace of a run of an audit or a sweep that was given none: 32 hexadecimal digits, as tracing systems have."""
    return hashlib.sha256(f"{uid}/{run}".encode(errors="replace")).hexdigest()[:32]


class Condition(StrEnum):
    """Condition types of an audit: the first three as kstatus reads them, the last two for people and pipelines."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    COMPLETE = "Complete"
    PASSED = "Passed"


class Reason(StrEnum):
    """Machine-readable reasons of conditions and events."""

    PASSED = "Passed"
    BREACHED = "Breached"
    INCONCLUSIVE = "Inconclusive"
    INVALID_INPUT = "InvalidInput"
    ERROR = "Error"
    RUNNING = "Running"
    PENDING = "Pending"
    SUSPENDED = "Suspended"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONFIG_ERROR = "ConfigError"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RETRYING = "Retrying"
    NODE_LOST = "NodeLost"
    SUPERSEDED = "Superseded"
    SCHEDULED = "Scheduled"
    OVER_BUDGET = "OverBudget"


class Phase(StrEnum):
    """One word for `kubectl get`; derived from the conditions, never decided upon."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    STALLED = "Stalled"


class ExitCode(IntEnum):
    """Exit codes of `assay`; 64, 69, 70 and 75 are those of sysexits.h."""

    PASSED = 0
    BREACHED = 1
    INCONCLUSIVE = 2
    INVALID_INPUT = 64
    UNAVAILABLE = 69
    INTERNAL = 70
    TRY_LATER = 75
    """Of a task in a Pod: something outside is to be mended, by nobody who changes the spec. Costs no retry."""
