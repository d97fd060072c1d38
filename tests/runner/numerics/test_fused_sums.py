"""Sums inside attention, fused normalisations and folded factors, against what numpy and bare ONNX Runtime say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.tensors import Array
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured
from tests.wire import details

SCORES = "the scaled product of queries and keys"
OWN = "com.microsoft"
N, S, HEADS, SIZE = 6, 5, 2, 8
WIDTH = HEADS * SIZE
LOUD = random(N, S, WIDTH, seed=3, scale=300.0)


def graph(
    op: str,
    data: Mapping[str, Array],
    inputs: str,
    opset: int = 23,
    domain: str = "",
    weights: Mapping[str, Array] | None = None,
    **given: Any,
) -> onnx.ModelProto:
    """One operator; what it makes is made small by a Tanh, so that no tensor but its own counts."""
    nodes = [node(op, inputs, "made", domain=domain, **given), node("Tanh", "made", "y")]
    kinds = {np.dtype(np.int32): onnx.TensorProto.INT32, np.dtype(np.float32): onnx.TensorProto.FLOAT}
    fed = [value(name, "N", *array.shape[1:], kind=kinds[array.dtype]) for name, array in data.items()]
    held = [constant(name, array) for name, array in (weights or {}).items()]
    proto = model(nodes, fed, [], held, opset)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    if domain:
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    proto.ir_version = 10
    return proto


def judged(
    proto: onnx.ModelProto,
    data: Mapping[str, Array],
    folder: Path,
    accumulator: Literal["unknown", "fp16", "fp32"] = "fp16",
) -> Finding:
    check = Fp16Range(accumulator=accumulator, underflow=1)
    [found] = measured(proto, "fp16", Samples(dict(data), batch=3), folder, check).findings
    return found


def sums(found: Finding) -> dict[str, tuple[float, int]]:
    return {entry["sum"]: (entry["largest"], entry["samples"]) for entry in details(found).get("innerSums", ())}


def split(array: Array, heads: int = HEADS) -> Array:
    return array.reshape(*array.shape[:2], heads, -1).transpose(0, 2, 1, 3).astype(np.float64)


def over(scores: Array) -> tuple[Any, int]:
    """The largest magnitude, and in how many samples, the first axis, FP16 has none such."""
    flat = np.abs(scores).reshape(len(scores), -1).max(axis=1)
    return pytest.approx(flat.max(), rel=1e-5), int((flat >= 65520).sum())


def shown(proto: onnx.ModelProto, data: Mapping[str, Array]) -> Array:
    """Bare ONNX Runtime's own product of queries and keys, its fourth output."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    bare.graph.node[0].output.extend(["", "", "qk"])
    bare.graph.output.append(onnx.helper.make_tensor_value_info("qk", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(bare.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["qk"], dict(data))[0])


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({}, {}),
        ({"scale": 0.05}, {}),
        ({"softcap": 20.0}, {}),
        ({"is_causal": 1}, {}),
        ({}, {"heads": 1}),
    ],
)
def test_attention_sums_scaled_scores(given: dict[str, Any], keys: dict[str, int], tmp_path: Path) -> None:
    few = keys.get("heads", HEADS)
    data = {"q": LOUD, "k": random(N, 7, few * SIZE, seed=5, scale=300.0), "v": random(N, 7, few * SIZE, seed=6)}
    proto = graph("Attention", data, "q k v", q_num_heads=HEADS, kv_num_heads=few, **given)
    found = judged(proto, data, tmp_path)
    scores = split(data["q"]) @ split(data["k"], few).transpose(0, 1, 3, 2) * given.get("scale", 1 / math.sqrt(SIZE))
    wanted = over(scores)
    assert over(shown(proto, data)) == wanted
    assert sums(found).get(SCORES, (0, 0)) == (wanted if wanted[1] else (0, 0))
    assert found.verdict is (Verdict.FAILED if wanted[1] else Verdict.PASSED), found.message
    if wanted[1]:
        assert judged(proto, data, tmp_path / "u", "unknown").verdict is Verdict.INCONCLUSIVE
        assert judged(proto, data, tmp_path / "w", "fp32").verdict is Verdict.PASSED


