"""The picture of a report page in the README is of a real audit, as a browser shows it today.

ASSAY_PICTURE=docs/report.png make test ARGS=tests/pages/test_picture.py      # takes it anew
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bench.programs import ROOT, python, run_program
from tests.pages.browser import Browser
from tests.real.staging import PRECISIONS, audit, staged, write_audit

PICTURE = ROOT / "docs" / "report.png"
LARGEST = 200_000
WIDTH, HEIGHT = 1280, 1150
CHECKS = ("finite", "outputDrift", "layerDrift", "fp16Range", "labelAccuracy")


def document(name: str) -> dict[str, Any]:
    """One audit of a model in every precision."""
    found = audit(name, "fp32", checks=CHECKS)
    found["metadata"]["name"] = name
    candidates = (audit(name, precision)["spec"]["candidates"] for precision in PRECISIONS)
    found["spec"]["candidates"] = [candidate for each in candidates for candidate in each]
    return found


def taken(browser: Browser, page: Path, folder: Path) -> bytes:
    """The top of a page as a PNG of few colours."""
    browser.screen(WIDTH, HEIGHT)
    browser.open(page)
    browser.screenshot(folder / "page.png")
    packed = io.BytesIO()
    with Image.open(folder / "page.png") as whole:
        top = whole.convert("RGB").crop((0, 0, whole.width, HEIGHT))
        top.quantize(64).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def test_the_picture_in_the_readme_is_of_a_real_report(browser: Browser, tmp_path: Path) -> None:
    file = write_audit(document("magika"), staged("magika"))
    run_program(python("assay_runner", "run", "-f", file, "--out", tmp_path / "out"), tmp_path / "log", allowed=(1,))
    picture = taken(browser, tmp_path / "out" / "report.html", tmp_path)
    assert len(picture) <= LARGEST
    if wanted := os.environ.get("ASSAY_PICTURE"):
        (ROOT / wanted).write_bytes(picture)
    with Image.open(PICTURE) as kept:
        assert kept.size == (WIDTH, HEIGHT)
    assert PICTURE.stat().st_size <= LARGEST
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text()
