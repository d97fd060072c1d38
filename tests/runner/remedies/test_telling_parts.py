"""Parts of the unseen samples that tell a search what was missing: in what order they are shown, and what decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay_api.report import Verdict
from assay_runner.remedies import auditing
from assay_runner.remedies.auditing import Looks
from assay_runner.remedies.case import Design
from assay_runner.remedies.splits import UNSEEN, Part
from assay_runner.remedies.workshop import Workshop
from assay_runner.trial.measure import Measured
from tests.models import random
from tests.runner.remedies.repairs import INT8, Repaired, repaired, staged
from tests.runner.remedies.scarce import LIMIT, WIDTH, finding, products

TOLD = tuple(Part("told", turn) for turn in range(3))
FAR, NEAR, RIGHT = -20.0, 15.0, 20.0


def shown(monkeypatch: pytest.MonkeyPatch, figures: dict[Part, float], looks: Looks) -> list[Part]:
    """The parts that a build is measured on, in order, the last being that of the verdict."""
    seen: list[Part] = []

    def measure(part: Part, checks: object) -> SimpleNamespace:
        seen.append(part)
        value = figures[part]
        verdict = Verdict.FAILED if value < LIMIT else Verdict.PASSED
        told = finding("outputDrift", "snr", value, LIMIT).model_copy(update={"verdict": verdict})
        return SimpleNamespace(report=SimpleNamespace(verdict=verdict), findings=(told,))

    monkeypatch.setattr(auditing, "measure", measure)
    monkeypatch.setattr(auditing, "Setting", lambda subject, part, aside: part)
    workshop: Any = SimpleNamespace(
        checks=[SimpleNamespace(name="outputDrift")], references={part: part for part in figures}, aside=None
    )
    part, _ = auditing._measured(workshop, None, looks)  # type: ignore[arg-type]
    assert part == seen[-1]
    return list(dict.fromkeys(seen))


def test_what_fails_by_far_where_a_search_was_told_is_shown_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {TOLD[0]: FAR, TOLD[1]: RIGHT, Part("last", 0): RIGHT}
    assert shown(monkeypatch, figures, Looks(Part("last", 0), TOLD[:2], 1)) == [TOLD[0]]


def test_what_fails_by_far_where_none_was_told_is_judged_on_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {TOLD[0]: FAR, TOLD[1]: RIGHT, UNSEEN: FAR}
    assert shown(monkeypatch, figures, Looks(UNSEEN, TOLD[:2])) == [TOLD[0], UNSEEN]


def test_parts_that_tell_are_shown_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {TOLD[0]: RIGHT, TOLD[1]: NEAR, TOLD[2]: RIGHT, UNSEEN: RIGHT}
    assert shown(monkeypatch, figures, Looks(UNSEEN, TOLD)) == list(TOLD[:2])
    assert shown(monkeypatch, figures | {TOLD[1]: RIGHT}, Looks(UNSEEN, TOLD)) == [*TOLD, UNSEEN]


def scripted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: list[tuple[Part, list[str]]]
) -> tuple[Repaired, list[Looks]]:
    """A repair whose audits fail by a little, each on a part and after trials of other builds on those."""
    sound, asked = auditing.audited, list[Looks]()

    @contextmanager
    def rigged(workshop: Workshop, design: Design, remedy: str, key: str, looks: Looks) -> Iterator[auditing.Audit]:
        asked.append(looks)
        with sound(workshop, design, remedy, key, looks) as audit:
            if script:
                part, builds = script.pop(0)
                last = workshop.entries.pop()
                workshop.entries.extend(last.model_copy(update={"split": split}) for split in builds)
                said = finding("outputDrift", "snr", LIMIT - 3, LIMIT)
                report = audit.measured.report.model_copy(update={"verdict": Verdict.FAILED})
                audit = replace(audit, part=part, measured=Measured(report, (said,)))
            yield audit

    monkeypatch.setattr("assay_runner.tasks.cures.audited", rigged)
    staged(folder, products(), {"x": random(32, WIDTH, seed=7)}, {"x": random(200, WIDTH, seed=7)[:64]})
    told = repaired(
        folder,
        candidates=[INT8],
        dataset={"uri": "file://./data/", "batch": 32},
        remedies={"precision": {"to": ["fp32"]}},
        checks=[{"outputDrift": {"snr": LIMIT}}],
    )
    return told, asked


def test_what_a_search_was_told_of_once_is_never_what_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second set fails on the second part, the third on the first again: the next is judged without either."""
    script = [(TOLD[0], ["told"]), (TOLD[1], ["told"]), (TOLD[0], ["told"])]
    told, asked = scripted(tmp_path, monkeypatch, script)
    assert [(looks.judging, looks.known) for looks in asked] == [
        (UNSEEN, 0), (Part("last", 0), 1), (Part("last", 1), 2), (Part("last", 1), 2),
    ]  # fmt: skip
    assert (told.remedy.outcome, told.entry.told_samples) == ("Cured", 12)
    assert told.remedy.message.endswith(
        "passes on 4 samples that no search has seen; 12 others had told the search what was missing"
    )


def test_no_search_is_told_where_another_engine_of_the_set_was_shown_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, asked = scripted(tmp_path, monkeypatch, [(TOLD[0], ["unseen", "told"])])
    assert len(asked) == 1
    assert told.remedy.outcome == "SearchOnly"
