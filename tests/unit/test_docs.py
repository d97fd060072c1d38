"""What the documents promise: every link leads somewhere, every audit is valid, every command line is one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_api.names import Reason
from assay_runner.checks import CHECKS
from assay_runner.cli import parser
from assay_runner.cli.documents import read_resources
from assay_runner.cli.heads import TYPES
from tests.lab.toolchain import MODULES
from tests.walk import section, steps

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("charts/**/*.md")]
)
# What is of other tools beside them is checked by tests/api/test_gitops_examples.py.
AUDITS = sorted(
    path for path in ROOT.glob("examples/**/*.yaml") if "\napiVersion: assay.dev/" in f"\n{path.read_text()}"
)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [text for _, found, text in FENCE.findall(page.read_text()) if found == language]


def anchors(page: Path) -> set[str]:
    """Addresses of a page's headings, as GitHub makes them."""
    prose = FENCE.sub("", page.read_text())
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def resources_on_pages() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(blocks(page, "yaml")):
            for document in yaml.safe_load_all(block):
                if isinstance(document, dict) and document.get("kind") in TYPES and "spec" in document:
                    yield pytest.param(document, id=f"{named(page)}-{number}")


@pytest.mark.parametrize("document", list(resources_on_pages()))
def test_every_resource_on_a_page_is_valid(document: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text(yaml.safe_dump(document))
    assert read_resources(str(file))


@pytest.mark.parametrize("path", AUDITS, ids=named)
def test_every_example_is_valid(path: Path) -> None:
    assert read_resources(str(path))


def command_lines() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text()
        shells = [b for language in ("shell", "sh", "bash") for b in blocks(page, language)]
        lines = [line.strip() for b in shells for line in b.splitlines()]
        # In a console what does not stand behind a prompt is an output, or goes on from the line before.
        lines += [line.strip() for b in blocks(page, "console") for line in b.splitlines() if line.strip()[:2] == "$ "]
        lines += [span for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)) if " -f " in span]
        for line in lines:
            found = re.match(r"(?:\$ )?(?:\S*/)?assay (.*)", line)
            if found:
                yield pytest.param(re.split(r"\s#|[;|&>]", found[1])[0], id=f"{named(page)}: {line[:60]}")


@pytest.mark.parametrize("words", list(command_lines()))
def test_every_command_line_is_one(words: str) -> None:
    assert parser().parse_args(shlex.split(words.replace("[", "").replace("]", ""))).command


def test_the_readme_names_every_check() -> None:
    table = (ROOT / "README.md").read_text().partition("\n## Checks\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(CHECKS)


def documents(text: str) -> list[dict[str, Any]]:
    """The audits of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def test_the_readme_s_audit_is_the_example_that_passes() -> None:
    """So that whoever copies it gets what getting-started.md shows of the example."""
    (shown,) = (document for block in blocks(ROOT / "README.md", "yaml") for document in documents(block))
    assert [shown] == documents((ROOT / "examples" / "cluster" / "digits-cpu.yaml").read_text())


def test_the_readme_s_way_into_a_cluster_is_the_one_that_is_walked() -> None:
    """tests/e2e walks getting-started.md; the README has some of its commands, in their order."""
    page = ROOT / "docs" / "getting-started.md"
    walked = iter([step.command for step in steps(section(page, "## In a cluster"), "page")])
    shown = [step.command for step in steps(section(ROOT / "README.md", "## In a cluster"), "README.md")]
    assert len(shown) > 5
    assert [command for command in shown if command not in walked] == []


def test_the_page_names_the_helm_that_the_lab_has() -> None:
    at, _ = MODULES["helm"]
    assert f"helm {at.partition('@v')[2]} and" in (ROOT / "docs" / "getting-started.md").read_text()


def test_the_pages_say_what_every_reason_means() -> None:
    """Those of audits, and those that only sweeps have."""
    table = section(ROOT / "docs" / "getting-started.md", "### When it does not go on")
    table += section(ROOT / "docs" / "sweeps.md", "## When it does not go on")
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    assert set(Reason) - {word for row in rows for word in re.findall(r"`(\w+)`", row)} == set()


def test_there_is_something_to_hold_them_to() -> None:
    assert len(list(resources_on_pages())) >= 2
    assert len(list(command_lines())) >= 6
    assert len(AUDITS) >= 5
