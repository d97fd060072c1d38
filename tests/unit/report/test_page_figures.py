"""What the page shortens, and which figures it marks as deciding nothing."""

from __future__ import annotations

from assay_api.report import Verdict
from tests.unit.report import engines, samples
from tests.unit.report.documents import carried
from tests.unit.report.test_page import main, page


def test_a_very_long_name_is_shortened_in_the_middle_and_whole_in_a_title() -> None:
    name = f"first{'n' * 5_000}last"
    candidate, found = samples.int8()
    layer = samples.layers(40.0)[0].model_copy(update={"name": name})
    drift = found[0].model_copy(update={"tensor": name, "message": f"{name}: largest absolute error 0.3127"})
    tree = main(samples.report((candidate.model_copy(update={"layers": (layer,)}), [drift])))
    assert name not in tree.text
    titles = [n for n in tree.all("code") if n.attributes.get("title") == name]
    assert len(titles) >= 3, "in the table of candidates, the finding, the table of tensors"
    for node in titles:
        assert node.text.startswith("firstnnn")
        assert node.text.endswith("nnnlast")
        assert len(node.text) == 120
    assert carried(page(samples.report((candidate.model_copy(update={"layers": (layer,)}), []))))["candidates"]


def test_a_figure_that_decides_nothing_says_so() -> None:
    candidate, found = samples.fp16()
    unsure = found[2].model_copy(update={"verdict": Verdict.INCONCLUSIVE})
    judged = candidate.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
    row = main(samples.report((judged, [*found[:2], unsure]))).one("table", class_="cards").one("tbody").text
    assert "top1 97.50 % limit ≥ 96.53 % not decided" in row
    assert "not decided" not in main(samples.failed()).text


def test_a_line_of_tensors_that_are_not_served_says_so() -> None:
    report = engines.fleet(layers=12)
    first, *rest = report.candidates
    astray = report.model_copy(update={"candidates": (first.model_copy(update={"layers_served": False}), *rest)})
    figure = main(astray).one("figure", id="compared")
    assert f"{first.name} (not as served)" in figure.one("ul", class_="line-keys").text
    assert "dB, in a run that does not give the served outputs; " in figure.one("figcaption").text
    assert "served" not in main(report).one("figure", id="compared").text
