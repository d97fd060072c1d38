"""A repair that is killed, at any build or write, loses one build at most: its audits are kept as its trials are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from assay_runner.backends import Built
from assay_runner.stores.local import LocalStore
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, Repaired, repaired, staged
from tests.runner.remedies.transformers import overflowing, sentences, transformer

CANDIDATES = [ENGINE, {**ENGINE, "name": "second"}]
"""What is found for one is known of the other; each is audited for itself."""
FIELDS: dict[str, Any] = {"candidates": CANDIDATES, "remedies": {"precision": {"to": ["fp32"], "rewrite": False}}}


class Killed(BaseException):
    """Nothing that is written after it is."""


class Wavering(Engines):
    """The first engine of each audit is wrong by a little, and the next two are right; `life` builds, and it dies."""

    def __init__(self, history: list[frozenset[str]], life: int = 10**6) -> None:
        super().__init__(self.sound, wrong=10 ** (-29 / 20), right=10 ** (-40 / 20))
        self.history, self.life = history, life

    def sound(self, wide: frozenset[str]) -> bool:
        """The search confirms a set once; of each candidate three are audited then."""
        self.history.append(wide)
        return overflowing(1) <= wide and self.history.count(wide) not in (2, 5)

    def build(self, *given: Any, **more: Any) -> Built:
        before = len(self.history)
        built = super().build(*given, **more)
        if len(self.asked) >= self.life:
            del self.history[before:]  # What nobody has judged is built again.
            raise Killed
        return built


def told(found: Repaired) -> list[tuple[object, ...]]:
    """What was tried, and what came of it."""
    return [(t.oracle, t.split, t.words, t.verdict, t.because) for t in found.trials]


def whole(folder: Path) -> tuple[Repaired, int]:
    """The repair that nobody kills, and its builds."""
    staged(folder, transformer(loud=(1,), blocks=2), sentences())
    engine = Wavering([])
    found = repaired(folder, engine=engine, **FIELDS)
    audits = [(t.split, t.verdict) for t in found.trials if t.split != "search"]
    assert audits == [("told", "Failed"), ("unseen", "Passed"), ("unseen", "Passed")] * 2
    assert [remedy.outcome for remedy in found.entry.remedies] == ["Cured", "Cured"]
    return found, len(engine.asked)


def goes_on(folder: Path, history: list[frozenset[str]], expected: Repaired) -> int:
    """What is begun anew comes to the same; how many engines it built."""
    shutil.rmtree(folder / "scratch")
    engine = Wavering(history)
    again = repaired(folder, engine=engine, **FIELDS)
    assert told(again) == told(expected)
    assert [(r.outcome, r.message, r.wide) for r in again.entry.remedies] == [
        (r.outcome, r.message, r.wide) for r in expected.entry.remedies
    ]
    assert [c.verdict for c in again.report.candidates] == [c.verdict for c in expected.report.candidates]
    assert (again.entry.builds, again.entry.proposals) == (expected.entry.builds, expected.entry.proposals)
    for remedy in again.entry.remedies:
        assert remedy.deploy.model
        assert remedy.deploy.reproduce
        for uri in remedy.deploy.model_dump(exclude_none=True).values():
            assert Path(uri.removeprefix("file://")).is_file()
        assert "not yet judged" not in Path(remedy.deploy.reproduce.removeprefix("file://")).read_text()
    return len(engine.asked)


def test_killed_in_any_build_one_build_is_lost(tmp_path: Path) -> None:
    expected, builds = whole(tmp_path)
    for life in range(len(CANDIDATES) + 1, builds + 1):
        shutil.rmtree(tmp_path / "out")
        history: list[frozenset[str]] = []
        first = Wavering(history, life)
        with pytest.raises(Killed):
            repaired(tmp_path, engine=first, **FIELDS)
        again = goes_on(tmp_path, history, expected)
        # The candidates are audited anew here, as they would not be in a cluster, and what died is built once more.
        assert len(first.asked) + again <= builds + len(CANDIDATES) + 1, life


def test_killed_at_any_write_one_build_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, last = 0, 10**6
    history: list[frozenset[str]] = []
    put = LocalStore.put

    def counted(self: LocalStore, uri: str, *given: Any, **more: Any) -> None:
        nonlocal written
        written += 1
        if written == last:
            if "/trials/" in uri and self.stat(uri) is None:
                history.pop()  # Nobody knows of that build.
            raise Killed
        put(self, uri, *given, **more)

    monkeypatch.setattr(LocalStore, "put", counted)
    expected, builds = whole(tmp_path)
    writes, written = written, 0
    for last in range(writes // 3, writes + 1, 5):
        shutil.rmtree(tmp_path / "out")
        written = 0
        history.clear()
        first = Wavering(history)
        with pytest.raises(Killed):
            repaired(tmp_path, engine=first, **FIELDS)
        lost = goes_on(tmp_path, history, expected)
        assert len(first.asked) + lost <= builds + len(CANDIDATES) + 1, last
