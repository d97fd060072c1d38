"""Baselines: which report may become one, and what another report is beside it. Pure.

A baseline is what somebody has accepted of a candidate: a record that never changes, named by its own digest, and a
pointer to it with who accepted it, when and why. A pointer is found by what it is of: the model, the dataset and the
candidate by their names, and the GPU product. So the same model trained anew, or built by another TensorRT, is held
against what was accepted before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from assay_api.baseline import State, most_urgent
from assay_api.model import Model
from assay_api.numbers import Number
from assay_api.report import CandidateReport, Report, Verdict
from assay_runner.report.causes import causes, runtime_of, tactics_of
from assay_runner.statistics.bits import unpacked
from assay_runner.statistics.changes import ALPHA, most_by_chance, p_worse

VERSION: Final = "assay.dev/baseline/v1"


class BaselineRecord(Model):
    """What was accepted of one candidate."""

    version: Literal["assay.dev/baseline/v1"] = "assay.dev/baseline/v1"
    """Version of this format."""
    audit: str
    """Name of the audit."""
    run: str
    """Digest of its run."""
    candidate: str
    """Name of the candidate."""
    gpu_product: str | None = None
    """GPU product."""
    verdict: Verdict
    """Its verdict."""
    dataset: str
    """Identity of the dataset."""
    samples: int
    """Samples judged."""
    outputs_digest: str | None = None
    """As in the report."""
    hits: str | None = None
    """As in the report."""
    accuracy: dict[str, Number] = {}
    """As in the report."""
    report: str
    """SHA-256 of the report."""
    runtime: str | None = None
    """What ran it, with its version."""
    model: str | None = None
    """Identity of what it was built from."""
    tactics: dict[str, str] = {}
    """Kernel of each layer of its engine, as far as that is told."""


class BaselinePointer(Model):
    """Which record is accepted."""

    version: Literal["assay.dev/baseline/v1"] = "assay.dev/baseline/v1"
    """Version of this format."""
    who: str
    """Who accepted it."""
    when: str
    """When, in UTC."""
    why: str
    """Why."""
    record: str
    """SHA-256 of the record, by which it is named."""
    previous: str | None = None
    """SHA-256 of the record that was accepted before."""


@dataclass(frozen=True)
class Beside:
    """What a candidate is beside its baseline.

    Attributes:
        state: in one word.
        why: in one sentence, with the number of samples.
        causes: what has changed since, where it regressed, the most telling first.
    """

    state: State
    why: str
    causes: tuple[str, ...] = ()


def place_of(report: Report, candidate: CandidateReport) -> str:
    """What a baseline is of: 32 hexadecimal digits."""
    spec = report.spec
    assert spec is not None, "a report without its spec is of nothing"
    parts = (spec.model.uri, spec.dataset.uri, candidate.candidate or candidate.name, candidate.gpu_product or "")
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]


def record_of(report: Report, candidate: CandidateReport, sha256: str) -> BaselineRecord:
    """What would be accepted of a candidate."""
    return BaselineRecord(
        audit=report.audit,
        run=report.run,
        candidate=candidate.candidate or candidate.name,
        gpu_product=candidate.gpu_product,
        verdict=candidate.verdict,
        dataset=report.dataset.identity or "",
        samples=candidate.samples,
        outputs_digest=candidate.outputs_digest,
        hits=candidate.hits,
        accuracy=candidate.accuracy,
        report=sha256,
        runtime=runtime_of(candidate),
        model=candidate.provenance.model if candidate.provenance else None,
        tactics=tactics_of(candidate),
    )


def unfit(report: Report, candidate: CandidateReport) -> tuple[str, ...]:
    """Why a candidate's answer cannot become a baseline; nothing where it can, as that of one that failed can."""
    found = []
    if candidate.error:
        found.append(f"it was not measured: {candidate.error}")
    elif candidate.verdict is Verdict.INCONCLUSIVE:
        found.append("it is Inconclusive, and what could not be judged tells nothing of a later one")
    if candidate.emulated:
        found.append("it is emulated, and an engine's answers are others: audit it on its GPU")
    if report.spec and report.spec.dataset.synthetic:
        found.append("the values of its dataset are made up (dataset.synthetic)")
    if not candidate.error and not (report.dataset.identity and (candidate.outputs_digest or candidate.hits)):
        found.append("its report does not say what it answered: audit it anew, with a check that reads outputs")
    return tuple(found)


