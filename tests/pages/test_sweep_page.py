"""The page of a sweep in a real browser: its map, its causes, and ten thousand cells of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from assay_runner.report.sweep_cells import sweep_shown
from assay_runner.report.sweep_page import render_sweep
from tests.pages.browser import Browser
from tests.unit.report.sweeps import advised, many, some


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("sweep") / "sweep.html"
    page.write_bytes(render_sweep(sweep_shown(*some())))
    return page


def test_the_map_tells_every_cell_by_mark_and_colour(browser: Browser, small: Path) -> None:
    browser.open(small)
    assert browser.texts(".heat:not(.advice) tbody th") == ["bert", "vit"]
    assert [head.split() for head in browser.texts(".heat:not(.advice) thead th")] == [
        ["Model"], ["fp16", "H200"], ["fp16", "L4"], ["int8", "H200"], ["int8", "L4"],
    ]  # fmt: skip
    assert browser.texts(".heat:not(.advice) td") == ["✓", "✕!", "✕", "✕!", "…", "?", "…", "✕"]
    assert browser.one("h1").text == "Failed"
    assert browser.texts(".hero p")[1] == (
        "4 failed, 1 inconclusive, 1 passed, 2 without an answer of 8 cells; 2 regressed."
    )


def test_a_cell_leads_to_what_failed_and_to_its_audit(browser: Browser, small: Path) -> None:
    browser.open(small)
    browser.run("document.querySelectorAll('details').forEach(each => each.open = false)")
    browser.one(".heat td a").click()
    browser.wait_for_text("details[open]", "finite at /layer/Mul: 3 cells of 1 model, 2 regressed")
    assert "assay report nightly-bert-2026-03-02 -n ml" in browser.one("details[open]").text
    assert browser.texts("#cause-1 tbody tr td:first-child") == ["bert"] * 3


def test_a_map_says_what_to_ship(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "advised.html"
    page.write_bytes(render_sweep(sweep_shown(*advised())))
    browser.open(page)
    assert browser.texts(".advice thead th") == ["Model", "H200", "L4"]
    assert browser.texts(".advice td") == ["–", "int8", "–", "none", "fp16", "fp16-precision + cure", "–", "…"]
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.open(page)
        assert browser.low_contrast() == []
        assert browser.nameless() == []
    browser.screen(360, 700)
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Browser, small: Path, scheme: str) -> None:
    browser.scheme(scheme)
    browser.open(small)
    assert browser.low_contrast() == []
    assert browser.nameless() == []


def test_a_phone_scrolls_the_map_and_not_the_page(browser: Browser, small: Path) -> None:
    browser.screen(360, 700)
    browser.open(small)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


def test_ten_thousand_cells_are_there_in_a_moment(browser: Browser, tmp_path: Path) -> None:
    sweep, audits = many()
    began = time.process_time()
    made = render_sweep(sweep_shown(sweep, audits))
    assert time.process_time() - began < 5
    page = tmp_path / "many.html"
    page.write_bytes(made)
    assert len(made) < 4_000_000
    browser.open(page)
    assert browser.run("return document.querySelectorAll('.heat:not(.advice) tbody tr').length") == 500
    assert browser.run("return document.querySelectorAll('.heat:not(.advice) td').length") == 10_000
    assert browser.run("return document.querySelectorAll('.advice td').length") == 2_000
    assert 0 < browser.worked() < 5
    assert len(browser.all("#cause-1 tbody tr")) == 200
    # 17 models of each cause, on four products, with five candidates.
    assert browser.texts("summary")[0] == "finite at /layer.0/Mul: 340 cells of 17 models"
    assert "140 more are in the map." in str(browser.one("details").get_attribute("textContent"))
