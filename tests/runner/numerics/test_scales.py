"""One output, several scales: each is judged for itself, and what never occurs in the data raises no alarm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assay_api.report import Finding, Verdict
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.graphs.channel_parts import output_parts
from assay_runner.statistics.samples import drift
from assay_runner.statistics.scales import COMPARED, Cut, Part, figures, groups
from assay_runner.tensors import Array
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import int8, measured
from tests.wire import details

A, C = 12, 7
X = Samples({"x": random(20, A, C, seed=4)}, batch=6)
"""Anchors with as many numbers each: the scores' logits from the fifth on."""


def head(first: bool = False, scores: str = "Sigmoid", factor: float = 1.0, shift: float = 0.0) -> onnx.ModelProto:
    """Boxes of some hundreds beside scores, (samples, anchors, channels), or channels first; scores times a factor."""
    nodes = [
        node("MatMul", "x eye", "h"),
        node("Split", "h sizes", "box logits", axis=2),
        node("Abs", "box", "positive"),
        node("Mul", "positive hundred", "pixels"),
        node("Add", "logits shift", "moved"),
        node(scores, "moved", "score"),
        node("Mul", "score factor", "kept") if factor != 1 else node("Identity", "score", "kept"),
        *(node("Transpose", name, f"{name}_t", perm=[0, 2, 1]) for name in ("pixels", "kept") if first),
        node("Concat", "pixels_t kept_t" if first else "pixels kept", "y", axis=1 if first else -1),
    ]
    weights = [
        constant("eye", np.eye(C, dtype=np.float32)),
        constant("sizes", [4, C - 4]),
        constant("hundred", np.float32(200)),
        constant("shift", np.float32(shift)),
        constant("factor", np.float32(factor)),
    ]
    output = value("y", "N", C, A) if first else value("y", "N", A, C)
    return model(nodes, [value("x", "N", A, C)], [output], weights, opset=13)


def judged(golden: onnx.ModelProto, own: onnx.ModelProto, folder: Path, check: OutputDrift | None = None) -> Finding:
    [found] = measured(golden, "fp32", X, folder, check or OutputDrift(), own=own).findings
    return found


@pytest.mark.parametrize("first", [False, True])
def test_scores_do_not_hide_behind_boxes(first: bool, tmp_path: Path) -> None:
    """All scores lost: the output as a whole still has 40 dB, the scores none."""
    found = judged(head(first), head(first, factor=1e-9), tmp_path)
    assert (found.verdict, found.metric) == (Verdict.FAILED, "snr")
    assert found.value == pytest.approx(0, abs=1e-6)
    assert "output 'y': channels 4–6, up to " in found.message
    scores, boxes = details(found)["groups"][::-1]
    assert (scores["channels"], boxes["channels"], boxes["snr"]["worst"]) == (
        "channels 4–6",
        "channels 0–3",
        "Infinity",
    )
    assert details(found)["snr"]["worst"] > 40
    same = judged(head(first), head(first), tmp_path / "same")
    assert same.verdict is Verdict.PASSED
    assert "so are, for themselves, channels 0–3 and channels 4–6" in same.message


@pytest.mark.parametrize("check", [OutputDrift(cosine=0.99), OutputDrift(psnr=20), OutputDrift(snr=10)])
def test_every_ratio_is_held_by_every_scale(check: OutputDrift, tmp_path: Path) -> None:
    found = judged(head(), head(factor=1e-9), tmp_path, check)
    assert (found.verdict, "channels 4–6" in found.message) == (Verdict.FAILED, True)
    assert judged(head(), head(factor=0.95), tmp_path / "near", check).verdict is Verdict.PASSED


def test_what_is_asked_of_single_elements_has_no_scale(tmp_path: Path) -> None:
    found = judged(head(), head(factor=0.9), tmp_path, OutputDrift(max_abs=0.2))
    assert (found.verdict, "for themselves" in found.message) == (Verdict.PASSED, False)


def test_int8_that_is_healthy_passes(tmp_path: Path) -> None:
    [found] = measured(head(), int8(), X, tmp_path, OutputDrift(), calibration=X).findings
    assert found.verdict is Verdict.PASSED, found.message


