"""How long does a batch take, and how much memory?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from assay_api.behaviour_details import LatencyDetails
from assay_api.report import Finding, Latency, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, TimingWanted
from assay_runner.evidence.reruns import Timing

MB = 1e6
EMULATED = (
    "an emulation's time and size say nothing about an engine, so no limit is judged: audit it on backend tensorrt"
)


class LatencyCheck(Check):
    """How long does one batch take, how large is the engine and how much device memory does it need?

    Times the dataset's first batch again and again, by the device's clock without copies where the backend has one,
    else by the wall clock. Without a limit it only reports; an emulation's time says nothing about an engine's, so a
    limit is left for the GPU there, or Inconclusive.
    """

    name: ClassVar[str] = "latency"

    median_ms: float | None = Field(default=None, gt=0)
    """Longest median time of a batch in milliseconds."""
    p99_ms: float | None = Field(default=None, gt=0)
    """Longest 99th percentile of the time of a batch in milliseconds."""
    throughput: float | None = Field(default=None, gt=0)
    """Fewest samples per second: samples of a batch divided by the median time."""
    engine_mb: float | None = Field(default=None, gt=0, alias="engineMB")
    """Largest size of the engine in MB (10^6 bytes)."""
    device_memory_mb: float | None = Field(default=None, gt=0, alias="deviceMemoryMB")
    """Most device memory that the engine needs to run, in MB (10^6 bytes)."""
    runs: int | None = Field(default=None, ge=1, le=100000)
    """Runs that are timed. Default 100; of an emulation, whose time says nothing of an engine's, 10."""
    warm_up: int | None = Field(default=None, ge=0, le=10000)
    """Runs before, which do not count. Default 10; before those of an emulation, 1."""

    @property
    def needs(self) -> tuple[TimingWanted]:
        """The time of a batch."""
        return (TimingWanted(self.runs, self.warm_up),)

    def limits(self) -> dict[str, float]:
        """Limits by metric."""
        given = {
            "medianMs": self.median_ms,
            "p99Ms": self.p99_ms,
            "throughput": self.throughput,
            "engineMB": self.engine_mb,
            "deviceMemoryMB": self.device_memory_mb,
        }
        return {name: limit for name, limit in given.items() if limit is not None}

    @property
    def engine_only(self) -> str:
        """Its limits; without any it only reports."""
        limits = ", ".join(self.limits())
        return f"what is limited ({limits})" if limits else ""

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first limit that is breached, or all figures."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        timing = evidence.of(*self.needs)
        if timing is None or not timing.milliseconds:
            return (self.inconclusive(evidence, "no run was timed"),)
        found, limits = figures(timing), self.limits()
        told = _told(found, timing)
        if timing.emulated:
            if limits:
                reason = f"{EMULATED}; {told}"
                return (self.inconclusive(evidence, reason, details=_details(found)),)
            message = f"{told}, of an emulation; no limit is set"
            return (self.finding(evidence, Verdict.PASSED, message, details=_details(found)),)
        return (self._judged(evidence, found, limits, told),)

    def _judged(self, evidence: Evidence, found: dict[str, float], limits: dict[str, float], told: str) -> Finding:
        details = _details(found)
        unknown = [name for name in limits if name not in found]
        breached = [name for name in limits if name in found and not _holds(name, found[name], limits[name])]
        if breached:
            name = breached[0]
            sign = "at least" if name == "throughput" else "at most"
            more = f"; further limits breached: {', '.join(breached[1:])}" if len(breached) > 1 else ""
            message = f"{name} is {found[name]:.4g}, must be {sign} {limits[name]:g}{more}; {told}"
        elif unknown:
            message = (
                f"{', '.join(unknown)} is not known of what ran here, so its limit is not judged: leave it out; {told}"
            )
            return self.inconclusive(evidence, message, metric=unknown[0], limit=limits[unknown[0]], details=details)
        elif not np.isfinite(found["medianMs"]):
            return self.inconclusive(evidence, f"the time of a run is no number; {told}", details=details)
        else:
            name = next(iter(limits), "medianMs")
            message = f"{told}; {'within all limits' if limits else 'no limit is set'}"
        verdict, limit = Verdict.FAILED if breached else Verdict.PASSED, limits.get(name)
        return self.finding(evidence, verdict, message, metric=name, value=found[name], limit=limit, details=details)


def latency_of(timing: Timing) -> Latency:
    """The timing as it stands in a report."""
    found = figures(timing)
    return Latency(
        median_ms=found["medianMs"],
        p99_ms=found["p99Ms"],
        batch=timing.rows,
        runs=len(timing.milliseconds),
        throughput=found["throughput"],
    )


def figures(timing: Timing) -> dict[str, float]:
    """Figures by metric; deviceMemoryMB only where it is known."""
    times = np.array(timing.milliseconds, np.float64)
    median = float(np.median(times))
    found = {
        "medianMs": median,
        "p99Ms": float(np.quantile(times, 0.99, method="higher")),
        "throughput": 1000 * timing.rows / median if median else float("inf"),
    }
    if not timing.emulated:  # an emulation's file says nothing about an engine's size
        found["engineMB"] = timing.engine / MB
    return found | ({} if timing.memory is None else {"deviceMemoryMB": timing.memory / MB})


def _details(found: Mapping[str, float]) -> LatencyDetails:
    return LatencyDetails(
        median_ms=found["medianMs"],
        p99_ms=found["p99Ms"],
        throughput=found["throughput"],
        engine_mb=found.get("engineMB"),
        device_memory_mb=found.get("deviceMemoryMB"),
    )


def _holds(name: str, value: float, limit: float) -> bool:
    return value >= limit if name == "throughput" else value <= limit


def _told(found: dict[str, float], timing: Timing) -> str:
    clock = "device time, copies excluded" if timing.device else "wall clock"
    rate = found["throughput"]
    told = (
        f"a batch of {timing.rows} takes {found['medianMs']:.4g} ms (median of {len(timing.milliseconds)} runs, "
        f"{clock}; p99 {found['p99Ms']:.4g} ms), {f'{rate:,.0f}' if rate >= 100 else f'{rate:.3g}'} samples/s"
    )
    if timing.emulated:
        return told
    memory = f", {found['deviceMemoryMB']:.4g} MB of device memory" if "deviceMemoryMB" in found else ""
    return f"{told}, {found['engineMB']:.4g} MB to load{memory}"