def test_attention_of_four_axes_sees_the_past_and_learnt_queries(tmp_path: Path) -> None:
    """The past alone is loud, and the queries are a weight."""
    data = {
        "k": random(N, HEADS, 3, SIZE, seed=1),
        "v": random(N, HEADS, 3, SIZE, seed=2),
        "pk": random(N, HEADS, 4, SIZE, seed=3, scale=30000.0),
        "pv": random(N, HEADS, 4, SIZE, seed=4),
    }
    queries = np.tile(random(1, HEADS, S, SIZE, seed=5), (3, 1, 1, 1))
    proto = graph("Attention", data, "q k v  pk pv", weights={"q": queries})
    proto.graph.node[0].input[:] = ["q", "k", "v", "", "pk", "pv"]
    proto.graph.node[0].output.extend(["present_k", "present_v"])
    found = judged(proto, {name: np.minimum(np.maximum(array, -6e4), 6e4) for name, array in data.items()}, tmp_path)
    past = np.clip(data["pk"], -6e4, 6e4).astype(np.float64)
    wanted = over(queries[:1].astype(np.float64) @ past.transpose(0, 1, 3, 2) / math.sqrt(SIZE))
    assert wanted[1]
    assert sums(found)[SCORES][0] == wanted[0]
    assert found.verdict is Verdict.FAILED, found.message


@pytest.mark.parametrize("masked", [False, True])
def test_attention_over_more_keys_than_fp16_counts(masked: bool, tmp_path: Path) -> None:
    """All 66,000 keys alike: as many exponentials of 0; a mask leaves 60,000."""
    keys = 66000
    data = {
        "q": random(2, 1, 1, 2),
        "k": np.ones((2, 1, keys, 2), np.float32),
        "v": np.ones((2, 1, keys, 2), np.float32),
    }
    mask = np.arange(keys)[None] < 60000
    proto = graph("Attention", data, "q k v" + " m" * masked, weights={"m": mask} if masked else {})
    found = judged(proto, data, tmp_path)
    assert found.verdict is (Verdict.PASSED if masked else Verdict.FAILED), found.message
    assert sums(found) == ({} if masked else {"the sum of exponentials": (66000, 2)})


def test_the_runtimes_own_attention_multiplies_by_its_weights_first(tmp_path: Path) -> None:
    data = {"x": random(N, S, WIDTH, scale=20.0)}
    weights = {"w": random(WIDTH, 3 * WIDTH, seed=2, scale=20.0), "b": random(3 * WIDTH, seed=3, scale=100.0)}
    proto = graph("Attention", data, "x w b", domain=OWN, weights=weights, num_heads=HEADS)
    made = data["x"].astype(np.float64) @ weights["w"] + weights["b"]
    queries, keys, _ = (split(part) for part in np.split(made, 3, axis=2))
    found = judged(proto, data, tmp_path)
    assert sums(found) == {SCORES: over(queries @ keys.transpose(0, 1, 3, 2) / math.sqrt(SIZE))}
    assert found.verdict is Verdict.FAILED
    louder = {"x": data["x"] * 100}
    assert sums(judged(proto, louder, tmp_path / "loud"))[
        "the product with its weights that makes queries, keys and values"
    ] == over(made * 100 - 99 * weights["b"])


@pytest.mark.parametrize("way", ["apart", "biased", "scaled", "laid out", "past"])
def test_attention_of_many_heads(way: str, tmp_path: Path) -> None:
    data = {"q": LOUD, "k": random(N, S, WIDTH, seed=7, scale=300.0), "v": random(N, S, WIDTH, seed=8)}
    given: dict[str, Any] = {"num_heads": HEADS} | ({"scale": 0.5} if way == "scaled" else {})
    names, weights = ["q", "k", "v"], dict[str, Array]()
    queries, keys = split(data["q"]), split(data["k"])
    if way == "biased":
        weights, names = {"b": np.full(3 * WIDTH, 250, np.float32)}, [*names, "b"]
        queries, keys = queries + 250, keys + 250
    if way == "laid out":
        data |= {name: split(data[name]).astype(np.float32) for name in "kv"}
    if way == "past":
        data |= {name: random(N, HEADS, 3, SIZE, seed=9, scale=900.0) for name in ("pk", "pv")}
        names += ["", "", "", "pk", "pv"]
        keys = np.concatenate([data["pk"], keys], axis=2)
    proto = graph("MultiHeadAttention", data, "q k v", domain=OWN, weights=weights, **given)
    proto.graph.node[0].input[:] = names
    if way == "past":
        proto.graph.node[0].output.extend(["present_k", "present_v"])
    found = judged(proto, data, tmp_path)
    scores = queries @ keys.transpose(0, 1, 3, 2) * given.get("scale", 1 / math.sqrt(SIZE))
    assert sums(found) == {SCORES: over(scores)}
    assert found.verdict is Verdict.FAILED


