"""Every table of every page on a phone: nothing is cut off or lies beyond the edge, and each cell tells its heading."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_runner.report.difference_page import render_differences
from assay_runner.report.differences import differences
from assay_runner.report.sweep_cells import sweep_shown
from assay_runner.report.sweep_page import render_sweep
from tests.pages.browser import Browser
from tests.pages.conftest import REPORTS
from tests.unit.report import samples
from tests.unit.report.sweeps import some

WIDTH = 390
BEYOND = """
document.querySelectorAll('details').forEach((each) => { each.open = true; });
const wide = (table) => table.getBoundingClientRect().width > (table.closest('.scroll') ?? table.parentElement)
  .getBoundingClientRect().width + 1;
const bare = (cell) => cell.textContent.trim() && !cell.dataset.label && cell.colSpan === 1
  && cell.closest('table').tHead.rows[0].cells[0].textContent;
const first = [...document.querySelectorAll('.stack tbody tr > td:first-of-type')];
return [...document.querySelectorAll('table:not(.heat)')].filter(wide).map((table) => table.textContent.slice(0, 80))
  .concat(first.filter(bare).map((c) => `bare ${c.textContent}`))
  .concat(document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : []);
"""


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    old, new = samples.passed(), samples.failed()
    rendered = {
        "sweep": render_sweep(sweep_shown(*some())),
        "difference": render_differences(old, new, differences(old, new)),
    }
    folder = tmp_path_factory.mktemp("others")
    for name, page in rendered.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: folder / f"{name}.html" for name in rendered}


@pytest.mark.parametrize("name", [*REPORTS, "sweep", "difference"])
def test_no_table_is_cut_on_a_phone(
    name: str, browser: Browser, pages: dict[str, Path], others: dict[str, Path]
) -> None:
    browser.screen(WIDTH, 844)
    browser.open({**pages, **others}[name])
    assert browser.run(BEYOND) == []


def test_the_outputs_are_cards_with_headings_and_roles(browser: Browser, pages: dict[str, Path]) -> None:
    browser.screen(WIDTH, 844)
    browser.open(pages["passed"])
    cell = browser.one("[aria-label^=Outputs] tbody td[data-label='Worst sample']")
    assert cell.get_attribute("role") == "cell"
    label = "return getComputedStyle(arguments[0], '::before').content"
    assert browser.run(label, cell) == '"Worst sample"'
    tensor = browser.one(".tensors tbody td[data-label='Local SNR']")
    assert browser.run(label, tensor) == '"Local SNR"', "rows that scripts write are labelled too"
    browser.screen(1280, 900)
    assert browser.run(label, cell) in ("none", "normal")
