"""The list of what this machine could not run: a pytest plugin.

A fixture or a test that raises `Unavailable` is skipped and named at the very end of the run, in a line beginning
`NOT RUN:`; a skipped test that nobody sees would be a false pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator

import pytest

from tests.lab import Unavailable

PROPERTY = "not run"


def skip_unavailable(item: pytest.Item) -> Generator[None, object, object]:
    """Turn `Unavailable` into a skip whose reason travels in the test's report."""
    try:
        return (yield)
    except Unavailable as error:
        item.user_properties.append((PROPERTY, str(error)))
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_unavailable(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_unavailable(item))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Missed())


class Missed:
    """Gathers from the reports what could not run, and prints it last of all."""

    def __init__(self) -> None:
        self.missed: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            file = report.nodeid.split("::")[0]
            self.missed.update((file, str(why)) for what, why in report.user_properties if what == PROPERTY)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        for (file, why), count in sorted(self.missed.items()):
            print(f"NOT RUN: {file} ({count} test{'s' * (count > 1)}): {why}")