def test_a_bias_of_queries_may_overflow(tmp_path: Path) -> None:
    data = {name: random(N, S, WIDTH) for name in "qkv"}
    bias = np.zeros(3 * WIDTH, np.float32)
    bias[2 * WIDTH] = 65000
    proto = graph(
        "MultiHeadAttention", data | {"v": data["v"] + 600}, "q k v b", domain=OWN, weights={"b": bias}, num_heads=HEADS
    )
    found = judged(proto, data | {"v": data["v"] + 600}, tmp_path)
    what = "the sum of queries, keys or values and their bias"
    assert sums(found) == {what: over((data["v"][..., 0] + 600 + 65000).astype(np.float64))}


NORMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "SkipLayerNormalization": ("x s g b", "the sum of squared deviations", ("g", "b")),
    "SkipSimplifiedLayerNormalization": ("x s g", "the sum of squares", ("g",)),
}


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("bias", [False, True])
def test_what_is_skipped_to_is_summed_with_it(op: str, bias: bool, tmp_path: Path) -> None:
    names, what, affine = NORMS[op]
    data = {"x": random(N, S, 64, scale=60.0), "s": random(N, S, 64, seed=1, scale=60.0)}
    weights = {name: np.ones(64, np.float32) for name in affine} | (
        {"c": random(64, seed=9, scale=60.0)} if bias else {}
    )
    proto = graph(op, data, names + (" c" if bias else ""), domain=OWN, weights=weights)
    whole = data["x"].astype(np.float64) + data["s"] + weights.get("c", np.zeros(64))
    centred = whole - whole.mean(-1, keepdims=True) if "deviations" in what else whole
    found = judged(proto, data, tmp_path)
    assert sums(found)[what] == over((centred**2).sum(-1))
    assert found.verdict is Verdict.FAILED, found.message
    assert judged(proto, data, tmp_path / "u", "unknown").verdict is Verdict.INCONCLUSIVE
    small = {name: array / 100 for name, array in data.items()}
    assert judged(graph(op, small, names, domain=OWN, weights=weights), small, tmp_path / "s").verdict is Verdict.PASSED


def test_a_sum_that_is_skipped_to_overflows_itself(tmp_path: Path) -> None:
    data = {"x": np.full((N, S, 16), 40000, np.float32), "s": np.full((N, S, 16), 30000, np.float32)}
    weights = {"g": np.ones(16, np.float32)}
    found = judged(
        graph("SkipSimplifiedLayerNormalization", data, "x s g", domain=OWN, weights=weights), data, tmp_path
    )
    assert sums(found)["the sum of input, skip and bias"] == (70000, N)


def test_a_skipped_epsilon_vanishes(tmp_path: Path) -> None:
    """By default it is 1e-12, and a row of one number has no variance."""
    data = {"x": np.full((N, S, 16), 2, np.float32), "s": np.full((N, S, 16), 3, np.float32)}
    weights = {"g": np.ones(16, np.float32), "b": np.zeros(16, np.float32)}
    found = judged(graph("SkipLayerNormalization", data, "x s g b", domain=OWN, weights=weights), data, tmp_path)
    assert (found.verdict, found.metric) == (Verdict.FAILED, "zeroDivisors"), found.message
    assert (
        "the variance and epsilon by which node 'made.node' (SkipLayerNormalization) divides is 1e-12" in found.message
    )


