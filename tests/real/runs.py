"""One model in one precision: audited as a user would, in a process of its own, and held against the second opinion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.bench.programs import Usage, python
from tests.real import opinion
from tests.real.measured import measured
from tests.real.models import MODELS
from tests.real.opinion import Opinion
from tests.real.staging import audit, write_audit

__all__ = ["Ran", "audited", "decibels", "disagreements", "second_opinion"]

VERDICTS: Final = (0, 1, 2)
REFUSED: Final = 64
CLOSE: Final = 0.3
"""dB by which two ways to compute one candidate may differ: sums in another order round otherwise."""
LIMIT: Final = 17.0
"""outputDrift's own limit in dB."""
NOISELESS: Final = 90.0
"""dB from which on an error is that of FP32 itself."""


@dataclass(frozen=True)
class Ran:
    """How an audit of one candidate ended.

    Attributes:
        report: `report.json`; empty where the audit was refused.
        said: the last line that the command wrote.
    """

    name: str
    precision: str
    folder: Path
    used: Usage
    report: dict[str, Any]
    said: str

    @property
    def verdict(self) -> str:
        """The audit's verdict, or that there is none."""
        return str(self.report.get("verdict", "refused"))

    @property
    def findings(self) -> list[dict[str, Any]]:
        """All findings."""
        return list(self.report.get("findings", ()))

    def check(self, name: str) -> str:
        """The worst verdict of a check."""
        found = {finding["verdict"] for finding in self.findings if finding["check"] == name}
        return next((each for each in ("Failed", "Inconclusive", "Passed") if each in found), "")

    def outputs(self) -> dict[str, dict[str, Any]]:
        """Metrics by output."""
        [candidate] = self.report["candidates"]
        return {output["name"]: output["metrics"] for output in candidate.get("outputs", ())}


def decibels(metrics: Mapping[str, Any]) -> float:
    """An output's SNR; where a value is not finite, -Inf."""
    said = float(str(metrics["snr"]["worst"]).replace("Infinity", "inf"))
    return -np.inf if np.isnan(said) else said


def audited(
    name: str, precision: str, staged: Path, out: Path, backend: str = "onnxruntime", level: int | None = None
) -> Ran:
    """Run the audit; nothing of an earlier one is taken up.

    Raises:
        ProgramFailed: it ended as no audit may: a bug, or something unavailable.
    """
    folder = out / f"{name}-{precision}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = write_audit(audit(name, precision, backend, level=level), staged)
    log = folder / "assay.log"
    argv = python("assay_runner", "run", "-f", file, "--out", folder / "out")
    used = measured(argv, log, (*VERDICTS, REFUSED))
    report = folder / "out" / "report.json"
    told = json.loads(report.read_bytes()) if report.is_file() else {}
    said = log.read_text(errors="replace").strip().splitlines()
    return Ran(name, precision, folder, used, told, said[-1] if said else "")


def second_opinion(ran: Ran, staged: Path) -> Opinion | None:
    """What the same candidate does without Assay; None where there is nothing to compute it by."""
    model, path = MODELS[ran.name], staged / "model.onnx"
    reference, empty = opinion.golden(path), Opinion(parts=model.parts)
    fed = opinion.batches(staged / "data", model.batch, model.dataset.get("inputs"))
    if ran.precision == "fp32":
        return opinion.of_file(empty, reference, path, fed)
    if ran.precision in opinion.FORMATS:
        return opinion.rounded(empty, reference, path, fed, ran.precision)
    built = sorted((ran.folder / "out" / "cache").rglob("*.onnx"))
    return opinion.of_file(empty, reference, built[0], fed) if built else None


def disagreements(ran: Ran, other: Opinion) -> Iterable[str]:
    """What the report says otherwise than the second opinion, one sentence each."""
    if ran.precision == "fp32":
        if ran.verdict != MODELS[ran.name].fp32:
            yield f"fp32 is {ran.verdict}"
        return
    told = ran.outputs()
    for name, snr in other.snr.items():
        if "snr" not in told.get(name, {}):
            yield f"output {name}: no figure, it has {snr:.2f} dB"
            continue
        said = decibels(told[name])
        if not (min(said, snr) >= NOISELESS or said == snr or abs(said - snr) <= CLOSE):
            yield f"output {name}: {said:.2f} dB, it has {snr:.2f} dB"
    yield from _other_verdicts(ran, other)


def _other_verdicts(ran: Ran, other: Opinion) -> Iterable[str]:
    judged = ran.check("outputDrift")
    figures = [*other.snr.items(), *other.of_parts.items()]
    broken = [name for name, snr in figures if snr < LIMIT - CLOSE]
    near = [name for name, snr in figures if snr < LIMIT + CLOSE]
    if judged == "Passed" and broken:
        yield f"outputDrift passed, and {', '.join(broken)} breaks"
    if judged == "Failed" and not near and not other.unlike:
        yield "outputDrift failed, and no output breaks"
    if other.not_finite and ran.check("finite") != "Failed":
        yield f"finite is {ran.check('finite')}, and {other.not_finite} is not finite"
