"""What was measured by changing circumstances only (other runs, other batches, one more output), and the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from assay_runner.output_evidence import OutputDrifts, Site

Condition = Literal["sameSession", "newSession", "newProcess", "otherStream", "underLoad"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)


@dataclass(frozen=True)
class Difference:
    """The same input gave other bits.

    Attributes:
        site: first output that differs, in graph order.
        condition: what was different about the run.
        batch: index of the batch.
        run: run that differed, from 1.
        max_abs: largest absolute difference.
    """

    site: Site
    condition: Condition
    batch: int
    run: int
    max_abs: float


@dataclass(frozen=True)
class Repeats:
    """What running again showed.

    Attributes:
        batches: batches run again.
        runs: runs of each in one session, and under load.
        differences: the first one per batch and condition, by condition.
        random: nodes that draw random numbers.
        custom: nodes whose operator is none of ONNX's own (plugins).
        tried: conditions that were run.
        untried: conditions asked for that could not be run, and why.
    """

    batches: int
    runs: int
    differences: tuple[Difference, ...]
    random: tuple[Site, ...] = ()
    custom: tuple[Site, ...] = ()
    tried: tuple[Condition, ...] = ("sameSession", "newSession")
    untried: Mapping[Condition, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Outputs of two runs that must agree; the first is taken for golden.

    Attributes:
        outputs: figures per output, one per row compared.
        places: what each row is, in words, for example "sample 3".
        other_bits: rows whose bits differ, by output.
        unmeasured: outputs that could not be compared, and why.
    """

    outputs: tuple[OutputDrifts, ...]
    places: tuple[str, ...]
    other_bits: Mapping[str, tuple[int, ...]]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Invariance:
    """Whether a sample's outputs depend on what else is in its batch.

    Attributes:
        rows: rows of batches made of copies of one sample, against the first row; None where a batch has one row.
        alone: rows of the dataset's batches against the same samples run alone; None where that cannot be run.
        notes: why one of them is None.
    """

    rows: Comparison | None
    alone: Comparison | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExtraOutput:
    """Outputs with one tensor more among them, against those without.

    Attributes:
        site: the tensor; None where there was none to add.
        same: the comparison; None where it could not be run.
        reason: why not.
    """

    site: Site | None
    same: Comparison | None
    reason: str = ""


@dataclass(frozen=True)
class Timing:
    """Time of one batch.

    Attributes:
        milliseconds: one per run, warm-up left out.
        rows: samples per batch.
        device: whether it is device time, copies excluded; else it is wall clock around a run.
        emulated: whether an emulation was timed.
        engine: bytes of what was run.
        memory: bytes of device memory that it needs; None where that is not known.
    """

    milliseconds: tuple[float, ...]
    rows: int
    device: bool
    emulated: bool
    engine: int
    memory: int | None = None


@dataclass(frozen=True)
class Behaviour:
    """What was measured so, by the parameters asked for.

    Attributes:
        repeats: by (runs, batches, conditions).
        invariance: by batches.
        extra: by (tensor, or empty for the default; batches).
        timings: by (runs, warm-up runs).
    """

    repeats: Mapping[tuple[int, int, tuple[Condition, ...]], Repeats] = field(default_factory=dict)
    invariance: Mapping[int, Invariance] = field(default_factory=dict)
    extra: Mapping[tuple[str, int], ExtraOutput] = field(default_factory=dict)
    timings: Mapping[tuple[int, int], Timing] = field(default_factory=dict)
