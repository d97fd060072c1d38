"""The summary's comparison of candidates in a real browser: accuracy against latency, errors over each other."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.pages.browser import Browser
from tests.pages.conftest import write_page
from tests.unit.report import engines, samples

Pages = dict[str, Path]
NAMES = ["fp32", "tf32", "fp16", "bf16", "int8-ptq", "int8-qat"]


def test_candidates_stand_side_by_side(browser: Browser, pages: Pages) -> None:
    browser.open(pages["fleet"])
    heads = [head.removesuffix(" ↕") for head in browser.texts(".cards thead th")]
    assert heads == [
        "Candidate", "Verdict", "Precision", "Accuracy", "SNR, worst sample",
        "Worst figure", "Latency", "Throughput", "Size",
        "Memory", "Layers ran in",
    ]  # fmt: skip
    row = browser.all(".cards tbody tr")[5]
    cells = [" ".join(cell.text.split()) for cell in row.find_elements(By.CSS_SELECTOR, "td")]
    assert cells[:5] == [
        "Passed ship", "int8 weak tensorrt", "96.94 % top1, golden 97.50 %", "29 dB", "top1 96.94 % limit ≥ 96.53 %",
    ]  # fmt: skip
    assert cells[5:8] == ["0.420 ms batch 32", "76,190/s", "17.2 MiB"]
    assert cells[9] == "27 FP16, 10 INT8, 3 FP32"


def test_plot_puts_every_measured_candidate_in_its_place(browser: Browser, pages: Pages) -> None:
    browser.open(pages["fleet"])
    links = browser.all(".tradeoff .marks a")
    told = {str(link.get_attribute("aria-label")).split(":")[0]: link for link in links}
    assert set(told) == set(NAMES)
    assert told["int8-qat"].get_attribute("aria-label") == "int8-qat: Passed, 96.94 %, 0.420 ms"
    area = browser.one(".tradeoff .area").rect

    def place(name: str) -> tuple[float, float]:
        box = told[name].find_element(By.CSS_SELECTOR, ".icon").rect
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        return (x - area["x"]) / area["width"], 1 - (y - area["y"]) / area["height"]

    # Axes from 0 to 2 ms and from 94 to 98 %.
    for name, latency, accuracy in (("fp32", 1.94, 97.5), ("int8-ptq", 0.41, 94.17), ("int8-qat", 0.42, 96.94)):
        x, y = place(name)
        assert abs(x - latency / 2) < 0.01, name
        assert abs(y - (accuracy - 94) / 4) < 0.02, name
    assert len(browser.all(".tradeoff .ring")) == 1
    caption = browser.one(".tradeoff figcaption").text
    assert "Fastest: int8-ptq, 0.410 ms. Most accurate: fp32, 97.50 %. Golden has 97.50 %." in caption
    assert "Not in the plot, for want of a latency or an accuracy: fp16-strong." in caption
    shapes = {name: told[name].find_element(By.CSS_SELECTOR, ".icon path").get_attribute("d") for name in NAMES}
    assert shapes["int8-ptq"] != shapes["fp32"], "a verdict has a shape, not only a colour"


@pytest.mark.parametrize("width", [400, 760, 1280])
def test_twelve_names_in_one_corner_cover_neither_each_other_nor_a_mark(
    width: int, browser: Browser, pages: Pages
) -> None:
    browser.screen(width, 900)
    browser.open(pages["crowd"])
    shown = [text for text in browser.all(".marks text") if text.is_displayed()]
    assert len(shown) == len(engines.CROWD)
    boxes = [box.rect for box in (*shown, *browser.all(".marks .icon"))]
    for name, (first, other) in product(range(len(shown)), combinations(boxes, 2)):
        if first is boxes[name]:
            apart = first["x"] + first["width"] <= other["x"] or other["x"] + other["width"] <= first["x"]
            # A box of letters is higher than they are.
            over = first["y"] + first["height"] <= other["y"] + 4 or other["y"] + other["height"] <= first["y"] + 4
            assert apart or over, shown[name].text
        assert first["x"] + first["width"] <= width


def test_what_passed_with_a_remark_stands_beside_what_failed(browser: Browser, pages: Pages) -> None:
    browser.open(pages["crowd"])
    assert browser.texts(".finding .sentence") == [
        "fp8 was asked for, and only 1 of 10 layers that compute ran in it: 9 FP32, 1 FP8"
    ]
    assert browser.texts(".passed-findings summary") == ["12 more findings passed"]
    assert len(browser.all(".cards .trouble")) == 1


def test_marks_are_links_for_the_keyboard(browser: Browser, pages: Pages) -> None:
    browser.open(pages["fleet"])
    link = next(a for a in browser.all(".marks a") if str(a.get_attribute("aria-label")).startswith("fp32"))
    browser.run("arguments[0].focus()", link)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.wait_until(lambda: browser.one("#candidate-0").get_attribute("open"), "the candidate to be unfolded")


def test_emulated_latencies_are_not_plotted_and_a_sentence_says_so(browser: Browser, tmp_path: Path) -> None:
    parts = []
    for name in ("a", "b"):
        candidate, found = samples.fp16()
        changes = {"name": name, "emulated": True, "backend": "onnxruntime"}
        parts.append((candidate.model_copy(update=changes), found))
    browser.open(write_page(tmp_path / "emulated.html", samples.report(*parts)))
    assert not browser.all(".tradeoff")
    text = browser.one("[aria-labelledby=candidates]").text
    assert "The latencies were emulated, so there is no plot of accuracy against latency" in text


def test_without_labels_the_worst_snr_is_plotted(browser: Browser, tmp_path: Path) -> None:
    parts = [engines.on_gpu(n, "fp16", ms, 0.9, snr, samples.PASSED) for n, ms, snr in (("a", 1, 40), ("b", 2, 60))]
    bare = [(candidate.model_copy(update={"accuracy": {}}), found) for candidate, found in parts]
    browser.open(write_page(tmp_path / "bare.html", samples.report(*bare)))
    assert "worst SNR of the outputs, dB" in browser.one(".tradeoff").text
    assert "Most accurate: b, 60 dB." in browser.one(".tradeoff figcaption").text


def shown(browser: Browser, metric: str) -> list[str]:
    lines = browser.all(f".compared g[data-metric={metric}] path")
    return [str(line.get_attribute("data-line")) for line in lines if line.is_displayed()]


def test_candidates_are_chosen_by_keyboard_and_their_lines_follow(browser: Browser, pages: Pages) -> None:
    browser.open(pages["fleet"])
    assert browser.texts(".line-keys li") == NAMES
    assert shown(browser, "accumulatedSnr") == ["0", "1", "2", "3", "4", "5"]
    boxes = browser.all(".line-keys input")
    boxes[0].send_keys(Keys.SPACE)
    boxes[3].send_keys(Keys.SPACE)
    assert shown(browser, "accumulatedSnr") == ["1", "2", "4", "5"]
    assert browser.one("#live").get_attribute("textContent") == "4 of 6 candidates are shown."
    browser.all(".compared [type=radio]")[0].send_keys(Keys.ARROW_RIGHT)
    assert shown(browser, "localSnr") == ["1", "2", "4", "5"]
    assert shown(browser, "accumulatedSnr") == []
    slider = browser.one(".compared [role=slider]")
    slider.send_keys(Keys.HOME)
    spoken = str(slider.get_attribute("aria-valuetext"))
    assert spoken.startswith("conv1.out; 4 % of the depth; tf32 97.0 dB; fp16 84.0 dB; int8-ptq ")
    dashes = {
        browser.run("return getComputedStyle(arguments[0]).strokeDasharray", p) for p in browser.all(".sample path")
    }
    assert len(dashes) == len(NAMES), "lines are told apart without colour"


def test_summary_leaves_to_the_candidates_pages_what_is_theirs(browser: Browser, pages: Pages) -> None:
    browser.open(pages["fleet"])
    assert not browser.all(".engine-layers, .chart.histogram, .chart.range")
    links = browser.all("#candidate-4 .own a")
    assert [link.get_dom_attribute("href") for link in links] == ["int8-ptq/report.html"]
    data = browser.run("return JSON.parse(document.getElementById('report').textContent)")
    assert ["engine" in candidate for candidate in data["candidates"]] == [False] * len(engines.fleet().candidates)
