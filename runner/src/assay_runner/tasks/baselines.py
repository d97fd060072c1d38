"""Baselines in the store: records that never change, and pointers to them. A record goes first.

A pointer is one small object, so that whoever reads it sees the one before or the one after. To accept what is accepted
already changes nothing, so a Job that is done twice accepts once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay_api.report import CandidateReport, Report
from assay_runner.errors import InvalidInput
from assay_runner.report.baseline import BaselinePointer, BaselineRecord, Beside, beside, place_of, record_of
from assay_runner.stores import join
from assay_runner.stores.sealed import put_record, read_record

if TYPE_CHECKING:
    from assay_runner.stores import Store

WHAT: Final = "baseline"


@dataclass(frozen=True)
class Accepted:
    """What is accepted of a candidate, and on whose word; both None where nothing is."""

    pointer: BaselinePointer | None = None
    record: BaselineRecord | None = None


@dataclass(frozen=True)
class Baselines:
    """The baselines below a folder of a store."""

    store: Store
    folder: str

    def pointer(self, report: Report, candidate: CandidateReport) -> BaselinePointer | None:
        """Who accepted what of a candidate.

        Raises:
            Damaged: it is not as it was stored.
        """
        return read_record(self.store, self._place(report, candidate), BaselinePointer, WHAT)

    def accepted(self, report: Report, candidate: CandidateReport) -> Accepted:
        """What is accepted of a candidate.

        Raises:
            InvalidInput: the pointer leads to no record.
            Damaged: either is not as it was stored.
        """
        pointer = self.pointer(report, candidate)
        if pointer is None:
            return Accepted()
        uri = self._record(pointer.record)
        record = read_record(self.store, uri, BaselineRecord, WHAT)
        if record is None:
            raise InvalidInput(f"the accepted record {uri} is gone: accept another report")
        return Accepted(pointer, record)

    def accept(
        self, report: Report, candidate: CandidateReport, sha256: str, who: str, why: str, when: str
    ) -> BaselinePointer:
        """Make a candidate's answer the baseline.

        Args:
            report: that has the answer.
            candidate: the candidate, which may become one.
            sha256: of the report.
            who: accepts it.
            why: in a few words.
            when: in UTC.
        """
        record = record_of(report, candidate, sha256)
        name = hashlib.sha256(record.model_dump_json(by_alias=True).encode()).hexdigest()
        put_record(self.store, self._record(name), record)
        before = self.pointer(report, candidate)
        if before and (before.record, before.who, before.why) == (name, who, why):
            return before
        pointer = BaselinePointer(
            who=who, when=when, why=why, record=name, previous=before.record if before else None
        )  # fmt: skip
        put_record(self.store, self._place(report, candidate), pointer)
        return pointer

    def beside(self, report: Report, candidate: CandidateReport) -> tuple[Beside, BaselinePointer | None]:
        """What a candidate's answer is beside its baseline, and who accepted that; see `accepted`."""
        found = self.accepted(report, candidate)
        return beside(found.record, report, candidate), found.pointer

    def _place(self, report: Report, candidate: CandidateReport) -> str:
        return join(self.folder, f"{place_of(report, candidate)}.json")

    def _record(self, name: str) -> str:
        return join(self.folder, "records", f"{name}.json")
