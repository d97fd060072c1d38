"""`spec.target`: where tasks run, and what their Pods look like. Field docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from assay_api.fields import LabelText, LabelValue, ObjectName, Quantity, ShortText, Text
from assay_api.model import LIST_MAP_KEYS, Model, Rule

OURS = ("assay.dev/", "kueue.x-k8s.io/", "batch.kubernetes.io/")
"""What labels and annotations of a Pod begin with that are not the user's to set."""
LOOSENING = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")
"""What annotations begin with that take a Pod's confinement away."""
THEIRS = ("job-name", "controller-uid")
"""What the Job controller called its own labels before they had a prefix."""


class LocalRef(Model):
    """Another object in the audit's namespace."""

    name: ObjectName
    """Its name."""


class Toleration(Model):
    """A toleration, as in a Pod."""

    key: ShortText | None = None
    """Taint key; absent matches all keys."""
    operator: Literal["Exists", "Equal"] | None = None
    """How the value is compared. Default Equal."""
    value: ShortText | None = None
    """Taint value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; absent matches all."""
    toleration_seconds: int | None = Field(default=None, ge=0)
    """For NoExecute: how long the Pod stays."""


def _not_to_set(field: str, name: str, prefixes: tuple[str, ...]) -> Rule:
    cel = " && ".join([*(f"!k.startsWith('{prefix}')" for prefix in prefixes), *(f"k != '{key}'" for key in THEIRS)])
    words = f"{', '.join(THEIRS)} and keys that begin with {', '.join(prefixes)}"
    return Rule(
        f"!has(self.{name}) || self.{name}.all(k, {cel})",
        lambda s: not any(key.startswith(prefixes) or key in THEIRS for key in getattr(s, field)),
        f"{name} cannot hold {words}: Pods are known, or held, by them",
    )


class PodSettings(Model):
    """What a task's Pod looks like: of one audit, or of an installation for all audits that do not say."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        _not_to_set("pod_labels", "podLabels", OURS),
        _not_to_set("pod_annotations", "podAnnotations", (*OURS, *LOOSENING)),
        Rule(
            "!has(self.requests) || self.requests.all(k, !k.startsWith('nvidia.com/') && !k.endsWith('/gpu'))",
            lambda s: not any(key.startswith("nvidia.com/") or key.endswith("/gpu") for key in s.requests),
            "requests cannot hold GPUs, which are not to be had in part: name them in resources",
        ),
    )
    requests: dict[str, Quantity] = Field(default={}, max_length=16)
    """Resource requests of every task, where they are to be lower than its limits, for example cpu: 2. Default: what
    resources names, else cpu 250m and memory 512Mi."""
    node_selector: dict[str, ShortText] = Field(default={}, max_length=32)
    """Node labels that a task's node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32)
    """Taints that tasks tolerate."""
    affinity: dict[str, Any] = Field(default={}, max_length=3)
    """Affinity of the Pods, as in a Pod: nodeAffinity, podAffinity, podAntiAffinity."""
    topology_spread_constraints: tuple[dict[str, Any], ...] = Field(default=(), max_length=8)
    """How Pods are spread, as in a Pod. One without a labelSelector spreads all tasks of the namespace."""
    pod_labels: dict[str, LabelText] = Field(default={}, max_length=32)
    """More labels of the Pods. Those that the operator sets itself stay as they are."""
    pod_annotations: dict[str, Text] = Field(default={}, max_length=32)
    """Annotations of the Pods, for example of a log shipper, or sidecar.istio.io/inject: "false"."""
    priority_class_name: ShortText | None = None
    """PriorityClass of the Pods."""


class Target(PodSettings):
    """Where tasks run."""

    gpu_products: tuple[LabelValue, ...] = Field(
        default=(), max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """GPU products, as in the node label nvidia.com/gpu.product. Each tensorrt candidate is audited on each; absent: on
    whichever GPU the scheduler gives."""
    image: ShortText | None = None
    """Runner image. Default: the operator's."""
    resources: dict[str, Quantity] = Field(default={}, max_length=16)
    """Resource limits (and requests, where requests does not say otherwise) of every task. GPU resources go to tensorrt
    candidates only; those get nvidia.com/gpu: 1 where none is named."""
    image_pull_secrets: tuple[LocalRef, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["name"]}
    )
    """Secrets for pulling the image."""
    runtime_class_name: ShortText | None = None
    """RuntimeClass of GPU tasks, for example nvidia."""
    scratch: Quantity = "20Gi"
    """Size limit of the scratch volume for models, shards and engines. Default 20Gi."""


class Deadlines(Model):
    """Longest times of tasks by their kind, in seconds."""

    golden: int | None = Field(default=None, ge=1, le=31_536_000)
    """The golden outputs."""
    candidate: int | None = Field(default=None, ge=1, le=31_536_000)
    """Each candidate."""
    repair: int | None = Field(default=None, ge=1, le=31_536_000)
    """Each repair."""
    summary: int | None = Field(default=None, ge=1, le=31_536_000)
    """The summary."""
    resolve: int | None = Field(default=None, ge=1, le=31_536_000)
    """In a sweep's template, the looking at its models. An audit has no such task."""
    baseline: int | None = Field(default=None, ge=1, le=31_536_000)
    """Each accepting of answers as baselines."""
    screen: int | None = Field(default=None, ge=1, le=31_536_000)
    """The screening of a node. An audit has no such task."""
    compare: int | None = Field(default=None, ge=1, le=31_536_000)
    """The comparison of a screening's nodes. An audit has no such task."""