def test_embeddings_are_summed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = {"ids": rng.integers(0, 20, (N, S)).astype(np.int32), "seg": rng.integers(0, 2, (N, S)).astype(np.int32)}
    tables = {
        "words": random(20, 64, scale=60.0),
        "places": random(S, 64, seed=1),
        "parts": random(2, 64, seed=2, scale=60.0),
    }
    weights = tables | {"g": np.ones(64, np.float32), "b": np.zeros(64, np.float32)}
    proto = graph("EmbedLayerNormalization", data, "ids seg words places parts g b", domain=OWN, weights=weights)
    proto.graph.node[0].output.append("mask_index")
    whole = (tables["words"][data["ids"]] + tables["places"][None] + tables["parts"][data["seg"]]).astype(np.float64)
    found = judged(proto, data, tmp_path)
    deviations = ((whole - whole.mean(-1, keepdims=True)) ** 2).sum(-1)
    assert sums(found)["the sum of squared deviations"] == over(deviations)
    assert found.verdict is Verdict.FAILED, found.message


def batch_norm(variance: float, epsilon: float, scale: float = 1.0, mean: float = 0.0) -> onnx.ModelProto:
    """Four channels, of which the third has these."""
    weights = {"g": np.ones(4), "b": np.zeros(4), "m": np.zeros(4), "v": np.ones(4)}
    weights["v"][2], weights["g"][2], weights["m"][2] = variance, scale, mean
    held = {name: array.astype(np.float32) for name, array in weights.items()}
    return graph("BatchNormalization", {"x": random(N, 4, 3)}, "x g b m v", 17, weights=held, epsilon=epsilon)


@pytest.mark.parametrize(
    ("given", "scale", "says"),
    [
        (
            (65500, 100.0),
            1.0,
            "the sum of variance and epsilon inside node 'made.node' (BatchNormalization) reaches 65,600",
        ),
        (
            (1e-9, 1e-12),
            1.0,
            "the variance and epsilon by which node 'made.node' (BatchNormalization) divides is 1.001e-9",
        ),
        ((1e-6, 1e-7, 100.0), 1e-4, "the folded factor, scale / sqrt(variance + epsilon), inside node"),
        ((1e-4, 1e-7, 100.0, 40.0), 1e-4, "the folded shift, B - mean · scale / sqrt(variance + epsilon), inside node"),
    ],
)
def test_a_batch_norm_computes_with_its_weights(
    given: tuple[float, ...], scale: float, says: str, tmp_path: Path
) -> None:
    data = {"x": random(N, 4, 3) * np.float32(scale)}
    if len(given) == 4:
        data["x"][:, 2] += np.float32(given[3])
    found = judged(batch_norm(*given), data, tmp_path)
    assert (found.verdict, says in found.message) == (Verdict.FAILED, True), found.message
    assert judged(batch_norm(*given), data, tmp_path / "u", "unknown").verdict is Verdict.INCONCLUSIVE


def test_a_batch_norm_as_models_have_it_fits(tmp_path: Path) -> None:
    """A channel that was pruned is none that is lost: its factor is 0, and so is what becomes of it."""
    data = {"x": random(N, 4, 3)}
    for index, given in enumerate([(4.0, 1e-5), (0.0, 1e-5), (60000.0, 1e-3), (1.0, 1e-5, 1e-12)]):
        found = judged(batch_norm(*given), data, tmp_path / str(index))
        assert found.verdict is Verdict.PASSED, found.message


def test_a_batch_norm_of_which_all_factors_vanish(tmp_path: Path) -> None:
    proto = batch_norm(1.0, 1e-5)
    for tensor in proto.graph.initializer:
        if tensor.name in "gv":
            tensor.CopyFrom(constant(tensor.name, np.full(4, {"g": 1e-6, "v": 6e4}[tensor.name], np.float32)))
    found = judged(proto, {"x": random(N, 4, 3) * 6000}, tmp_path)
    assert found.verdict is Verdict.FAILED
    assert "by which node 'made.node' (BatchNormalization) multiplies is 4.082e-9" in found.message
    assert "raise its epsilon" not in found.message
