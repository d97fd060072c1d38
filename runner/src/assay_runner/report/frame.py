"""The frame of every page: one file that asks the network for nothing and runs no script but its own.

The policy in its head names the style and the script by their hashes, so that nothing a model or a dataset smuggled
into a name could run even if escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import quote

from assay_api.report import Verdict
from assay_runner.report.markup import Html
from assay_runner.report.zones import PATTERNS

_COLOURS = {Verdict.PASSED: "#0b6b3a", Verdict.FAILED: "#b3121d", Verdict.INCONCLUSIVE: "#8a5a00"}
_STYLES, _MEDIA = ("style.css", "charts.css"), "media.css"
_COMMENT: Final = re.compile(r"^[ \t]*(?://.*|/\*(?:(?!\*/)[\s\S])*\*/[ \t]*)\n", re.MULTILINE)
"""Lines that are a comment alone, of scripts and styles: for who reads the source, not the page."""


def framed(
    title: Html,
    verdict: Verdict,
    links: Html,
    main: Html,
    data: Html,
    scripts: Sequence[str] = (),
    source: str = "report.json",
    styles: Sequence[str] = (),
) -> bytes:
    """A whole page in UTF-8.

    Args:
        title: of the window.
        verdict: whose shape and colour its icon has.
        links: to its parts.
        main: what it shows.
        data: what its scripts read.
        scripts: names of the package's files that run in it.
        source: what else all of it stands in.
        styles: names of the package's files that style it, beside those of every page.
    """
    style = "".join(map(_source, (*_STYLES, *styles, _MEDIA)))
    script = "".join(map(_source, scripts))
    page = Template(_source("page.html")).substitute(
        policy=_policy(style, script),
        title=title,
        icon=_favicon(verdict),
        style=style,
        links=links,
        patterns=PATTERNS,
        main=main,
        report=data,
        script=script,
        source=source,
    )
    return page.encode("utf-8", "backslashreplace")


@cache
def _source(name: str) -> str:
    return _COMMENT.sub("", files("assay_runner.report").joinpath(name).read_text("utf-8"))


def _policy(style: str, script: str) -> str:
    """Content-Security-Policy: nothing from anywhere but this style, this script and the icon in the page."""
    rules = (
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(rules)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _favicon(verdict: Verdict) -> str:
    shape = f'<circle cx="8" cy="8" r="8" fill="{_COLOURS[verdict]}"/>'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{shape}</svg>'
    return f"data:image/svg+xml,{quote(drawing)}"