def test_scores_that_never_rise_are_told_and_not_judged(tmp_path: Path) -> None:
    """Sigmoids of -9 and less: 8 bits round all of them to zero."""
    found = judged(head(shift=-9), head(shift=-9, factor=1e-9), tmp_path)
    assert found.verdict is Verdict.PASSED
    assert "channels 4–6 hold no more than" in found.message
    assert "too little to be judged for themselves" in found.message


def test_an_empty_sample_is_held_against_what_is_usual(tmp_path: Path) -> None:
    """One image without objects: its scores are near zero, and that they become zero is no loss."""
    x = X.arrays["x"].copy()
    x[3, :, 4:] = -9
    data = Samples({"x": x}, batch=6)
    golden, own = head(), head()
    # Rounded to steps of 8 bits over 0 to 1, as an engine would.
    step = constant("step", np.float32(1 / 255)), constant("zero", np.uint8(0))
    own.graph.initializer.extend(step)
    own.graph.node[6].CopyFrom(node("QuantizeLinear", "score step zero", "eight"))
    own.graph.node.insert(7, node("DequantizeLinear", "eight step zero", "kept"))
    [found] = measured(golden, "fp32", data, tmp_path, OutputDrift(), own=own).findings
    assert found.verdict is Verdict.PASSED, found.message
    scores = 1 / (1 + np.exp(-x[:, :, 4:].astype(np.float64)))
    noise = ((np.round(scores * 255) / 255 - scores) ** 2).sum(axis=(1, 2))
    power = (scores**2).sum(axis=(1, 2))
    expected = 10 * np.log10(np.maximum(power, power.mean()) / noise)
    assert 10 * np.log10(power[3] / noise[3]) < 1
    assert details(found)["groups"][1]["snr"]["worst"] == pytest.approx(expected.min(), abs=0.01)


def shown(proto: onnx.ModelProto, folder: Path) -> list[tuple[int, int, bool]]:
    found = output_parts(loaded(proto, folder).path).get("y")
    return [(part.start, part.stop, part.bounded) for part in found.parts] if found else []


def built(nodes: Sequence[onnx.NodeProto], size: tuple[int | str, ...], **weights: Array) -> onnx.ModelProto:
    kept = [constant(name, array) for name, array in weights.items()]
    return model(nodes, [value("x", "N", A, C)], [value("y", *size)], kept, opset=13)


SPLIT = node("Split", "x sizes", "a b", axis=2)
SIZES = np.array([4, 3])
TALL = [node("Abs", "a", "box"), node("Sigmoid", "b", "score"), node("Concat", "box score", "joined", axis=2)]
BOTH = [(0, 4, False), (4, 7, True)]


def test_parts_are_known_through_what_leaves_them_apart(tmp_path: Path) -> None:
    """Turned, cast, widened, given another shape; and anchors of several sizes below one another."""
    ways: list[tuple[list[onnx.NodeProto], tuple[int | str, ...], dict[str, Array]]] = [
        ([node("Transpose", "joined", "y", perm=[0, 2, 1])], ("N", C, A), {}),
        ([node("Reshape", "joined shape", "y")], ("N", 3, 4, C), {"shape": np.array([-1, 3, 4, C])}),
        (
            [node("Unsqueeze", "joined one", "wide"), node("Squeeze", "wide one", "y")],
            ("N", A, C),
            {"one": np.array([1])},
        ),
        ([node("Concat", "joined joined", "y", axis=1)], ("N", 2 * A, C), {}),
        (
            [node("Slice", "joined zero five one", "y")],
            ("N", 5, C),
            {"zero": np.array([0]), "five": np.array([5]), "one": np.array([1])},
        ),
        (
            # As exporters write a view: the number of samples is read from the input.
            [
                node("Reshape", "joined five", "grid"),
                node("Shape", "x", "shape"),
                node("Gather", "shape zero", "samples"),
                node("Unsqueeze", "samples at0", "first"),
                node("Concat", "first rest", "wanted", axis=0),
                node("Reshape", "grid wanted", "rows"),
                node("Concat", "rows rows rows", "y", axis=1),
            ],
            ("N", 3 * A, C),
            {
                "five": np.array([-1, 3, 2, 2, C]),
                "zero": np.array(0),
                "at0": np.array([0]),
                "rest": np.array([-1, C]),
            },
        ),
        ([node("Gather", "joined some", "y", axis=1)], ("N", 2, C), {"some": np.array([3, 1])}),
    ]
    for index, (nodes, shape, weights) in enumerate(ways):
        proto = built([SPLIT, *TALL, *nodes], shape, sizes=SIZES, **weights)
        assert shown(proto, tmp_path / str(index)) == BOTH, nodes[0].op_type


