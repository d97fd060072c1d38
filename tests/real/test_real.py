"""Models as packages ship them, audited whole, and every figure held against a second opinion.

The small ones are part of every run of the tests; all of them, with the table, are `make test-real`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.real import opinion
from tests.real.models import MODELS, QUICK
from tests.real.opinion import Opinion
from tests.real.repairs import FAILING, repaired
from tests.real.repairs import PAGE as REPAIRS
from tests.real.runs import CLOSE, LIMIT, audited, disagreements, second_opinion
from tests.real.staging import PRECISIONS, staged
from tests.real.table import PAGE, Row, rows_of, write

AUDITED = [(name, precision) for name in QUICK for precision in PRECISIONS]


@pytest.mark.parametrize(("name", "precision"), AUDITED)
def test_a_report_on_a_real_model_says_what_a_second_opinion_says(name: str, precision: str, tmp_path: Path) -> None:
    ran = audited(name, precision, staged(name), tmp_path)
    assert ran.report, ran.said
    other = second_opinion(ran, staged(name))
    # Nobody else computes it either where sums are taken inside control flow: then not all of it can have been judged.
    undecided = {ran.verdict, *(finding["verdict"] for finding in ran.findings)}
    assert other is not None or "Inconclusive" in undecided
    assert other is None or list(disagreements(ran, other)) == []


@pytest.mark.parametrize(("name", "precision"), [("akiki-vad", "int8"), ("silero-vad", "int8")])
def test_what_a_repair_recommends_of_a_real_model_is_right_by_a_second_opinion(
    name: str, precision: str, tmp_path: Path
) -> None:
    found = repaired(name, precision, staged(name), tmp_path)
    assert found.remedies, "something applies"
    for each in found.remedies:
        assert each["outcome"] == "Cured" or each["message"], "what was not cured says why"
    assert found.cured == (found.to_ship is not None)
    if found.to_ship:
        model, folder = MODELS[name], staged(name)
        fed = opinion.batches(folder / "data", model.batch, model.dataset.get("inputs"))
        reference = opinion.golden(folder / "model.onnx")
        other = opinion.of_file(Opinion(parts=model.parts), reference, found.to_ship, fed)
        assert min(other.snr.values()) > LIMIT - CLOSE


def test_the_page_of_repairs_tells_of_candidates_that_fail_in_their_order() -> None:
    rows = list(rows_of(REPAIRS.read_text(), "repair"))
    assert rows == [pair for pair in FAILING if pair in rows]
    assert {"pp-ocr-det", "pp-ocr-rec", "nudenet"} < {name for name, _ in rows}


def test_the_table_has_every_candidate_of_every_model() -> None:
    wanted = {(name, precision) for name in MODELS for precision in PRECISIONS}
    assert set(rows_of(PAGE.read_text(), "cpu")) == wanted


def test_the_page_says_where_each_model_comes_from() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    assert listed == [(name, str(model.wheel or "trained here")) for name, model in MODELS.items()]


def test_a_row_goes_into_its_own_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- cpu -->\n<!-- /cpu -->\n\n<!-- gpu -->\n<!-- /gpu -->\n")
    write([Row(("magika", "fp16", "Failed", "–", "a cause", "1.0 s", "1 MB"))], "gpu", page)
    assert rows_of(page.read_text(), "cpu") == {}
    assert list(rows_of(page.read_text(), "gpu")) == [("magika", "fp16")]
