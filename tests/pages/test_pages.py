"""The page in a real browser: it reads, sorts, filters, answers to keys, and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.pages.browser import Browser
from tests.pages.conftest import REPORTS, SUMMARIES, write_page
from tests.unit.report import samples
from tests.unit.report.test_page import HOSTILE, hostile

Pages = dict[str, Path]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", REPORTS)
def test_every_text_is_readable(name: str, scheme: str, browser: Browser, pages: Pages, tmp_path: Path) -> None:
    browser.scheme(scheme)
    browser.open(pages[name])
    browser.run("document.querySelectorAll('details').forEach((fold) => { fold.open = true; });")
    browser.screenshot(tmp_path / f"{name}-{scheme}.png")
    assert browser.low_contrast() == []
    backgrounds = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert backgrounds == {"light": "rgb(244, 245, 247)", "dark": "rgb(15, 18, 21)"}[scheme]


@pytest.mark.parametrize("name", REPORTS)
def test_a_screen_reader_hears_a_name_for_everything(name: str, browser: Browser, pages: Pages) -> None:
    browser.open(pages[name])
    browser.run("document.querySelectorAll('details').forEach((fold) => { fold.open = true; });")
    assert browser.nameless() == []


def test_name_check_can_fail(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    browser.run("document.querySelector('[role=slider]').removeAttribute('aria-label')")
    browser.run("document.querySelector('.achieved caption').remove()")
    assert sorted(browser.nameless()) == ["slider", "table"]


def test_contrast_check_can_fail(browser: Browser, pages: Pages) -> None:
    browser.open(pages["passed"])
    browser.run("document.querySelector('h1 span').style.color = '#9c9'")
    assert [line.split()[1:] for line in browser.low_contrast()] == [["SPAN", "Passed"]]


@pytest.mark.parametrize("name", REPORTS)
def test_phone_shows_everything_without_scrolling_sideways(name: str, browser: Browser, pages: Pages) -> None:
    browser.screen(360, 740)
    browser.open(pages[name])
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    verdict = browser.one("h1")
    assert verdict.is_displayed()
    assert verdict.rect["y"] < 300, "the verdict is on the first screen"


@pytest.mark.parametrize("name", SUMMARIES)
def test_without_scripts_everything_that_matters_is_there(name: str, browser: Browser, pages: Pages) -> None:
    report = REPORTS[name]()
    browser.scripts(enabled=False)
    browser.open(pages[name])
    assert browser.one("h1").text == report.verdict
    assert browser.one(".recommendation").is_displayed()
    names = [text.splitlines()[0] for text in browser.texts(".cards tbody th")]
    assert names == [c.name for c in report.candidates]
    unhappy = [f.message for f in report.findings if f.verdict != "Passed" or f.details.remark]
    assert sorted(browser.texts(".finding .sentence")) == sorted(unhappy)
    assert not browser.all("button, input"), "nothing that would do nothing"
    charts = sum(bool(c.layers) for c in report.candidates)
    assert len(browser.all(".chart .accumulated[d]")) == charts


def test_columns_sort_both_ways_and_say_so(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])

    def press(heading: str) -> tuple[list[str], str | None]:
        (button,) = [b for b in browser.all(".cards th button") if b.text == heading]
        button.click()
        sorted_head = browser.one(".cards th[aria-sort]")
        return browser.texts(".cards tbody th"), sorted_head.get_attribute("aria-sort")

    assert press("Latency") == (["int8", "fp16"], "ascending")
    assert press("Latency") == (["fp16", "int8"], "descending")
    assert press("Verdict") == (["int8", "fp16"], "ascending")
    assert press("Worst figure") == (["int8", "fp16"], "ascending")
    assert len(browser.all(".cards th[aria-sort]")) == 1
    assert "Sorted by Worst figure" in str(browser.one("#live").get_attribute("textContent"))


def test_reader_reaches_everything_by_keyboard_and_sees_where(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    seen = []
    for _ in range(60):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        if focused.tag_name == "body":
            break
        outline = focused.value_of_css_property("outline-style")
        assert outline == "solid", f"focus is not seen on {focused.tag_name} {focused.text}"
        seen.append(str(focused.get_attribute("role") or focused.tag_name))
    assert seen[0] == "a", "the way past the navigation comes first"
    assert {"a", "button", "summary", "slider", "region", "input"} <= set(seen)


def test_skip_link_leads_to_the_verdict(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    ActionChains(browser.driver).send_keys(Keys.TAB).send_keys(Keys.ENTER).perform()
    browser.wait_until(lambda: browser.driver.switch_to.active_element.get_attribute("id") == "main", "main in focus")


def five_candidates(folder: Path) -> Path:
    """A page of so many passed candidates that they are folded."""
    candidate, found = samples.fp16()
    names = [f"fp16-{i}" for i in range(5)]
    parts = [
        (candidate.model_copy(update={"name": n}), [f.model_copy(update={"candidate": n}) for f in found])
        for n in names
    ]
    return write_page(folder / "five.html", samples.report(*parts))


def test_link_to_a_folded_candidate_unfolds_it(browser: Browser, tmp_path: Path) -> None:
    browser.open(five_candidates(tmp_path))
    assert len(browser.all("details.candidate:not([open])")) == 5
    assert not browser.all(".controls"), "what is folded costs nothing"
    browser.one(".cards a[href='#candidate-3']").click()
    browser.wait_for_text("#candidate-3 .controls .count", "13 tensors")
    assert len(browser.all("details.candidate[open]")) == 1


def test_print_unfolds_candidates_and_folds_them_again(browser: Browser, tmp_path: Path) -> None:
    browser.open(five_candidates(tmp_path))
    browser.run(
        """addEventListener('beforeprint', () => {
          document.body.dataset.open = document.querySelectorAll('details.candidate[open]').length; });"""
    )
    assert len(browser.driver.print_page()) > 10_000
    assert browser.run("return document.body.dataset.open") == "5"
    assert not browser.all("details.candidate[open]")


def test_findings_filter(browser: Browser, tmp_path: Path) -> None:
    candidate, found = samples.int8()
    many = [found[0].model_copy(update={"tensor": f"t{i}", "message": f"t{i} drifts."}) for i in range(12)]
    browser.open(write_page(tmp_path / "many.html", samples.report((candidate, many))))
    browser.one("[aria-label='Filter findings']").send_keys("t11 d")
    browser.wait_for_text("section[aria-labelledby=findings] .count", "1 of 12 findings")
    assert [text for text in browser.texts(".finding .sentence") if text] == ["t11 drifts."]


def test_command_is_copied(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    button = browser.one(".copyable .button")
    button.click()
    browser.wait_for_text(".copyable .button", "Copied")
    box = browser.one("#candidate-0 input")
    box.send_keys(Keys.CONTROL, "v")
    assert box.get_attribute("value") == "assay run -f audit.yaml --out out/"


def test_hostile_names_run_nothing(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "hostile.html", hostile(HOSTILE)))
    assert "<img src=x onerror=alert(1)>" in browser.one("h3").text
    assert not browser.all("img")
    assert browser.one(".tensors tbody code").text.startswith("</script><script>alert(1)</script>")


def test_injected_script_is_refused_by_the_policy(browser: Browser, tmp_path: Path, pages: Pages) -> None:
    page = tmp_path / "injected.html"
    injected = b"<script>document.title = 'owned'</script></main>"
    page.write_bytes(pages["passed"].read_bytes().replace(b"</main>", injected))
    browser.open(page)
    assert browser.driver.title.startswith("Passed")
    (complaint,) = browser.complaints()
    assert "Content Security Policy" in complaint


def test_print_is_black_on_white_without_controls(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    browser.scheme("dark", media="print")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not browser.one(".controls").is_displayed()
    assert browser.one("h1").is_displayed()
    assert browser.low_contrast() == []
