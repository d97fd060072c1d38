"""What comes from an engine, on the page: safe against any name, whole with data missing, odd data told as such."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.entries import EngineTensorEntry
from assay_api.report import (
    CandidateReport,
    EngineEntry,
    EngineLayerEntry,
    HistogramEntry,
    Latency,
    Recommendation,
    Report,
    TensorEntry,
    Verdict,
)
from assay_runner.report import render_html
from assay_runner.report.engine import COLUMNS, listed
from assay_runner.report.formats import FORMATS, format_of
from assay_runner.report.labels import SCREENS, Screen, crosses, labels
from assay_runner.report.tradeoff import tradeoff
from assay_runner.report.zones import Magnitudes, magnitudes
from tests.unit.report import engines, samples
from tests.unit.report.documents import Node, parse_page
from tests.unit.report.test_page import HOSTILE, main, page, skeleton


def histogram(low: int, golden: tuple[int, ...], candidate: tuple[int, ...], name: str = "t") -> HistogramEntry:
    return HistogramEntry(
        tensor=name,
        node=name,
        op=name,
        low=low,
        golden=golden,
        candidate=candidate,
        golden_zeros=0,
        candidate_zeros=0,
        non_finite=0,
    )


def hostile_engine(name: str, **changes: Any) -> CandidateReport:
    """A candidate in which everything free that an engine adds is called `name`."""
    tensor = EngineTensorEntry(name=name, format=name, shape=(1, 2))
    layer = EngineLayerEntry(
        name=name, type=name, precision=name, tactic=name, nodes=(name,), inputs=(tensor,), outputs=(tensor,)
    )
    values = {
        "name": name,
        "verdict": Verdict.PASSED,
        "backend": name,
        "precision": "fp16",
        "latency": Latency(median_ms=1.0, p99_ms=2.0, batch=1, runs=9, throughput=1e3),
        "accuracy": {"top1": 0.5},
        "layers": (TensorEntry(name=name, node=name, op=name, accumulated_snr=3.0, max=2.0, smallest=1e-9),),
        "achieved": {name: 3},
        "engine": EngineEntry(gpu=name, tensorrt=name, flags=(name,), warnings=(name, name)),
        "engine_layers": (layer,),
        "histograms": (histogram(0, (1,), (2,), name),),
    }
    return CandidateReport(**{**values, **changes})


def hostile(*names: str, summary: bool) -> Report:
    report = samples.report(*((hostile_engine(name), []) for name in names), task=names[0])
    told = Recommendation(candidate=names[0], message=names[0]) if summary else None
    return report.model_copy(update={"recommendation": told, "audit": names[0], "run": names[0]})


# The ends keep names different from each other and from the words that the page knows.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("summary", [True, False])
@given(name=TEXT)
@settings(max_examples=30, deadline=None)
def test_no_name_of_an_engine_adds_or_breaks_an_element(summary: bool, name: str) -> None:
    given_, plain = hostile(f"{name}~", summary=summary), hostile("plain~", summary=summary)
    assert skeleton(page(given_)) == skeleton(page(plain))


@given(name=TEXT)
@settings(max_examples=30, deadline=None)
def test_no_name_breaks_the_comparison(name: str) -> None:
    pair = page(hostile(f"{name}~a", f"{name}~b", summary=True))
    assert skeleton(pair) == skeleton(page(hostile("x~a", "x~b", summary=True)))


def test_hostile_names_lead_nowhere_else() -> None:
    tree = parse_page(render_html(hostile(f"{HOSTILE}~a", "../../b", summary=True)))
    pages = [a.attributes["href"] for a in tree.all("a") if not a.attributes["href"].startswith("#")]
    assert len(pages) == 2
    for address in pages:
        folder, file = address.rsplit("/", 1)
        assert file == "report.html"
        assert not set(folder) & set("<>\"'&/: \\")


ODD: tuple[dict[str, Any], ...] = (
    {"histograms": tuple(histogram(low, (1,), ()) for low in (10**9, -(10**9)))},
    {"histograms": (histogram(3, (), ()),)},
    {"histograms": (histogram(0, (0, 0), (-1, 0, 10**30)),)},
    {"engine_layers": (EngineLayerEntry(name=""), EngineLayerEntry(name="x", outputs=(EngineTensorEntry(name=""),)))},
    {"engine": EngineEntry(build_seconds=math.nan, warnings=())},
    {"engine": EngineEntry(), "achieved": {"FP16": 0}},
    {"layers": (TensorEntry(name="t", smallest=math.nan, golden_max=math.nan, max=0.0),)},
    {"layers": (TensorEntry(name="t", golden_min=-math.inf, golden_max=math.inf, max=3e38, smallest=1e-44),)},
    {"latency": Latency(median_ms=math.nan, p99_ms=math.inf, batch=0, runs=0, throughput=math.nan)},
    {"accuracy": {"top1": math.nan}, "memory": 0, "size": 0},
)


@pytest.mark.parametrize("changes", ODD)
@pytest.mark.parametrize("precision", ["fp16", "fp8", "bf16", "int8", None, "odd"])
def test_odd_data_never_lose_the_page(changes: dict[str, Any], precision: str | None) -> None:
    candidate = hostile_engine("x", **{"precision": precision, **changes})
    other = hostile_engine("y", latency=Latency(median_ms=2, p99_ms=2, batch=4, runs=1))
    for report in (samples.report((candidate, []), recommendation=None), samples.report((candidate, []), (other, []))):
        for node in page(report).walk():
            for name in ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                assert "nan" not in node.attributes.get(name, ""), node
                assert "inf" not in node.attributes.get(name, ""), node


def test_a_candidate_without_an_engine_has_no_part_for_it() -> None:
    candidate, found = samples.fp16()
    tree = main(samples.report((candidate, found), recommendation=None, task="fp16"))
    headings = [h.text for h in tree.all("h2")]
    assert "What the engine is made of" not in headings
    assert "The worst tensors, value by value" not in headings
    assert "Range of every tensor against FP16's limits" in headings, "drawn from the candidate's own range"


def test_a_long_list_of_warnings_is_folded_and_cut() -> None:
    many = hostile_engine("x", engine=EngineEntry(warnings=tuple(f"w{i}" for i in range(1_000))))
    folds = [d for d in main(samples.report((many, []))).all("details") if "1000 warnings of the builder" in d.text]
    assert "open" not in folds[-1].attributes
    assert "800 more are in report.json" in folds[-1].text


@pytest.mark.parametrize(
    ("precision", "achieved", "name"),
    [
        ("fp16", {}, "FP16"),
        ("fp8", {}, "FP8 E4M3"),
        ("int8", {"FP16": 3}, None),
        (None, {"FP32": 9, "FP16": 1}, "FP16"),
        (None, {"Half": 2}, "FP16"),
        (None, {}, None),
    ],
)
def test_the_format_is_the_one_asked_for_or_the_narrowest_that_ran(
    precision: str | None, achieved: dict[str, int], name: str | None
) -> None:
    candidate = CandidateReport(
        name="x", verdict=Verdict.PASSED, backend="tensorrt", precision=precision, achieved=achieved
    )
    found = format_of(candidate)
    assert (found and found.name) == name


def test_an_axis_of_magnitudes_holds_its_values_and_a_narrow_formats_limits() -> None:
    axis = magnitudes([1.0, 4.0], FORMATS["fp16"])
    assert axis is not None
    assert axis.low <= -26
    assert axis.high >= 18
    assert axis.place(0.0) == 0.0
    assert axis.place(2.0**-14) == pytest.approx((-14 - axis.low) / (axis.high - axis.low))
    wide = magnitudes([1.0, 4.0], FORMATS["bf16"])
    assert wide == Magnitudes(0, 3)
    assert magnitudes([0.0, math.inf], FORMATS["fp16"]) is None


def marks(report: Report) -> list[Node]:
    plot = tradeoff(report)
    assert plot is not None
    return parse_page(plot.encode()).all("g")


def test_batches_that_differ_are_compared_by_sample() -> None:
    parts = [engines.on_gpu(name, "fp16", 2.0, 0.9, 40.0, Verdict.PASSED) for name in ("a", "b")]
    latency = Latency(median_ms=2.0, p99_ms=2.0, batch=1, runs=9)
    changed = [parts[0], (parts[1][0].model_copy(update={"latency": latency}), [])]
    report = samples.report(*changed)
    assert "latency of one sample, ms" in str(tradeoff(report))
    places = [g.all("svg")[0].attributes["x"] for g in marks(report)]
    assert len(set(places)) == 2
    assert len({g.all("svg")[0].attributes["x"] for g in marks(samples.report(*parts))}) == 1


CROWDED = [(0.2 + i / 500, 0.5) for i in range(14)]
CORNERS = [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.01, 0.99), (0.5, 0.5)]


@pytest.mark.parametrize("places", [CROWDED, CORNERS, [(0.5, 1.0)] * 9])
@pytest.mark.parametrize("screen", SCREENS)
def test_no_name_lies_over_another_or_over_a_mark(screen: Screen, places: list[tuple[float, float]]) -> None:
    names = [f"candidate-number-{i}" for i in range(len(places))]
    placed = labels(names, places, screen)
    assert [label.mark for label in placed] == places
    spans = []
    for label in placed:
        width = len(label.text) * screen.letter
        left = label.x - width if label.leftwards else label.x
        spans.append((left, left + width, label.y))
        assert 0 <= label.y <= 1
        for x, y in places:
            assert not (left < x < left + width and abs(label.y - y) < 0.05), label
    for (left, right, y), (other_left, other_right, other_y) in combinations(spans, 2):
        assert right <= other_left or other_right <= left or abs(y - other_y) > 0.05


def test_lines_to_names_do_not_cross_in_a_row_of_marks() -> None:
    """Latencies of ten engines of one vision transformer, nearly equally accurate."""
    row = [(x, 0.82) for x in (0.3, 0.33, 0.365, 0.387, 0.415, 0.447, 0.488, 0.547, 0.757, 0.761)]
    placed = labels([f"int8-candidate-{i}" for i in range(len(row))], row, SCREENS[0])
    lines = [(label.mark, (label.x, label.y)) for label in placed]
    assert not [pair for pair in combinations(lines, 2) if crosses(*pair)]
    assert crosses(((0, 0), (1, 1)), ((0, 1), (1, 0)))
    assert not crosses(((0, 0), (1, 1)), ((1, 1), (2, 0)))


def test_what_failed_is_painted_over_what_passed() -> None:
    verdicts = [Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED]
    parts = [engines.on_gpu(f"c{i}", "fp16", 1.0, 0.9, 40.0, verdict) for i, verdict in enumerate(verdicts)]
    assert [g.attributes["class"] for g in marks(samples.report(*parts))] == ["passed", "inconclusive", "failed"]


def test_near_latencies_are_drawn_where_they_lie_and_far_ones_from_zero() -> None:
    crowd = tradeoff(engines.crowd())
    assert "further left is faster, not from 0" in str(crowd)
    assert "not from 0" not in str(tradeoff(engines.fleet()))


def test_what_lies_inside_fused_layers_is_told_where_it_is_missing() -> None:
    report = engines.candidate()
    (whole,) = report.candidates
    for fused, words in ((7, "7 more lie inside fused layers"), (1, "1 more lies inside fused layers")):
        changed = whole.model_copy(update={"fused": fused})
        tree = main(report.model_copy(update={"candidates": (changed,)}))
        for kind in ("layers", "range"):
            assert words in tree.one("figure", id=f"{kind}-0").one("figcaption").text
        assert "Every tensor that the engine makes" in tree.text
    assert "fused" not in main(report).text


def test_what_they_ran_on_stands_at_the_top() -> None:
    assert "Ran on NVIDIA H200, TensorRT 10.6.0" in main(engines.fleet()).all("dl")[0].text
    assert "Ran on" not in main(samples.emulated()).text


def test_of_many_tensors_of_a_layer_the_first_are_named_and_the_rest_counted() -> None:
    assert listed("a, b, c") == "a, b, c"
    assert listed(", ".join("abcdefg")) == "a, b, c, d and 3 more"
    assert listed("n" * 90 + ", b") == f"{'n' * 15}…{'n' * 32}, b"


def test_the_environment_names_every_gpu_and_library_that_engines_ran_on() -> None:
    (one, found), (two, more) = (engines.on_gpu(n, "fp16", 1.0, 0.9, 40.0, Verdict.PASSED) for n in ("a@x", "a@y"))
    engine = two.engine.model_copy(update={"gpu": "NVIDIA L40S", "driver_cuda": "13.0"})
    other = two.model_copy(update={"engine": engine})
    run = main(samples.report((one, found), (other, more))).one("section", **{"aria-labelledby": "run"}).text
    assert "GPU NVIDIA H200 | NVIDIA L40S TensorRT 10.6.0 CUDA of the driver 13.0" in run
    emulated = main(samples.emulated()).one("section", **{"aria-labelledby": "run"}).text
    assert "TensorRT" not in emulated


def test_a_layer_without_a_tactic_has_none() -> None:
    (tactic,) = (column.text for column in COLUMNS if column.field == "tactic")
    given = ("0x0000000000000000", "0x00000000000003e8")
    assert [tactic(EngineLayerEntry(name="copy", type="NoOp", tactic=each)) for each in given] == ["", given[1]]


def test_a_line_falls_where_the_error_is_no_number_any_more() -> None:
    broken = samples.layers(50.0, broken_at=6)
    parts = [engines.on_gpu(name, "fp16", 2.0, 0.9, 40.0, Verdict.PASSED) for name in ("a", "b")]
    (first, found), second = parts
    figure = main(samples.report((first.model_copy(update={"layers": broken}), found), second)).one(
        "figure", id="compared"
    )
    paths = {
        p.attributes["data-line"]: p.attributes["d"]
        for p in figure.one("g", **{"data-metric": "accumulatedSnr"}).all("path")
    }
    assert paths["0"].endswith(" 240.0")
    assert not paths["1"].endswith(" 240.0")
    assert "before NaN or Inf from pool2.out on, where its line falls" in figure.one("figcaption").text
