"""`Candidate`: one way to build the model, and how. Field docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from assay_api.fields import ArrayName, Flag, ImagePath, Name, Quantity, Sha256, ShortText, Uri
from assay_api.model import LIST_MAP_KEYS, Model, Rule

BACKENDS = ("tensorrt", "onnxruntime")
Backend = Literal["tensorrt", "onnxruntime"]
Precision = Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]
AXES: Final = 8
"""Most axes of an input; TensorRT has no more."""
Extent = Annotated[int, Field(ge=0, le=2_147_483_647)]


class ModelRef(Model):
    """An ONNX model."""

    uri: Uri
    """Where the ONNX file lies: s3://bucket/key, file:///path in the image, or file://./path beside the audit's file
    (local runs). External data files are looked for beside it."""
    sha256: Sha256 | None = None
    """SHA-256 of the ONNX file. A mismatch is an error, not a retry."""


class Calibration(Model):
    """How the ranges of 8-bit tensors are found."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.percentile) || (has(self.method) && self.method == 'percentile')",
            lambda s: not s.has("percentile") or s.method == "percentile",
            "percentile belongs to calibration method percentile: remove it or set method: percentile",
        ),
        Rule(
            "!has(self.quantization) || self.quantization != 'implicit' || !has(self.method) || "
            "self.method in ['entropy', 'minmax']",
            lambda s: s.quantization != "implicit" or s.method in ("entropy", "minmax"),
            "TensorRT's own calibrators are entropy and minmax: choose one of them, or quantization: explicit",
        ),
    )
    uri: Uri
    """Calibration inputs, laid out like a dataset."""
    method: Literal["entropy", "minmax", "percentile", "mse"] = "entropy"
    """How a tensor's range is chosen from the magnitudes calibration saw: minmax keeps all, percentile all but the
    largest few, entropy (Kullback-Leibler) and mse (mean squared error) what their measure says. Default entropy."""
    percentile: float = Field(default=99.99, ge=50, le=100)
    """For method percentile: how much of the magnitudes (other than 0) a range must hold, in per cent. Default
    99.99."""
    quantization: Literal["implicit", "explicit"] | None = None
    """implicit: TensorRT's own calibrator (int8 by entropy or minmax, weak typing, TensorRT 10.x). explicit: Q/DQ pairs
    in the graph. Default: implicit where typing is weak and TensorRT has it, else explicit."""
    samples: int | None = Field(default=None, ge=1, le=1_000_000)
    """Use only the first so many samples. Default: all."""
    per_channel: bool = True
    """One scale per output channel of a weight instead of one per weight. Default true. FP8 has one per weight always:
    TensorRT's FP8 products take no other."""


