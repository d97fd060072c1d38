"""The layers of a candidate in a real browser: the chart, and the table of all tensors, small and at 5,000."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.pages.browser import Browser

Pages = dict[str, Path]
SECTION = "#candidate-1 "


@pytest.mark.parametrize("name", ["failed", "emulated", "deep"])
def test_scripts_write_the_rows_that_stood_there_without_them(name: str, browser: Browser, pages: Pages) -> None:
    browser.scripts(enabled=False)
    browser.open(pages[name])
    without = browser.texts(".tensors")
    browser.scripts(enabled=True)
    browser.open(pages[name])
    rows = [text.splitlines()[2:] for text in (*without, *browser.texts(".tensors"))]
    half = len(rows) // 2
    assert half
    for before, after in zip(rows[:half], rows[half:], strict=True):
        assert before == after[: len(before)]


def test_tensors_sort_filter_and_page(browser: Browser, pages: Pages) -> None:
    browser.open(pages["deep"])
    section = "#candidate-0 "
    count = section + ".controls .count"
    assert browser.one(section + ".tensors tbody th code").text == "/stage6/block160/conv_3210.out"
    assert browser.one(count).text == "1–25 of 5000 tensors"
    next_page = browser.all(section + ".controls .button")[1]
    next_page.click()
    assert browser.one(count).text == "26–50 of 5000 tensors"
    browser.one(section + "th[data-key=index] button").click()
    assert browser.texts(section + ".tensors tbody td:first-child")[:3] == ["1", "2", "3"]
    browser.one(section + "input").send_keys("BLOCK249/")
    browser.wait_for_text(count, "1–20 of 20 tensors (5000 in all)")
    shown = browser.texts(section + ".tensors tbody th code")
    assert ["block249" in text for text in shown] == [True] * 20
    browser.one(section + "input").send_keys("nowhere")
    browser.wait_for_text(count, "No tensor matches")


def test_chart_answers_to_the_keyboard_and_leads_to_the_row(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    slider = browser.one(SECTION + "[role=slider]")
    slider.send_keys(Keys.HOME)
    slider.send_keys(Keys.ARROW_RIGHT * 4)
    spoken = str(slider.get_attribute("aria-valuetext"))
    assert spoken.startswith("bn2.out; tensor 5 of 13, BatchNormalization; accumulated 28.4 dB, local 32.0 dB")
    assert "55.0 % of its error is added by its own node" in spoken
    tip = browser.one(SECTION + ".tip")
    assert tip.is_displayed()
    assert tip.text.startswith("bn2.out")
    slider.send_keys(Keys.ENTER)
    assert browser.one(SECTION + "tr.marked code").text == "bn2.out"
    slider.send_keys(Keys.END)
    assert slider.get_attribute("aria-valuenow") == "13"


def test_chart_answers_to_the_pointer(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    area = browser.one(SECTION + ".snr .area")
    ActionChains(browser.driver).scroll_to_element(area).move_to_element(area).perform()
    tip = browser.one(SECTION + ".tip")
    assert tip.is_displayed()
    assert tip.text.startswith("pool2.out")
    cursors = browser.all(SECTION + ".cursor")
    assert [round(c.rect["x"]) for c in cursors] == [round(area.rect["x"] + area.rect["width"] / 2)] * 2
    ActionChains(browser.driver).move_to_element(browser.one("h1")).perform()
    assert not tip.is_displayed()


def test_five_thousand_layers_are_ready_at_once(browser: Browser, pages: Pages) -> None:
    browser.open(pages["deep"])
    loaded = browser.worked()
    assert 0 < loaded < 2, "seconds until scripts have run"
    assert browser.run("return document.getElementsByTagName('*').length") < 1_500
    browser.run(
        """document.querySelector('th[data-key=name] button').click();
        document.querySelector('th[data-key=localSnr] button').click();
        const chart = document.querySelector('[role=slider]');
        chart.focus();
        for (let i = 0; i < 100; i++) chart.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown' }));
        document.body.getBoundingClientRect();"""
    )
    assert browser.worked() - loaded < 2, "seconds for two sorts and a hundred moves"


def test_a_deep_network_is_drawn_in_columns_and_any_part_of_it_node_by_node(browser: Browser, pages: Pages) -> None:
    browser.open(pages["deep"])
    figure = "#candidate-0 .chart.depth "
    whole = browser.all(figure + ".drawing path[d]")
    drawn = {str(path.get_attribute("class")): str(path.get_attribute("d")) for path in whole}
    assert drawn["accumulated"].count("L") < 250
    assert drawn["band"].startswith("M")
    nearer, wider, earlier, later, all_of_it = browser.all(figure + ".zoom button")
    assert [button.is_enabled() for button in (nearer, wider, earlier, later, all_of_it)] == [True, *[False] * 4]
    for _ in range(2):
        nearer.click()
    said = figure + ".zoom [role=status]"
    assert browser.one(said).text == "tensors 2345 to 2657 of 5000"
    nearer.click()
    assert browser.one(said).text == "tensors 2463 to 2540 of 5000"
    assert str(browser.one(figure + ".drawing .accumulated").get_attribute("d")).count("L") == 77
    assert browser.one(figure + ".drawing .band").get_attribute("d") == ""
    assert browser.texts(figure + ".axis span")[::2] == ["tensor 2463", "tensor 2540"]
    later.click()
    assert browser.one(said).text == "tensors 2502 to 2579 of 5000"
    slider = browser.one(figure + "[role=slider]")
    slider.send_keys(Keys.END)
    assert browser.one(said).text == "tensors 4923 to 5000 of 5000"
    assert "tensor 5000 of 5000" in str(slider.get_attribute("aria-valuetext"))
    all_of_it.click()
    assert browser.one(said).text == "tensors 1 to 5000 of 5000"
    again = {
        name: browser.one(f"{figure}.drawing .{name.replace(' ', '.')}").get_attribute("d")
        for name in drawn
        if name != "grid"
    }
    for name in ("accumulated", "local dense", "band"):
        first, second = (re.findall(r"[\d.]+", path) for path in (drawn[name], str(again[name])))
        # The page carries five digits of a value.
        assert [float(v) for v in second] == pytest.approx([float(v) for v in first], abs=0.2), name


def test_a_small_network_needs_no_zoom(browser: Browser, pages: Pages) -> None:
    browser.open(pages["failed"])
    assert browser.all(SECTION + ".chart.depth")
    assert not browser.all(".zoom, .band")