def test_parts_stay_in_one_piece_where_all_behind_their_axis_becomes_one(tmp_path: Path) -> None:
    nodes = [SPLIT, *TALL, node("Transpose", "joined", "first", perm=[0, 2, 1]), node("Flatten", "first", "y")]
    assert shown(built(nodes, ("N", C * A), sizes=SIZES), tmp_path) == [(0, 4 * A, False), (4 * A, 7 * A, True)]
    mixed = [SPLIT, *TALL, node("Flatten", "joined", "y")]
    assert shown(built(mixed, ("N", C * A), sizes=SIZES), tmp_path / "mixed") == []


def test_parts_are_known_behind_views_of_which_a_length_is_the_datas(tmp_path: Path) -> None:
    """As exporters write a head for any number of samples: what is cut and joined comes after the view."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "samples"),
        node("Unsqueeze", "samples at0", "first"),
        node("Concat", "first rest", "wanted", axis=0),
        node("Reshape", "x wanted", "rows"),
        node("Concat", "rows rows", "both", axis=1),
        node("Split", "both sizes", "a b", axis=2),
        *TALL[:2],
        node("Concat", "box score", "y", axis=2),
    ]
    weights = {"zero": np.array(0), "at0": np.array([0]), "rest": np.array([-1, C]), "sizes": SIZES}
    assert shown(built(nodes, ("N", 2 * A, C), **weights), tmp_path) == BOTH


def test_channels_that_are_written_over_are_a_part(tmp_path: Path) -> None:
    """`y[..., :2] *= 640; y[..., 2:4] *= 320`, as exporters write it: cut out, multiplied and put back."""
    places = np.stack(np.meshgrid([0], np.arange(A), np.arange(2), indexing="ij"), -1)
    nodes = [
        node("Sigmoid", "x", "s"),
        node("Slice", "s zero two last", "xy"),
        node("Mul", "xy big", "wide"),
        node("ScatterND", "s first wide", "once"),
        node("Slice", "once two four last", "wh"),
        node("Mul", "wh half", "tall"),
        node("ScatterND", "once second tall", "y"),
    ]
    numbers = {"zero": [0], "two": [2], "four": [4], "last": [2], "first": places}
    weights = {name: np.array(each, np.int64) for name, each in numbers.items()}
    weights["second"] = weights["first"] + np.array([0, 0, 2])
    weights |= {"big": np.array(640, np.float32), "half": np.array(320, np.float32)}
    proto = built(nodes, (1, A, C), **weights)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert shown(proto, tmp_path / "a") == [(0, 2, False), (2, 4, False), (4, 7, True)]


def test_a_factor_per_channel_makes_parts(tmp_path: Path) -> None:
    factors = np.array([640, 640, 640, 640, 1, 1, 1], np.float32)
    proto = built([node("Sigmoid", "x", "s"), node("Mul", "s f", "y")], ("N", A, C), f=factors)
    assert shown(proto, tmp_path / "a") == BOTH
    near = built([node("Sigmoid", "x", "s"), node("Mul", "s f", "y")], ("N", A, C), f=np.linspace(1, 4, C, dtype="f"))
    assert shown(near, tmp_path / "b") == []


def test_one_scale_is_one_part(tmp_path: Path) -> None:
    """Classes of one softmax, and heads that all end in a sigmoid, however rare some of them are."""
    soft = built([node("Softmax", "x", "y", axis=2)], ("N", A, C))
    assert shown(soft, tmp_path / "a") == []
    heads = [SPLIT, node("Sigmoid", "a", "p"), node("Sigmoid", "b", "q"), node("Concat", "p q", "y", axis=2)]
    assert shown(built(heads, ("N", A, C), sizes=SIZES), tmp_path / "b") == []
    mixed = [SPLIT, *TALL, node("Softmax", "joined", "y", axis=2)]
    assert shown(built(mixed, ("N", A, C), sizes=SIZES), tmp_path / "c") == []
    times = [node("Sigmoid", "x", "s"), node("Split", "s sizes", "a b", axis=2), node("Mul", "x x", "wide")]
    times += [node("Mul", "b b", "score"), node("Concat", "wide score", "y", axis=2)]
    proto = built(times, ("N", A, C + 3), sizes=SIZES)
    assert shown(proto, tmp_path / "d") == [(0, 7, False), (7, 10, True)]


def sums_of(peaks: Sequence[float]) -> Array:
    """One sample, one element in each part."""
    golden = np.array([[peaks]], np.float64)
    cut = Cut(2, tuple(Part(index, index + 1, False) for index in range(len(peaks))))
    return drift(golden, golden, cut=cut).sums


GROUPS: dict[str, tuple[list[float], list[bool], list[tuple[int, ...]]]] = {
    "two scales": ([600, 500, 1, 0.9], [False] * 4, [(0, 1), (2, 3)]),
    "near one another": ([8, 1, 3], [False] * 3, []),
    "three scales": ([600, 20, 1], [False] * 3, [(0,), (1,), (2,)]),
    "a class that never occurs goes with the scores": ([600, 0.9, 1e-3], [False] * 3, [(0,), (1, 2)]),
    "zeros": ([600, 0, 0], [False] * 3, []),
    "bounded": ([600, 0.9, 0.02], [False, True, True], [(0,), (1, 2)]),
    "bounded beside what is no larger": ([5, 0.02], [False, True], []),
    "interleaved": ([1, 600, 0.5, 700], [False] * 4, [(1, 3), (0, 2)]),
}


@pytest.mark.parametrize("case", GROUPS)
def test_parts_are_grouped_by_scale(case: str) -> None:
    peaks, bounded, expected = GROUPS[case]
    parts = [Part(index, index + 1, flag) for index, flag in enumerate(bounded)]
    assert [group.members for group in groups(parts, sums_of(peaks))] == expected


def test_groups_are_named_by_their_channels() -> None:
    parts = [Part(0, 4, False), Part(4, 5, False), Part(5, 84, False), Part(84, 85, False)]
    boxes, scores = groups(parts, sums_of([600, 1, 500, 1]))
    assert (boxes.channels(parts), scores.channels(parts)) == ("channels 0–3 and 5–83", "channels 4 and 84")
    assert groups(parts[:2], sums_of([600, 1]))[1].channels(parts) == "channel 4"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.data())
def test_figures_of_parts_are_those_of_outputs_of_their_own(
    samples: int, rows: int, cuts: int, data: st.DataObject
) -> None:
    """Whichever axis, and whatever is not finite; and all parts together are the output."""
    stops = sorted(data.draw(st.sets(st.integers(1, 6), min_size=cuts, max_size=cuts)))
    parts = tuple(Part(start, stop, False) for start, stop in zip([0, *stops], [*stops, 7], strict=True))
    number = st.floats(-1e3, 1e3, width=32) | st.sampled_from([np.nan, np.inf, 0.0])
    golden, candidate = (data.draw(arrays.arrays(np.float32, (samples, rows, 7), elements=number)) for _ in range(2))
    whole = drift(golden, candidate)
    for axis in (1, 2):
        first, second = (np.swapaxes(array, 1, 2) if axis == 1 else array for array in (golden, candidate))
        found = drift(first, second, cut=Cut(axis, parts))
        for name in ("max_abs", "max_rel", "cosine", "psnr", "snr", "broken", "void", "compared", "as_golden"):
            one, other = getattr(found, name), getattr(whole, name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
        for index, part in enumerate(parts):
            own = drift(golden[:, :, part.start : part.stop], candidate[:, :, part.start : part.stop])
            np.testing.assert_array_equal(found.sums[:, index, COMPARED], own.compared)
            sound = np.flatnonzero(~(whole.broken | whole.void))
            if not sound.size:
                continue
            alone = figures(found.sums, [index], sound[:1])  # Of one sample, what is usual is its own.
            for name in ("snr", "psnr", "cosine"):
                np.testing.assert_allclose(getattr(alone, name), getattr(own, name)[sound[:1]], rtol=1e-6, atol=1e-9)
