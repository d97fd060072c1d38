"""`GpuScreening`: one plan on every GPU of a product. Docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from assay_api.audit import Artifacts, Storage
from assay_api.fields import ImagePath, Sha256, ShortText, Uri
from assay_api.model import Model, Rule
from assay_api.sweep import Schedule
from assay_api.target import Target

MOST_NODES: Final = 1000
"""Nodes of one screening."""
GPU_RESOURCE: Final = r"^nvidia\.com/[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"


class ScreenPlan(Model):
    """What is run on every GPU."""

    uri: Uri
    """A TensorRT plan that was built for the product, best the one that you serve. An ONNX file (.onnx) is run on the
    CPU of each node by as many stand-ins as it has GPUs: that tries everything out and says nothing of any GPU."""
    sha256: Sha256 | None = None
    """SHA-256 that it must have."""
    plugins: tuple[ImagePath, ...] = Field(
        default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Plugin libraries that the plan needs and does not carry, absolute paths in the runner's image."""


class ScreenRecord(Model):
    """Right answers, as a screening stored them."""

    uri: Uri
    """The answers.json of an earlier screening, or what `assay screen --record` wrote; of the same plan and inputs."""


class ScreenSpec(Model):
    """Which plan, on the GPUs of which nodes, how thoroughly and when."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.target.gpuProducts) && self.target.gpuProducts.size() == 1",
            lambda s: len(s.target.gpu_products) == 1,
            "a plan is of one GPU product: name it, and no other, in target.gpuProducts",
        ),
        Rule(
            "!has(self.target.affinity) && !has(self.target.topologySpreadConstraints)",
            lambda s: not (s.target.has("affinity") or s.target.has("topology_spread_constraints")),
            "a screening puts one Pod on each node: choose nodes by target.nodeSelector, and remove target.affinity "
            "and target.topologySpreadConstraints",
        ),
        Rule(
            "!has(self.target.resources) || self.target.resources.all(k, !k.startsWith('nvidia.com/') && "
            "!k.endsWith('/gpu'))",
            lambda s: not any(k.startswith("nvidia.com/") or k.endswith("/gpu") for k in s.target.resources),
            "a screening takes all GPUs of a node: remove them from target.resources",
        ),
    )
    plan: ScreenPlan
    """What is run on every GPU."""
    record: ScreenRecord | None = None
    """Right answers. Default: what most of at least three GPUs of a class answer."""
    inputs: int = Field(default=8, ge=1, le=256)
    """Inputs in rotation, made up by a rule that gives the same bits everywhere. Default 8."""
    batch: int = Field(default=1, ge=1, le=65536)
    """Length of free axes of an ONNX file's inputs; of a plan, its first profile's best shapes are taken. Default 1."""
    runs: int = Field(default=30_000, ge=1, le=100_000_000)
    """Compared runs of each GPU once it is warm. The default 30000 excludes faults in one of 10,000 runs."""
    heat_seconds: int = Field(default=20, ge=0, le=3600)
    """For how long a GPU is heated before that. Default 20."""
    scan_seconds: int = Field(default=110, ge=1, le=86_400)
    """Longest time of one scan of a GPU. Default 110."""
    silence_seconds: int = Field(default=60, ge=1, le=3600)
    """A GPU that gives no answer for so long hangs, which is a finding. Default 60."""
    gpu_resource: str = Field(default="nvidia.com/gpu", pattern=GPU_RESOURCE, max_length=76)
    """What nodes offer the GPUs as; of MIG devices, for example nvidia.com/mig-1g.10gb. Default nvidia.com/gpu."""
    max_parallel: int = Field(default=64, ge=1, le=MOST_NODES)
    """Nodes that are screened, or waited for, at once at most. Default 64."""
    pending_deadline_seconds: int = Field(default=3_600, ge=1, le=31_536_000)
    """For how long a node may take until all of its GPUs are free at once; then it is skipped. Default 3600."""
    active_deadline_seconds: int = Field(default=3_600, ge=60, le=31_536_000)
    """Longest time of the Pod on a node, pulling the image included. One that is not done by then hangs, which is a
    finding. Default 3600."""
    target: Target
    """Which nodes (gpuProducts, with one; nodeSelector; tolerations), and what Pods look like."""
    storage: Storage = Storage()
    """How s3:// is reached."""
    artifacts: Artifacts
    """Where reports go."""
    on_breach: Literal["Fail", "Report"] = "Fail"
    """Fail (default): where a GPU is named, or nothing can be said of one, the screening is Stalled, so that a pipeline
    stops. Report: it is Ready, with its verdict."""
    schedule: Schedule | None = None
    """When it runs. Absent: at once, and again when the spec or the annotation assay.dev/rerun changes."""
    suspend: bool = False
    """True holds the screening: no further node is begun; those that are under way end. Default false."""
    managed_by: ShortText | None = None
    """What carries the screening out: the operator leaves one that is another's alone. Default assay.dev/operator."""


class GpuScreening(Model):
    """A GpuScreening as a file holds it."""

    api_version: Literal["assay.dev/v1alpha1"]
    """assay.dev/v1alpha1"""
    kind: Literal["GpuScreening"]
    """GpuScreening"""
    metadata: dict[str, Any]
    """Kubernetes object metadata; name is required."""
    spec: ScreenSpec
    """Which plan, on the GPUs of which nodes, how thoroughly and when."""
