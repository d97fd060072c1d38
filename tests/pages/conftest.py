"""A real browser, and pages for it: headless Chromium, driven as a person with a mouse, a keyboard or a phone would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay_api.report import Report
from assay_runner.report import render_html
from tests.lab.toolchain import debian
from tests.pages.browser import Browser, chromium
from tests.unit.report import engines, repairs, samples

SUMMARIES = {
    "passed": samples.passed,
    "failed": samples.failed,
    "inconclusive": samples.inconclusive,
    "emulated": samples.emulated,
    "deep": samples.deep,
    "repaired": repairs.repaired,
    "fleet": engines.fleet,
    "crowd": engines.crowd,
}
REPORTS = {**SUMMARIES, "candidate": engines.candidate, "deep-candidate": engines.deep_candidate}


@pytest.fixture(scope="session")
def chromium_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for the session; use `browser`."""
    debian("chromium", "chromium-driver")
    with chromium(tmp_path_factory.mktemp("chromium")) as session:
        yield session


@pytest.fixture
def browser(chromium_session: Browser) -> Iterator[Browser]:
    """A desktop, light, with scripts; whatever the page logged or fetched beyond itself fails the test."""
    chromium_session.reset()
    yield chromium_session
    assert chromium_session.complaints() == []
    assert chromium_session.fetched() == {chromium_session.address}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page per sample report."""
    folder = tmp_path_factory.mktemp("pages")
    return {name: write_page(folder / f"{name}.html", build()) for name, build in REPORTS.items()}


def write_page(path: Path, report: Report) -> Path:
    path.write_bytes(render_html(report))
    return path
