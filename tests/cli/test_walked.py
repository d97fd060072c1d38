"""What the pages tell somebody with one machine and no cluster, pasted as it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.walk import Shell, Step, section, steps

ROOT = Path(__file__).parents[2]
PAGES = (("README.md", "## Try it"), ("docs/getting-started.md", "## On one machine"))
# The others ask for a GPU, for a model of the reader's own, or for all tests.
HERE = ("make demo", ".venv/bin/assay ")


def commands() -> list[Step]:
    """The commands that anybody can run, each once, in the order of the pages."""
    found = [step for name, title in PAGES for step in steps(section(ROOT / name, title), name)]
    return list(
        {step.command.partition("#")[0].strip(): step for step in found if step.command.startswith(HERE)}.values()
    )


def test_what_is_told_for_one_machine_runs_as_shown(tmp_path: Path) -> None:
    others = ("MAKE", "MFLAGS", "PYTEST_", "ASSAY_")
    given = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    shell = Shell(ROOT, given, tmp_path / "shell")
    printed = {step.command: shell.walk(step) for step in commands()}
    page = Path(printed["make demo"].splitlines()[-1])
    assert page.name == "report.html"
    assert page.is_file()


def test_there_is_something_to_run() -> None:
    words = [step.command.split()[:2] for step in commands()]
    assert ["make", "demo"] in words
    for command in ("validate", "plan", "run"):
        assert [".venv/bin/assay", command] in words


@pytest.mark.parametrize(("name", "title"), PAGES)
def test_what_needs_more_is_told_apart(name: str, title: str) -> None:
    """What is not run here needs a GPU, the reader's own files, or all the time of `make test`."""
    rest = [s.command for s in steps(section(ROOT / name, title), name) if not s.command.startswith(HERE)]
    known = ("make test ", "assay run -f examples/digits/engines.yaml", "assay init model.onnx data/")
    assert [command for command in rest if not command.startswith(known)] == []
