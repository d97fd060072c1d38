"""The page is whole without scripts, safe against any name, small, and says what the report says."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.behaviour_details import InnerDifferenceEntry, InsideEntry
from assay_api.details import Details
from assay_api.entries import MetricEntry
from assay_api.output_details import SpreadEntry
from assay_api.report import (
    CandidateReport,
    DatasetEntry,
    Finding,
    GoldenEntry,
    OutputEntry,
    Recommendation,
    Report,
    TensorEntry,
    Verdict,
    to_json,
)
from assay_api.tensor_details import InnerEntry
from assay_runner.report import render_html
from tests.unit.report import samples
from tests.unit.report.documents import Node, carried, parse_page

Build = Callable[[], Report]
REPORTS = (samples.passed, samples.failed, samples.inconclusive, samples.emulated)
HOSTILE = "</script><script>alert(1)</script><!-- ' \" & <img src=x onerror=alert(1)> \u2028\u2029\x00\x1b[31m\u202e"


def page(report: Report) -> Node:
    return parse_page(render_html(report))


def main(report: Report) -> Node:
    return page(report).one("main")


@pytest.mark.parametrize("build", REPORTS)
def test_verdict_comes_first_and_as_a_word(build: Build) -> None:
    report = build()
    tree = page(report)
    hero = next(tree.one("main").walk())
    assert hero.one("h1").text == report.verdict
    assert hero.one("h1").all("svg"), "an icon stands beside the word"
    assert tree.one("head").one("title").children[0] == f"{report.verdict}: {report.audit} · Assay"
    assert report.recommendation is not None
    assert report.recommendation.message in hero.text
    assert report.run in hero.text
    assert "360 in 4 shards" in hero.text
    assert "writer, index" in hero.text


@pytest.mark.parametrize("build", REPORTS)
def test_emulation_is_said_exactly_where_it_happened(build: Build) -> None:
    report = build()
    assert ("Emulated on CPU" in main(report).text) is report.emulated


def test_candidates_table_has_every_column_without_scripts() -> None:
    table = main(samples.failed()).one("table", class_="cards")
    assert [h.text for h in table.one("thead").all("th")] == [
        "Candidate", "Verdict", "Precision", "Accuracy", "SNR, worst sample", "Worst figure", "Latency", "Size",
    ]  # fmt: skip
    texts = [[c.text for c in row.children if isinstance(c, Node)] for row in table.one("tbody").all("tr")]
    assert texts[0][:2] == ["fp16", "Passed ship"]
    assert texts[1][:3] == ["int8", "Failed", "int8 strong tensorrt"]
    assert texts[1][3:5] == ["96.11 % top1, golden 97.50 %", "38.77 dB"]
    assert texts[1][5] == "maxAbs 0.3127 limit ≤ 0.05 6.3 × the limit logits"
    assert texts[1][6:] == ["0.207 ms batch 32", "80.0 KiB"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("top1Kept", "golden's top-1 accuracy kept 50.00 %"),
        ("nodesIn8Bits", "nodes that read 8 bits and should not 0.5"),
        ("snr", "snr 0.5 dB"),
    ],
)
def test_the_worst_figure_is_named_in_words_that_a_reader_knows(metric: str, words: str) -> None:
    candidate, found = samples.fp16()
    worst = found[0].model_copy(update={"verdict": Verdict.FAILED, "metric": metric, "value": 0.5, "limit": None})
    cells = main(samples.report((candidate, [worst]))).one("table", class_="cards").one("tbody").all("td")
    assert any(cell.text.startswith(words) for cell in cells)


@pytest.mark.parametrize(
    ("checks", "changes", "shown"),
    [
        ([{"finite": {}}], {"emulated": True}, False),
        ([{"latency": {}}], {"emulated": True}, False),
        ([{"finite": {}}], {"backend": "onnxruntime"}, False),
        ([{"latency": {}}], {"backend": "onnxruntime"}, True),
        ([{"finite": {}}], {}, True),
    ],
)
def test_a_latency_is_shown_where_it_was_asked_for_or_decides(
    checks: list[dict[str, Any]], changes: dict[str, Any], *, shown: bool
) -> None:
    candidate, found = samples.fp16()
    spec = samples.SPEC.model_copy(update={"checks": tuple(checks)})
    report = samples.report((candidate.model_copy(update=changes), found), spec=spec)
    heads = [head.text for head in main(report).one("table", class_="cards").one("thead").all("th")]
    assert ("Latency" in heads) is shown


def test_missing_measurements_are_said_and_sizes_left_out() -> None:
    tree = main(samples.inconclusive())
    cells = [c.text for c in tree.one("table", class_="cards").one("tbody").all("td")]
    assert cells == ["Inconclusive", "fp16 strong tensorrt", "not measured", "not measured finite"]
    assert "No measurement: No GPU here" in tree.text


def test_findings_are_worst_first_with_sentence_place_and_limit() -> None:
    order = [Verdict.PASSED, Verdict.INCONCLUSIVE, Verdict.FAILED]
    found = [Finding(candidate="fp16", check=f"c{v}", verdict=v, message=f"m {v}") for v in order]
    candidate, _ = samples.fp16()
    tree = main(samples.report((candidate, found)))
    assert [i.one("p", class_="sentence").text for i in tree.all("li", class_="finding")] == [
        "m Failed",
        "m Inconclusive",
    ]
    first = main(samples.failed()).all("li", class_="finding")[0]
    assert "Tensor logits Node fc maxAbs 0.3127 , limit ≤ 0.05 (6.3 × the limit)" in first.text
    assert first.one("a").attributes["href"] == "#candidate-1"


def test_a_verdict_is_never_better_than_its_findings() -> None:
    candidate, found = samples.int8()
    lying = candidate.model_copy(update={"verdict": Verdict.PASSED})
    tree = main(samples.report((lying, found), verdict=Verdict.PASSED))
    assert tree.one("h1").text == "Failed"
    badges = [badge.text for badge in tree.one("table", class_="cards").all("span", class_="badge")]
    assert badges
    assert not [text for text in badges if "Passed" in text]


def test_a_candidate_nobody_judged_has_not_passed() -> None:
    bare = CandidateReport(name="x", verdict=Verdict.PASSED, backend="tensorrt")
    assert main(samples.report((bare, []))).one("h1").text == "Inconclusive"


def test_drift_beyond_its_limit_is_marked() -> None:
    rows = [r.text for r in main(samples.failed()).one("details", id="candidate-1").all("tr")]
    assert "maxAbs largest absolute error ✘ 0.3127 0.2234 0.03909 ≤ 0.05 # 317" in rows
    assert "cosine cosine similarity ✘ 0.9871 0.99355 1 ≥ 0.999 # 317" in rows
    assert "psnr PSNR 51.23 dB 54.9 dB 68.1 dB none # 317" in rows
    assert "topKAgreement top-k agreement 99.72 % – – none # 44" in rows


def test_tensor_table_names_where_the_error_starts() -> None:
    section = main(samples.failed()).one("details", id="candidate-1")
    first = section.one("table", class_="tensors").one("tbody").all("tr")[0]
    assert first.text.startswith("5 bn2.out BatchNormalization · bn2 55.0 % 32.0 dB")
    caption = section.one("figcaption").text
    assert "The node that adds most noise makes bn2.out (local SNR 32.0 dB, 55 % of the error there)" in caption


def test_first_tensor_with_nan_leads() -> None:
    section = main(samples.emulated()).one("details", id="candidate-0")
    assert section.one("table", class_="tensors").one("tbody").all("tr")[0].text.startswith("2 bn1.out")
    assert "The first NaN or Inf is in bn1.out , tensor 2 of 13" in section.all("figcaption")[0].text


def test_details_of_a_finding_are_shown_as_tables_and_facts() -> None:
    item = main(samples.failed()).all("li", class_="finding")[1].one("details")
    assert item.one("dl").text.startswith("compared 13 not compared 0 inside fused layers 0")
    assert [row.text for row in item.one("table").all("tr")] == ["tensor accumulated SNR", "bn2.out 23.1"]


class OfAllKinds(Details):
    """What details of different checks hold, in one."""

    inside_fused_layers: int
    underflow: tuple[InnerEntry, ...]
    how: dict[str, str]
    inside_layer: tuple[InnerEntry, ...]
    snr: SpreadEntry
    largest: float
    elements: int
    achieved: dict[str, int]
    inside: InsideEntry
    untried: dict[str, str]


def test_details_of_all_kinds_are_read_as_words_and_numbers() -> None:
    candidate, found = samples.fp16()
    difference = InnerDifferenceEntry(
        tensor="y", batch=0, condition="newSession", run=1, differing=1, runs=1, max_abs=0.0029296875
    )
    details = OfAllKinds(
        inside_fused_layers=6,
        underflow=(),
        how={"weights": "measured", "sums inside products": "not measured"},
        inside_layer=(InnerEntry(tensor="squared", accumulated_snr=-math.inf, not_finite=16),),
        snr=SpreadEntry(worst=1.5, p99=math.nan, p50=2.5),
        largest=1523178.75,
        elements=262144,
        achieved={"FP32": 24, "INT8": 1},
        inside=InsideEntry(tensors=1, samples=2, tried={"sameSession": 9}, first=difference),
        untried={},
        remark=True,
    )
    failed = found[0].model_copy(update={"verdict": Verdict.FAILED, "details": details})
    item = main(samples.report((candidate, [failed]))).all("li", class_="finding")[0].one("details")
    single, how = item.all("dl")
    assert single.text == "inside fused layers 6 underflow none largest 1.52318e6 elements 262,144 untried none"
    assert how.text == "weights measured sums inside products not measured"
    assert "tensor accumulated SNR not finite squared -∞ 16" in item.text
    assert "same session 9" in item.text
    assert "max abs 0.00293, tensor y" in item.text
    assert "INT8" in item.text
    assert "worst p99 p50 snr 1.5 NaN 2.5" in item.text


def test_where_it_starts_stands_beside_the_verdict_before_what_an_output_lacks() -> None:
    candidate, found = samples.fp16()
    output = found[0].model_copy(update={"check": "outputDrift", "verdict": Verdict.FAILED, "message": "snr is 0"})
    cause = found[0].model_copy(
        update={"check": "fp16Range", "verdict": Verdict.FAILED, "message": "squared overflows", "value": None}
    )
    failed = candidate.model_copy(update={"verdict": Verdict.FAILED})
    assert main(samples.report((failed, [output]))).one("p", class_="leading").text == "fp16: snr is 0"
    assert main(samples.report((failed, [output, cause]))).one("p", class_="leading").text == "fp16: squared overflows"
    passed = cause.model_copy(update={"verdict": Verdict.PASSED})
    assert main(samples.report((failed, [output, passed]))).one("p", class_="leading").text == "fp16: snr is 0"


def test_odd_entries_are_shown_as_not_measured() -> None:
    metrics = {"snr": MetricEntry(worst=math.inf), "odd": MetricEntry(worst=math.nan)}
    outputs = (OutputEntry(name="x"), OutputEntry(name="y", metrics=metrics))
    odd = TensorEntry(name="t", local_snr=math.nan, accumulated_snr=-math.inf)
    layers = (TensorEntry(name="s"), odd, TensorEntry(name="u"))
    candidate, found = samples.fp16()
    tree = main(samples.report((candidate.model_copy(update={"outputs": outputs, "layers": layers}), found)))
    rows = [r.text for r in tree.all("tr")]
    assert "snr SNR ∞ dB (bitwise equal) – – none" in rows
    assert "odd odd NaN – – none" in rows
    assert "2 t NaN -∞" in rows


def test_report_without_candidates_is_inconclusive() -> None:
    tree = main(samples.report(verdict=Verdict.PASSED))
    assert tree.one("h1").text == "Inconclusive"
    assert not tree.all("table", class_="cards")


def test_spec_and_command_are_there() -> None:
    tree = main(samples.failed())
    assert tree.one("section", **{"aria-labelledby": "run"}).all("code")[0].text == "assay run -f audit.yaml --out out/"
    assert "uri: file://./digits/digits-cnn.onnx" in tree.text


@pytest.mark.parametrize("build", REPORTS)
def test_page_asks_the_network_for_nothing(build: Build) -> None:
    tree = page(build())
    for node in tree.walk():
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = node.attributes.get(name, "#")
            own_page = node.tag == "a" and re.fullmatch(r"[\w%.~-]+/report\.html", value)
            assert value.startswith(("#", "data:")) or own_page, node
        assert not [name for name in node.attributes if name.startswith("on") or name == "style"], node
    assert not re.search(r"url\(|@import|https?:", "".join(str(c) for c in tree.one("style").children))


def test_policy_allows_exactly_the_pages_own_style_and_script() -> None:
    tree = page(samples.failed())
    policy = tree.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    scripts = [s for s in tree.all("script") if "type" not in s.attributes]
    assert scripts
    for node in (*scripts, tree.one("style")):
        digest = hashlib.sha256("".join(str(c) for c in node.children).encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_landmarks_headings_and_tables_are_labelled() -> None:
    tree = page(samples.failed())
    assert tree.one("html").attributes["lang"] == "en"
    assert len(tree.all("main")) == len(tree.all("header")) == len(tree.all("footer")) == len(tree.all("h1")) == 1
    levels = [int(n.tag[1]) for n in tree.walk() if re.fullmatch("h[1-6]", n.tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels)), levels
    assert tree.all("table")
    for table in tree.all("table"):
        assert table.one("caption").text
        assert all(h.attributes.get("scope") for h in table.all("th"))
    identities = [n.attributes["id"] for n in tree.walk() if "id" in n.attributes]
    assert len(identities) == len(set(identities))
    targets = [n.attributes[key] for n in tree.walk() for key in ("aria-labelledby",) if key in n.attributes]
    links = [a.attributes["href"][1:] for a in tree.all("a") if a.attributes["href"].startswith("#")]
    assert {*targets, *links} <= set(identities)


class Free(Details):
    """Details in which everything is free."""

    text: str
    list: tuple[str, ...]
    map: dict[str, str]


def hostile(name: str) -> Report:
    """A report in which everything free is called `name`."""
    candidate = CandidateReport(
        name=name, verdict=Verdict.FAILED, backend=name, precision=name, typing=name, accuracy={name: 0.5},
        outputs=(OutputEntry(name=name, metrics={name: MetricEntry(worst=1.0)}),),
        layers=(TensorEntry(name=name, node=name, op=name, local_snr=3.0),), notes=(name,), error=name,
    )  # fmt: skip
    finding = Finding(
        candidate=name, check=name, verdict=Verdict.FAILED, message=name, tensor=name, node=name, metric=name,
        value=1.0, limit=0.5,
    ).model_copy(update={"details": Free(text=name, list=(name,), map={name: name})})  # fmt: skip
    return Report(
        audit=name, run=name, task=name, created=name, verdict=Verdict.FAILED, candidates=(candidate,),
        findings=(finding,), recommendation=Recommendation(candidate=name, message=name), reproduce=name,
        golden=GoldenEntry(uri=name, precision=name, backend=name, notes=(name,)), environment={name: name},
        dataset=DatasetEntry(uri=name, labels=name, identity=name, ignored=(name,)),
    )  # fmt: skip


def skeleton(tree: Node) -> list[str]:
    return [n.tag for n in tree.walk()]


# The end keeps a name from being one of the words that the page knows ("uri", "map").
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: f"{text}~"))
@settings(max_examples=60, deadline=None)
def test_no_name_adds_or_breaks_an_element(name: str) -> None:
    assert skeleton(page(hostile(name))) == skeleton(page(hostile("plain")))


def test_hostile_name_is_shown_as_text_and_carried_whole() -> None:
    written = render_html(hostile(HOSTILE))
    tree = parse_page(written)
    assert skeleton(tree) == skeleton(page(hostile("plain")))
    assert "<img src=x onerror=alert(1)>" in tree.one("main").text
    assert "\\u001b[31m" in tree.one("main").text
    assert not re.search("[\x00\x1b\u2028\u202e]", tree.one("main").text)
    assert carried(tree)["networks"][0]["name"] == [HOSTILE]


def test_a_lone_surrogate_does_not_lose_the_page() -> None:
    assert b"\\ud800" in render_html(hostile("\ud800"))


def test_size_stays_in_budget() -> None:
    assert len(render_html(samples.inconclusive())) < 53_000
    report = samples.deep()
    written = render_html(report)
    assert len(written) < len(to_json(report)) / 2
    assert len(list(parse_page(written).walk())) < 1_000


def test_many_findings_are_cut_and_counted() -> None:
    candidate, found = samples.int8()
    many = [found[0].model_copy(update={"tensor": f"t{i}"}) for i in range(5_000)]
    tree = main(samples.report((candidate, many)))
    assert len(tree.all("li", class_="finding")) == 200
    assert "4800 more findings are in report.json" in tree.text