def beside(old: BaselineRecord | None, report: Report, candidate: CandidateReport, *, alike: bool = False) -> Beside:
    """What a candidate's answer is beside the one that was accepted; `alike`: both are emulated, or neither is."""
    if old is None:
        return Beside("New", "nothing was accepted of it yet")
    if candidate.error:
        return Beside("Inconclusive", f"it could not be judged: {candidate.error}")
    if candidate.emulated and not alike:
        return Beside("Inconclusive", "it is emulated, and what was accepted is not")
    if report.dataset.identity != old.dataset or candidate.samples != old.samples:
        return Beside("Inconclusive", "the dataset is another one now: accept it anew, once it is judged")
    if candidate.verdict is Verdict.INCONCLUSIVE and not _worse(old, candidate):
        return Beside("Inconclusive", "it could not be judged")
    if old.outputs_digest and candidate.outputs_digest == old.outputs_digest:
        return Beside("Unchanged", f"equal to the last bit on {_samples(old.samples)}")
    found = _by_samples(old, candidate)
    if found.state != "Regressed":
        return found
    return replace(found, causes=causes(report, candidate, old.runtime, old.model, old.tactics))


def _worse(old: BaselineRecord, candidate: CandidateReport) -> bool:
    """Whether samples tell that it is worse, whatever else could not be judged."""
    counted = _counted(old, candidate)
    return counted is not None and p_worse(*counted) <= ALPHA


def _counted(old: BaselineRecord, candidate: CandidateReport) -> tuple[int, int] | None:
    """Samples that are lost and gained; None where either does not tell."""
    before = unpacked(old.hits, old.samples) if old.hits else None
    now = unpacked(candidate.hits, candidate.samples) if candidate.hits else None
    if before is None or now is None:
        return None
    return int((before & ~now).sum()), int((~before & now).sum())


def _by_samples(old: BaselineRecord, candidate: CandidateReport) -> Beside:
    """By the samples that one of them gets right and the other wrong; else, or beyond that, by the verdicts."""
    found = _counted(old, candidate)
    if found is None:
        turned = _turned(old, candidate)
        return turned or Beside("Changed", f"other bits on {_samples(old.samples)}, and without labels no more is told")
    lost, gained = found
    most = most_by_chance(lost + gained)
    counted = f"loses {lost} and gains {gained} of {_samples(old.samples)}"
    limit = f"of {lost + gained} that differ chance takes {most} at most (in 95 of 100 cases)"
    if p_worse(lost, gained) <= ALPHA:
        return Beside("Regressed", f"{counted}; {limit}")
    turned = _turned(old, candidate)
    if turned and turned.state == "Regressed":
        return Beside("Regressed", f"{turned.why}; it {counted}")
    if p_worse(gained, lost) <= ALPHA:
        return Beside("Improved", f"{counted}; {limit}")
    return turned or Beside("Changed", f"{counted}, which is within chance; {limit}")


def _turned(old: BaselineRecord, candidate: CandidateReport) -> Beside | None:
    """What the verdicts say, where they differ."""
    if candidate.verdict is old.verdict:
        return None
    state: State = "Regressed" if candidate.verdict is Verdict.FAILED else "Improved"
    return Beside(state, f"it was {old.verdict} and is {candidate.verdict} now")


def _samples(count: int) -> str:
    return f"{count:,} sample{'' if count == 1 else 's'}"


def overall(found: Sequence[Beside]) -> State:
    """The state that matters most: Regressed, then Inconclusive, New, Changed, Improved, Unchanged."""
    return most_urgent(each.state for each in found) or "Inconclusive"
