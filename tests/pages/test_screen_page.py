"""The page of a screening in a real browser: its maps, what a square leads to, and eight thousand GPUs of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_runner.report.screen_page import render_screen
from assay_runner.report.screen_waiting import render_waiting
from tests.pages.browser import Browser
from tests.pages.test_phone_tables import BEYOND, WIDTH
from tests.unit.report.screenings import good, many, mixed
from tests.unit.report.test_screen_page import STATUS

SMALL = ("good", "mixed", "waiting")


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pages = {
        "good": render_screen(good(), "ml/h100"),
        "mixed": render_screen(mixed(), "ml/h100", "Another run is under way."),
        "waiting": render_waiting("ml/h100", STATUS, "Running", "3 of 7 nodes done."),
        "many": render_screen(many(), "ml/h100"),
    }
    folder = tmp_path_factory.mktemp("screens")
    for name, page in pages.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: folder / f"{name}.html" for name in pages}


def test_a_square_leads_to_what_was_found_of_its_gpu(browser: Browser, screens: dict[str, Path]) -> None:
    browser.open(screens["mixed"])
    assert browser.one("h1").text == "Named"
    square = browser.one(".heat td a")
    assert (square.text, "worker-001" in browser.one(".heat tbody th").text) == ("✕", True)
    named = str(square.get_attribute("aria-label"))
    square.click()
    card = browser.one(".finding:target")
    device = named.partition(" ")[0]
    assert device in card.text
    assert "kubectl cordon worker-001" in card.text
    top = browser.run("return arguments[0].getBoundingClientRect().top", card)
    assert 0 <= top < 900, "it is in sight"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SMALL)
def test_everybody_can_read_it(browser: Browser, screens: dict[str, Path], name: str, scheme: str) -> None:
    browser.scheme(scheme)
    browser.open(screens[name])
    assert browser.low_contrast() == []
    assert browser.nameless() == []


@pytest.mark.parametrize("name", SMALL)
def test_a_phone_shows_all_of_it(browser: Browser, screens: dict[str, Path], name: str) -> None:
    browser.screen(WIDTH, 844)
    browser.open(screens[name])
    assert browser.run(BEYOND) == []


def test_of_eight_thousand_the_named_are_seen_first(browser: Browser, screens: dict[str, Path]) -> None:
    browser.open(screens["many"])
    assert browser.run("return document.querySelectorAll('.heat td').length") == 8_020
    assert [each.is_displayed() for each in browser.all("details .heat")] == [True, False, False, False]
    assert browser.texts("details[open] .heat tbody th") == ["worker-017", "worker-404", "worker-808", "worker-900"]
    assert len(browser.all(".finding")) == 4