class EngineRef(Model):
    """A serialised TensorRT engine (plan) that exists already."""

    uri: Uri
    """Where the plan lies. A version-compatible plan carries code, which the runner runs: give one that you trust."""
    sha256: Sha256 | None = None
    """SHA-256 of the plan."""
    plugins: tuple[ImagePath, ...] = Field(
        default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Plugin libraries that the plan needs and does not carry, absolute paths in the runner's image."""


class ShapeProfile(Model):
    """The shapes of one input that an engine is built for."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.min.size() == self.opt.size() && self.opt.size() == self.max.size()",
            lambda s: len(s.min) == len(s.opt) == len(s.max),
            "min, opt and max must have as many numbers as the input has axes, all three the same",
        ),
        Rule(
            # CEL of older API servers has no loop with an index but over a list of indices.
            f"{list(range(AXES))}.all(i, i >= self.min.size() || i >= self.opt.size() || i >= self.max.size() || "
            "(self.min[i] <= self.opt[i] && self.opt[i] <= self.max[i]))",
            lambda s: all(low <= best <= high for low, best, high in zip(s.min, s.opt, s.max, strict=False)),
            "min, opt and max must be in order on every axis: min at most opt, opt at most max",
        ),
    )
    input: ArrayName
    """Name of the input."""
    min: tuple[Extent, ...] = Field(min_length=1, max_length=AXES)
    """Smallest shape."""
    opt: tuple[Extent, ...] = Field(min_length=1, max_length=AXES)
    """The shape it is tuned for."""
    max: tuple[Extent, ...] = Field(min_length=1, max_length=AXES)
    """Largest shape."""


class TimingCacheRef(Model):
    """A timing cache that exists: trtexec's --timingCacheFile, Polygraphy's --save-timing-cache."""

    uri: Uri
    """Where it lies."""
    sha256: Sha256 | None = None
    """SHA-256 of the file. A mismatch is an error, not a retry."""


class BuildOptions(Model):
    """How TensorRT's builder is set up; what is absent is TensorRT's default."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.timingCache) || !has(self.flags) || !('DISABLE_TIMING_CACHE' in self.flags)",
            lambda s: not s.has("timing_cache") or "DISABLE_TIMING_CACHE" not in s.flags,
            "flag DISABLE_TIMING_CACHE has every layer timed anew: remove it, or timingCache",
        ),
        Rule(
            "!has(self.timingCache) || !has(self.optimizationLevel) || self.optimizationLevel != 0",
            lambda s: not s.has("timing_cache") or s.optimization_level != 0,
            "optimizationLevel 0 takes the first kernel that works and reads no timings: remove it, or timingCache",
        ),
    )
    optimization_level: int | None = Field(default=None, ge=0, le=5)
    """Builder optimisation level, 0 (fastest build) to 5. TensorRT's default is 3."""
    workspace: Quantity | None = None
    """Most device memory a tactic may use, for example 4Gi. Default: all there is."""
    hardware_compatibility: Literal["none", "amperePlus", "sameComputeCapability"] = "none"
    """Other GPUs the plan is to run on. Default none."""
    version_compatible: bool = False
    """Whether the plan is to run on later versions of TensorRT. It carries the lean runtime then, libnvinfer_lean of
    the image, unless flags say EXCLUDE_LEAN_RUNTIME. Default false."""
    refit: bool = False
    """Whether weights can be changed in the finished engine. Default false."""
    flags: tuple[Flag, ...] = Field(default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    """Further flags of TensorRT's BuilderFlag by name, for example STRICT_NANS; one that the installed version does not
    have is an error."""
    timing_cache: TimingCacheRef | None = None
    """A timing cache to build with in place of the shared one, which is neither read nor grown. TensorRT must take it:
    one that is damaged, or of another TensorRT or GPU, is an error. What it lacks is timed. A repair times its own
    designs itself."""
    plugins: tuple[ImagePath, ...] = Field(
        default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Plugin libraries, absolute paths in the runner's image."""
    profile: tuple[ShapeProfile, ...] = Field(
        default=(), max_length=32, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["input"]}
    )
    """Optimisation profile for inputs of free shape. It must take the dataset's batches; a check that feeds single
    samples does without them where it takes none. Default: the shapes of the dataset, tuned for its batch."""


class LayerPrecision(Model):
    """Nodes that are held to a precision."""

    nodes: ShortText
    """Nodes by name or operator, with * and ? as in a shell: *LayerNorm*, Softmax, /encoder/layers.3/*."""
    precision: Literal["fp32", "fp16", "bf16"]
    """What they compute in and give out."""


class Candidate(Model):
    """One way to build the model; each is built and audited."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(self.name in ['golden', 'repair', 'summary'])",
            lambda s: s.name not in ("golden", "repair", "summary"),
            "golden, repair and summary are tasks of an audit: give the candidate another name",
        ),
        Rule(
            "has(self.precision) != has(self.engine)",
            lambda s: s.has("precision") != s.has("engine"),
            "a candidate takes exactly one of precision (built here) and engine (an existing plan)",
        ),
        Rule(
            "!has(self.calibration) || (has(self.precision) && self.precision in ['int8', 'fp8'])",
            lambda s: not s.has("calibration") or s.precision in ("int8", "fp8"),
            "calibration belongs to precision int8 or fp8: remove it or set one of them",
        ),
        Rule(
            "!has(self.precision) || !(self.precision in ['int8', 'fp8']) || has(self.calibration) || has(self.model)",
            lambda s: s.precision not in ("int8", "fp8") or s.has("calibration") or s.has("model"),
            "an int8 or fp8 candidate needs calibration (post-training quantisation) or its own model with Q/DQ inside "
            "(QAT)",
        ),
        Rule(
            "!has(self.typing) || self.backend == 'tensorrt'",
            lambda s: not s.has("typing") or s.backend == "tensorrt",
            "typing is a choice of the tensorrt backend: remove it or set backend: tensorrt",
        ),
        Rule(
            "!has(self.engine) || self.backend == 'tensorrt'",
            lambda s: not s.has("engine") or s.backend == "tensorrt",
            "engine is a TensorRT plan: set backend: tensorrt",
        ),
        Rule(
            "!has(self.engine) || !(has(self.build) || has(self.layers) || has(self.model) || has(self.typing))",
            lambda s: not s.has("engine") or not any(map(s.has, ("build", "layers", "model", "typing"))),
            "an existing plan is audited as it is: remove build, layers, model and typing, or give a precision instead",
        ),
        Rule(
            "!(has(self.build) || has(self.layers)) || self.backend == 'tensorrt'",
            lambda s: not (s.has("build") or s.has("layers")) or s.backend == "tensorrt",
            "build and layers are choices of the tensorrt backend: remove them or set backend: tensorrt",
        ),
        Rule(
            "!has(self.calibration) || !has(self.calibration.quantization) || "
            "self.calibration.quantization != 'implicit' || (has(self.precision) && self.precision == 'int8' && "
            "self.backend == 'tensorrt' && (!has(self.typing) || self.typing == 'weak'))",
            lambda s: (
                s.calibration is None
                or s.calibration.quantization != "implicit"
                or (s.precision == "int8" and s.backend == "tensorrt" and s.typing in (None, "weak"))
            ),
            "implicit quantization is TensorRT's for int8 and weak typing: use quantization: explicit",
        ),
    )
    name: Name
    """Your name for the candidate; unique in the audit."""
    backend: Backend
    """What builds and runs it. onnxruntime emulates a precision on CPU: it shows what rounding does, not what an engine
    does."""
    precision: Precision | None = None
    """Numeric precision asked for."""
    typing: Literal["weak", "strong"] | None = None
    """TensorRT's typing: weak lets the builder choose types per layer, strong holds it to the types in the graph."""
    model: ModelRef | None = None
    """A model of its own in place of the audit's, for example one trained with quantisation (QAT)."""
    calibration: Calibration | None = None
    """Calibration for int8 or fp8: Q/DQ pairs are put into the model, with the ranges it finds."""
    layers: tuple[LayerPrecision, ...] = Field(default=(), max_length=64)
    """Nodes held to a precision other than the candidate's; of several that match a node the last decides. A held node
    reads and gives out in its precision, and what a candidate rounds to 8 bits is not rounded before it. An emulation
    does the same; there a node that holds control flow stays as the candidate's others are."""
    build: BuildOptions | None = None
    """How TensorRT's builder is set up."""
    engine: EngineRef | None = None
    """An existing TensorRT plan, audited as it is: held against the golden run, and looked into as far as it allows."""
