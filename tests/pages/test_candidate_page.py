"""A candidate's own page in a real browser: ranges, histograms, the engine layer by layer, small and at 5,000."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from assay_api.entries import EngineTensorEntry
from assay_api.report import Report
from tests.pages.browser import Browser
from tests.pages.conftest import write_page
from tests.unit.report import engines

Pages = dict[str, Path]
LAYERS = ".layers-view "


def test_the_candidate_is_named_and_nothing_of_a_summary_is_there(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    assert browser.driver.title == "Failed: vision/digits-cnn, fp16 · Assay"
    assert browser.one(".hero .audit").text == "vision/digits-cnn, candidate fp16"
    assert not browser.all(".recommendation, .cards, .tradeoff, .compared")
    assert browser.texts("nav a") == [
        "Findings", "Outputs", "Depth", "Range", "Tensors", "Histograms", "Engine", "Run",
    ]  # fmt: skip
    for link in browser.all("nav a"):
        target = str(link.get_attribute("href")).rsplit("#", 1)[1]
        assert browser.one(f"[id='{target}']").is_displayed()


def test_without_scripts_everything_is_there_too(browser: Browser, pages: Pages) -> None:
    browser.scripts(enabled=False)
    browser.open(pages["candidate"])
    assert len(browser.all(".chart.range .largest[d], .chart.depth .accumulated[d]")) == 2
    assert len(browser.all(".chart.histogram")) == 2
    assert len(browser.all(".engine-layers tbody tr")) == 15
    assert browser.one(".engine-layers caption").text == "The first 15 of 40 layers, in the order they run"
    assert not browser.all("button, input, select")


def test_range_answers_to_keys_and_leads_to_the_row(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    slider = browser.one(".chart.range [role=slider]")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 4)
    spoken = str(slider.get_attribute("aria-valuetext"))
    assert spoken.startswith("bn2.out; tensor 5 of 13, BatchNormalization; largest magnitude 101,210, smallest ")
    assert "41 elements overflow" in spoken
    slider.send_keys(Keys.ENTER)
    assert browser.one("tr.marked code").text == "bn2.out"
    assert browser.one("tr.marked .beyond").text == "✘ 41"
    assert "bn2.out is shown in the table" in str(browser.one("#live").get_attribute("textContent"))
    slider.send_keys(Keys.ESCAPE)
    assert not browser.one(".chart.range .tip").is_displayed()


def test_limits_of_the_format_are_drawn_where_they_are(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    labels = browser.texts(".chart.range .zones text")
    assert labels == ["FP16 largest 65,504", "smallest normal 6.1e-5", "smallest subnormal 6e-8"]
    assert browser.all(".chart.histogram")
    for figure in browser.all(".chart.histogram"):
        lines = [line.rect["x"] for line in figure.find_elements(By.CSS_SELECTOR, ".zones line")]
        area = figure.find_element(By.CSS_SELECTOR, ".area").rect
        high, normal, low = ((x - area["x"]) / area["width"] for x in lines)
        assert 0 < low < normal < high < 1
        # Powers of two: 2^-24 to 2^-14 is 10, 2^-14 to 65504 nearly 30.
        assert (high - normal) / (normal - low) == pytest.approx(3, rel=0.02)


def test_histograms_have_their_counts_as_a_table(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    figure = browser.all(".chart.histogram")[0]
    assert "641,951 of golden's elements lie beyond FP16's largest value" in figure.text
    figure.find_element(By.CSS_SELECTOR, "summary").send_keys(Keys.ENTER)
    rows = {"512 4,000,000 4,000,000 +0", "65,536 355,774 0 -355,774"}
    browser.wait_until(
        lambda: rows <= {each.text for each in figure.find_elements(By.CSS_SELECTOR, "tbody tr")}, "the table's rows"
    )


def test_layers_of_the_engine_filter_by_precision_and_word_and_sort(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    count = LAYERS + ".count"
    assert browser.one(count).text == "1–25 of 40 layers"
    choice = Select(browser.one(LAYERS + "select"))
    assert [option.text for option in choice.options] == ["every precision", "FP16 (27)", "INT8 (10)", "FP32 (3)"]
    choice.select_by_value("FP32")
    browser.wait_for_text(count, "1–3 of 3 layers (40 in all)")
    assert browser.texts(LAYERS + "tbody td:nth-child(4)") == ["FP32"] * 3
    browser.one(LAYERS + "input").send_keys("conv_8/")
    browser.wait_for_text(count, "1–1 of 1 layers (40 in all)")
    choice.select_by_value("")
    browser.one(LAYERS + "input").clear()
    browser.one(LAYERS + "input").send_keys(" ", Keys.BACKSPACE)
    browser.wait_for_text(count, "1–25 of 40 layers")
    browser.one(LAYERS + "th[data-key=type] button").click()
    kinds = browser.texts(LAYERS + "tbody td:nth-child(3)")
    assert kinds == sorted(kinds)


def test_scripts_shorten_the_tensors_of_a_layer_as_the_page_without_them(browser: Browser, tmp_path: Path) -> None:
    name = f"/encoder/a/rather/long/name/of/a/tensor/{'x' * 30}"
    many = tuple(EngineTensorEntry(name=f"{name}/{i}", format="Half") for i in range(7))
    report = engines.candidate()
    layer = report.candidates[0].engine_layers[0].model_copy(update={"inputs": many, "nodes": tuple("abcdef")})
    changed = report.candidates[0].model_copy(update={"engine_layers": (layer,)})
    page = write_page(tmp_path / "page.html", report.model_copy(update={"candidates": (changed,)}))
    browser.scripts(enabled=False)
    browser.open(page)
    without = browser.texts(LAYERS + "tbody td.long")
    browser.scripts(enabled=True)
    browser.open(page)
    assert browser.texts(LAYERS + "tbody td.long") == without
    assert any(text.endswith(" and 3 more") for text in without)
    assert "a, b, c, d and 2 more" in without


def test_achieved_precision_is_said_in_words(browser: Browser, pages: Pages) -> None:
    browser.open(pages["candidate"])
    assert browser.one(".achieved caption").text == "Precision the engine's layers ran in; fp16 was asked for"
    assert browser.texts(".achieved tbody tr") == ["FP16 27 67.5 %", "INT8 10 25.0 %", "FP32 3 7.5 %"]
    facts = browser.one("[aria-labelledby='candidate-0-engine'] dl").text
    assert "TensorRT\n10.6.0" in facts
    assert "Build, seconds\n31.2" in facts
    assert "2 warnings of the builder" in browser.one("[aria-labelledby='candidate-0-engine']").text


def test_five_thousand_layers_of_network_and_engine_are_ready_at_once(browser: Browser, pages: Pages) -> None:
    page = pages["deep-candidate"]
    assert page.stat().st_size < 2_500_000, "bytes"
    browser.open(page)
    loaded = browser.worked()
    assert 0 < loaded < 2, "seconds until scripts have run"
    assert browser.run("return document.getElementsByTagName('*').length") < 2_500
    browser.run(
        """document.querySelector('.layers-view th[data-key=tactic] button').click();
        document.querySelector('.layers-view th[data-key=name] button').click();
        const select = document.querySelector('.layers-view select');
        for (const value of ['INT8', 'FP32', '']) { select.value = value; select.dispatchEvent(new Event('change')); }
        const chart = document.querySelector('.chart.range [role=slider]');
        chart.focus();
        for (let i = 0; i < 100; i++) chart.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown' }));
        document.body.getBoundingClientRect();"""
    )
    assert browser.worked() - loaded < 2, "seconds for two sorts, three filters and a hundred moves"
    browser.one(LAYERS + "input").send_keys("CONV_4321/")
    browser.wait_for_text(LAYERS + ".count", "1–1 of 1 layers (5000 in all)")


@pytest.mark.parametrize(("precision", "said"), [("int8", "INT8 takes a scale per tensor"), ("bf16", "BF16")])
def test_formats_without_near_limits_say_so(precision: str, said: str, browser: Browser, tmp_path: Path) -> None:
    report: Report = engines.candidate()
    (candidate,) = report.candidates
    changed = candidate.model_copy(update={"precision": precision})
    page = write_page(tmp_path / "page.html", report.model_copy(update={"candidates": (changed,)}))
    browser.open(page)
    assert said in browser.one(".chart.range figcaption").text
    assert not [rect for rect in browser.all(".chart.range .zones rect") if rect.rect["height"] > 1]
