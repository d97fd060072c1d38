"""A page that a command has made or fetched: opened where there is a display, and its path printed."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from assay_api.names import ExitCode
from assay_runner.cli.failures import say


def shown(page: Path, *, to_open: bool) -> int:
    """Open the page where that is asked for and possible, and tell where it is; the exit code."""
    if to_open and not _opened(page):
        say("there is no display here, so open the page yourself:")
    print(page, flush=True)
    return ExitCode.PASSED


def _opened(page: Path) -> bool:
    """Whether a browser took the page; on Linux without a display none is asked, for it would take the terminal."""
    seen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if sys.platform.startswith("linux") and not seen:
        return False
    try:
        return webbrowser.open(page.as_uri())
    except webbrowser.Error:
        return False
