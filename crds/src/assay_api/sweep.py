"""`AccuracySweep`: many models, on many targets, audited alike. Docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from assay_api.audit import AuditTemplate
from assay_api.fields import Cron, ModelName, Sha256, ShortText, Uri, Zone
from assay_api.model import LIST_MAP_KEYS, LIST_TYPE, Model, Rule

MODEL_PLACE: Final = "{model}"
"""What stands for the model's name in the URIs of a template."""


class SweepModel(Model):
    """One model."""

    name: ModelName
    """Your name for the model; unique in the sweep. It takes the place of {model} in the template's URIs."""
    uri: Uri
    """The ONNX file; external data lie beside it."""
    sha256: Sha256 | None = None
    """SHA-256 that the file must have."""


class ModelPrefix(Model):
    """Every model below a prefix."""

    uri: Uri
    """The prefix, for example s3://models/production/."""
    match: ShortText = "*.onnx"
    """Which objects below it are models: a pattern over their path below the prefix, with * and ? as in a shell; *
    takes slashes too. A model's name is that path without .onnx at its end. Default *.onnx."""


class Schedule(Model):
    """When a sweep runs."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week, as in `man 5 crontab`. Where clocks are put forward
    a run that falls into the gap begins right after it; where they are put back it begins once."""
    time_zone: Zone = "Etc/UTC"
    """Time zone of the schedule by its IANA name. Default Etc/UTC."""
    missed_runs: Literal["RunLatest", "Skip"] = "RunLatest"
    """What becomes of runs whose time passed while the run before went on, the sweep was suspended or no operator was
    there. RunLatest (default): the latest of them begins as soon as it can, the others are dropped. Skip: all are
    dropped."""
    starting_deadline_seconds: int | None = Field(default=None, ge=10, le=31_536_000)
    """A run that could not begin within so many seconds of its time counts as dropped. Default: none, but 600 where
    missedRuns is Skip."""


class GpuBudget(Model):
    """What a run may cost."""

    gpu_hours: float = Field(gt=0, le=1_000_000)
    """GPU hours of one run: GPUs times the time that they were held."""
    when_over: Literal["Refuse", "Halt"] = "Refuse"
    """What becomes of a run whose cells would take more, reckoned by the medians of what was measured. Refuse
    (default): none of it begins. Halt: it begins, and no new audit starts once the next one would exceed the budget.
    Where nothing was measured yet the run begins either way, and halts."""


class Upgrade(Model):
    """Two runner images, each with a TensorRT of its own: what becomes of every model where the second takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.fromImage != self.toImage",
            lambda s: s.from_image != s.to_image,
            "fromImage and toImage are one image: name two",
        ),
    )
    from_image: ShortText = Field(min_length=1)
    """The image that is served by now. Existing plans (engine) are audited with it alone."""
    to_image: ShortText = Field(min_length=1)
    """The image that is to take over. Its engines are held against golden, and against those of the first."""


class SweepSpec(Model):
    """Which models, on which targets, when, and for how much."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.models) != has(self.modelPrefix)",
            lambda s: s.has("models") != s.has("model_prefix"),
            "a sweep takes exactly one of models (a list) and modelPrefix (all below a prefix)",
        ),
        Rule(
            "!has(self.fleet) || !self.fleet || !has(self.template.target) || !has(self.template.target.gpuProducts)",
            lambda s: not s.fleet or not s.template.has("target") or not s.template.target.has("gpu_products"),
            "fleet takes every GPU product that there is: remove template.target.gpuProducts, or fleet",
        ),
        Rule(
            "!has(self.images) || !has(self.template.target) || !has(self.template.target.image)",
            lambda s: not s.has("images") or not s.template.has("target") or not s.template.target.has("image"),
            "images takes the place of template.target.image: remove one of them",
        ),
        Rule(
            "!has(self.upgrade) || (!has(self.images) && "
            "(!has(self.template.target) || !has(self.template.target.image)))",
            lambda s: (
                not s.has("upgrade")
                or not (s.has("images") or (s.template.has("target") and s.template.target.has("image")))
            ),
            "upgrade names both images: remove images and template.target.image, or upgrade",
        ),
        Rule(
            "!has(self.template.deleteSecondsAfterFinished)",
            lambda s: not s.template.has("delete_seconds_after_finished"),
            "a sweep's audits hold its answers, and historyLimit says how many stay: remove "
            "template.deleteSecondsAfterFinished",
        ),
    )
    template: AuditTemplate
    """The audit of each model: everything but the model. {model} in the URI of the dataset, of golden outputs, of a
    calibration, a candidate's model or an engine stands for the model's name."""
    models: tuple[SweepModel, ...] = Field(
        default=(), min_length=1, max_length=512, json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    """The models."""
    model_prefix: ModelPrefix | None = None
    """Every model below a prefix, as a Job finds them when a run begins."""
    fleet: bool = False
    """True: tensorrt candidates are audited on every GPU product that nodes or ResourceSlices show when a run
    begins. Default: on those of template.target.gpuProducts."""
    images: tuple[ShortText, ...] = Field(default=(), min_length=1, max_length=16, json_schema_extra={LIST_TYPE: "set"})
    """Runner images, each with a TensorRT of its own; every candidate is audited with each. Name them by digest: a tag
    that is moved is not noticed. Default: template.target.image, or the operator's."""
    upgrade: Upgrade | None = None
    """An upgrade gate, in place of images: every candidate is audited with either image, and status.gate says of every
    model and GPU product whether the second may take over."""
    schedule: Schedule | None = None
    """When it runs. Absent: at once, and again when the spec changes or an annotation asks for it."""
    budget: GpuBudget | None = None
    """What a run may cost. Absent: whatever it takes."""
    suspend: bool = False
    """True holds the sweep: no audit starts, running ones are suspended. Default false."""
    managed_by: ShortText | None = None
    """What carries the sweep out: the operator leaves one that is another's alone, its audits and status too, for as
    long as it is. template.managedBy goes to its audits. Default assay.dev/operator."""
    max_parallel: int = Field(default=4, ge=1, le=256)
    """At most so many audits of this sweep at once, those that no node could take aside. Default 4."""
    history_limit: int = Field(default=1, ge=0, le=10)
    """Earlier audits of a cell that are kept beside the one that holds its answer. Default 1."""

    @property
    def runner_images(self) -> tuple[str, ...]:
        """The images that it names; none: the template's, or the operator's."""
        return (self.upgrade.from_image, self.upgrade.to_image) if self.upgrade else self.images


class AccuracySweep(Model):
    """An AccuracySweep as a file holds it."""

    api_version: Literal["assay.dev/v1alpha1"]
    """assay.dev/v1alpha1"""
    kind: Literal["AccuracySweep"]
    """AccuracySweep"""
    metadata: dict[str, Any]
    """Kubernetes object metadata; name is required."""
    spec: SweepSpec
    """Which models, on which targets, when, and for how much."""
