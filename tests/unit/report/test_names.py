"""The scripts of the page read its data by the names of the types: a field that is renamed leaves no blank behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import assay_runner.report
from assay_runner.report.page import _scripts
from tests.unit.report import samples
from tools.generate import page_names

FOLDER = Path(assay_runner.report.__file__).parent
OBJECT = re.compile(r"^const ([A-Z]+) = Object\.freeze\(\{\n(.*?)^\}\);", re.MULTILINE | re.DOTALL)
NAMES = {name: set(re.findall(r'^  (\w+): "\1",$', body, re.MULTILINE)) for name, body in OBJECT.findall(page_names())}
FIELDS = set.union(*NAMES.values())
WORDS = {"overflow", "words", "at"}
"""Names of fields that the scripts have for words too: what a person reads, and a collator."""
SCRIPTS = _scripts(samples.deep())
"""All that a page may have."""
READERS = [name for name in SCRIPTS if name not in ("page.js", "names.js")]


def script(name: str) -> str:
    """The script without its comments."""
    return re.sub(r"/\*.*?\*/|(?<!:)//.*?$", "", (FOLDER / name).read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_names_are_those_of_the_types() -> None:
    assert NAMES.keys() == {"PAGE", "NETWORK", "CANDIDATE", "WORDS", "TENSOR", "LAYER"}
    assert {"localSnr", "accumulatedSnr", "startsHere", "largest"} <= NAMES["TENSOR"]
    assert all((FOLDER / name).suffix == ".js" for name in READERS)
    assert SCRIPTS.index("names.js") < min(map(SCRIPTS.index, READERS))


@pytest.mark.parametrize("name", READERS)
def test_every_name_that_a_script_reads_by_exists(name: str) -> None:
    read = re.findall(rf"\b({'|'.join(NAMES)})\.(\w+)", script(name))
    assert read
    assert [(of, field) for of, field in read if field not in NAMES[of]] == []


@pytest.mark.parametrize("name", [*READERS, "page.js"])
def test_no_script_spells_the_name_of_a_field(name: str) -> None:
    text = re.sub(rf"\b({'|'.join(NAMES)})\.\w+", "", script(name))
    quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", text)) & (FIELDS - WORDS)
    camel = {field for field in FIELDS if field.lower() != field}
    dotted = {field for field in re.findall(r"[.\s{,](\w+)\b", text) if field in camel}
    assert (quoted, dotted) == (set(), set())


@pytest.mark.parametrize("name", READERS)
def test_what_the_page_carries_is_read_by_generated_names_alone(name: str) -> None:
    assert re.findall(r"(?:carried\(\)|\bentry|\bnetwork)\.\w+", script(name)) == []
    keys = re.findall(r"(?:carried\(\)|\bentry|\bnetwork)\[(.*?)\]", script(name))
    assert all(re.fullmatch(rf"({'|'.join(NAMES)})\.\w+", key) for key in keys), keys
