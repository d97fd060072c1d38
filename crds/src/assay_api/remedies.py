"""`spec.remedies`: what may be done about a candidate that fails, and what that may cost."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from assay_api.model import Model, Rule

REMEDIES: Final = ("calibration", "weightOnly", "precision", "tactics")
"""Every remedy by its key in `spec.remedies`, in the order in which they are tried."""


class Auto(Model):
    """Every remedy that applies to what failed, each as it is by default."""


class PrecisionRemedy(Model):
    """Finds the nodes that must run wider for the candidate to pass, and keeps all others narrow."""

    to: tuple[Literal["bf16", "fp16", "fp32"], ...] = Field(
        default=("bf16", "fp16", "fp32"),
        min_length=1,
        max_length=3,
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    """What a node may be kept in. The set is found with fp32; where it also passes in the narrower one that is wider
    than the candidate's own (bf16 of fp16 candidates, fp16 of int8 and fp8), that one is taken. Others are left out.
    Default: bf16, fp16, fp32."""
    rewrite: bool = True
    """Whether the model may first be written otherwise, so that nothing need run wider: a LayerNorm that is spelt out
    as one operator, a constant beyond the format as its largest number. Attention whose queries, keys and values alone
    are in a wider type is tried in any case. Default true."""
    most_nodes: int | None = Field(default=None, ge=1, le=100_000)
    """Most nodes that may be kept wide; a cure that needs more is none. Default: any number."""


class CalibrationRemedy(Model):
    """Finds the way to calibrate that keeps most accuracy: method, number of samples, scales of weights."""

    methods: tuple[Literal["entropy", "minmax", "percentile", "mse"], ...] = Field(
        default=("entropy", "minmax", "percentile", "mse"),
        min_length=1,
        max_length=4,
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    """Methods that are tried; percentile with 99.9, 99.99, 99.999 and 99.9999. Default: all."""
    samples: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Numbers of samples, the first ones of the calibration set, that are tried beside all of it and what the candidate
    asks for. Default: a quarter."""


class WeightOnlyRemedy(Model):
    """Rounds weights to 8 bits and leaves activations as they are: slower than INT8, and nothing to calibrate."""


class TacticsRemedy(Model):
    """Builds again, and looks whether good and bad engines differ in the tactics that the builder chose."""

    rebuilds: int = Field(default=4, ge=2, le=100)
    """Builds to begin with, and builds that each proof takes. Where some fail and some pass, up to four times as many,
    until it is decided which tactic goes with those that fail. Default 4."""


class Budget(Model):
    """What a repair may cost; the best so far is kept where it is spent."""

    builds: int = Field(default=40, ge=1, le=10_000)
    """Most engines that are built. Default 40."""
    proposals: int = Field(default=2_000, ge=1, le=1_000_000)
    """Most emulations that are run to find what an engine is to be built of. Default 2000."""
    minutes: int = Field(default=120, ge=1, le=525_600)
    """Most minutes. Default 120. A GPU is held all the while, so a sixtieth of it, times its GPUs, is GPU-hours."""


class Remedies(Model):
    """What may be done about a candidate that fails. Absent: nothing. `auto: {}`: all that applies."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.auto) || " + " || ".join(f"has(self.{name})" for name in REMEDIES),
            lambda s: s.has("auto") or any(map(s.has, ("calibration", "precision", "weight_only", "tactics"))),
            "remedies names none: write auto: {} for all that apply, or name some: " + ", ".join(REMEDIES),
        ),
    )
    auto: Auto | None = None
    """All remedies that apply, each as by default, beside those that are named."""
    precision: PrecisionRemedy | None = None
    """Nodes that must run wider."""
    calibration: CalibrationRemedy | None = None
    """Another calibration, of candidates that are calibrated here."""
    weight_only: WeightOnlyRemedy | None = None
    """INT8 weights alone, of int8 candidates."""
    tactics: TacticsRemedy | None = None
    """Tactics that go with bad builds, on backend tensorrt."""
    budget: Budget = Budget()
    """What it may cost."""
    search_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the dataset that remedies are searched with. The verdict is of the rest, which no search has seen.
    Default 0.5."""

    def asked(self, name: str) -> bool:
        """Whether a remedy is to be tried."""
        attribute = "weight_only" if name == "weightOnly" else name
        return self.auto is not None or getattr(self, attribute) is not None
