"""One Report, three readers: a person with a browser, a CI system, a person at a terminal."""

from __future__ import annotations

from assay_runner.report.ctrf import render_ctrf
from assay_runner.report.junit import render_junit
from assay_runner.report.page import render_html
from assay_runner.report.suites import results_of
from assay_runner.report.terminal import print_verdicts
from assay_runner.report.wording import first

__all__ = ["first", "print_verdicts", "render_ctrf", "render_html", "render_junit", "results_of"]
