"""Sessions: memory lent and given back, messages that speak of the model, threads that a container allows."""

from __future__ import annotations

import gc
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from assay_runner.backends import shared_weights
from assay_runner.backends.sessions import OrtSession, Purpose, sentence, translated
from assay_runner.cores import cores
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.tensors import Array
from tests.models import constant, mlp, model, node, random, value

SENTENCES = {
    "kernel": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'r' Status "
        "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:84 onnxruntime::ReshapeHelper"
        "::ReshapeHelper(const onnxruntime::TensorShape&, bool) size != 0 && (input_shape_size % size) == 0 was false. "
        "The input tensor cannot be reshaped to the requested shape.",
        "node 'r' (Reshape) failed: The input tensor cannot be reshaped to the requested shape",
    ),
    "a condition alone": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running LRN node. Name:'l' Status "
        "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/nn/lrn.cc:59 onnxruntime::common::Status "
        "onnxruntime::LRN<T>::Compute(onnxruntime::OpKernel*) const [with T = float] X_shape.NumDimensions() == 4"
        " was false",
        "node 'l' (LRN) failed: X_shape.NumDimensions() == 4 was false",
    ),
    "a file without its folder": (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Loop node. Name:'l' Status "
        "Message: loop.cc:466 Initialize Loop subgraph input 0 has unknown shape: i",
        "node 'l' (Loop) failed: Loop subgraph input 0 has unknown shape: i",
    ),
    "inside control flow": (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running If node. "
        "Name:'if' Status Message: Non-zero status code returned while running Add node. Name:'add' Status Message: "
        "shapes differ",
        "node 'add' (Add) failed: shapes differ",
    ),
    "graph": (
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : Load model from /tmp/m.onnx failed:This is an invalid model.",
        "This is an invalid model",
    ),
    "nothing": ("", "no reason given"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_a_message_speaks_of_the_model(case: str) -> None:
    text, expected = SENTENCES[case]
    assert sentence(text) == expected


@pytest.mark.parametrize("text", ["std::bad_alloc", "Failed to allocate memory for requested buffer of size 1"])
def test_lack_of_memory_is_not_the_users_fault(text: str) -> None:
    with pytest.raises(Unavailable, match="memory"), translated("the model"):
        raise RuntimeError(text)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match=r"cannot run the model: Protobuf parsing failed"):
        OrtSession(tmp_path / "m.onnx", Purpose.PLAIN)


def session(proto: onnx.ModelProto, folder: Path, purpose: Purpose = Purpose.EXACT) -> OrtSession:
    onnx.save(proto, str(folder / "m.onnx"))
    return OrtSession(folder / "m.onnx", purpose)


@pytest.mark.parametrize("purpose", Purpose)
def test_tensors_outlive_the_session(purpose: Purpose, tmp_path: Path) -> None:
    opened, x = session(mlp(), tmp_path, purpose), random(5, 8)
    kept = opened.run({"x": x})["logits"]
    before = kept.copy()
    for seed in range(20):
        opened.run({"x": random(5, 8, seed=seed)})
    del opened
    gc.collect()
    assert np.array_equal(kept, before)


@pytest.mark.parametrize(
    ("kind", "dtype"), [(1, np.float32), (10, np.float16), (11, np.float64), (16, ml_dtypes.bfloat16), (7, np.int64)]
)
def test_every_element_type_comes_back_as_it_went_in(kind: int, dtype: type, tmp_path: Path) -> None:
    proto = model([node("Reshape", "x s", "y")], [value("x", "N", 4, kind=kind)], [value("y", "N", 2, 2, kind=kind)])
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 2, 2]), "s"))
    x: Array = np.arange(12).reshape(3, 4).astype(dtype)
    y = session(proto, tmp_path).run({"x": x})["y"]
    assert y.dtype == x.dtype
    assert np.array_equal(y.astype(np.float64), x.astype(np.float64).reshape(3, 2, 2))


def test_inputs_need_not_be_contiguous(tmp_path: Path) -> None:
    opened, x = session(mlp(), tmp_path), random(10, 8)
    assert np.array_equal(opened.run({"x": x[::2]})["logits"], opened.run({"x": x[::2].copy()})["logits"])


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", None), ("100000 100000", 1), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_threads_follow_the_quota_of_the_container(quota: str, expected: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    free = cores(tmp_path / "nothing")
    assert cores(tmp_path / "cpu.max") == (free if expected is None else min(free, expected))


def large(folder: Path, name: str, *, fed: bool = False) -> Path:
    """A product with a weight in a file of its own; `fed`: which is listed among the inputs too."""
    folder.mkdir(exist_ok=True)
    weight = constant("w", random(16, 16, seed=3))
    inputs = [value("x", "N", 16), *([value("w", 16, 16)] if fed else [])]
    proto = model([node("MatMul", "x w", "y")], inputs, [value("y", "N", 16)], [weight])
    onnx.save(proto, str(folder / "m.onnx"), save_as_external_data=True, location=name, size_threshold=16)
    return folder / "m.onnx"


@pytest.mark.parametrize("purpose", list(Purpose))
def test_large_weights_are_mapped_once_for_all_sessions(
    purpose: Purpose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = large(tmp_path / "a", "weights"), large(tmp_path / "b", "w.bin")
    x = random(3, 16, seed=4)
    wanted = OrtSession(path, purpose).run({"x": x})["y"]
    monkeypatch.setattr(shared_weights, "LARGE", 0)
    monkeypatch.setattr(shared_weights, "LEAST", 0)
    sessions = [OrtSession(each, purpose) for each in (path, path, other)]
    assert len(shared_weights._MAPPED) == 2
    for session in (*sessions, *sessions):  # Each time what the others have mapped is left to the page cache.
        assert np.allclose(session.run({"x": x})["y"], wanted, atol=1e-5)
    del session, sessions[0], sessions[0]
    gc.collect()
    assert len(shared_weights._MAPPED) == 1


def test_a_weight_that_may_be_fed_is_left_to_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_weights, "LARGE", 0)
    monkeypatch.setattr(shared_weights, "LEAST", 0)
    session = OrtSession(large(tmp_path / "a", "weights", fed=True), Purpose.PLAIN)
    assert session.run({"x": random(3, 16)})["y"].shape == (3, 16)


@pytest.mark.parametrize("samples", [2, 5000])
def test_nothing_that_comes_out_is_memory_of_what_went_in(samples: int, tmp_path: Path) -> None:
    """Of small outputs, which are copied from the second run on, and of large ones, which are lent."""
    nodes = [node("Identity", "x", "same"), node("Add", "x x", "y"), node("Cast", "x", "text", to=8)]
    proto = model(
        nodes, [value("x", "N", 8)], [value(name, "N", 8) for name in ("same", "y")] + [value("text", kind=8)]
    )
    opened, x = session(proto, tmp_path), random(samples, 8)
    first, *others = [opened.run({"x": x}) for _ in range(3)]
    for found in others:
        assert list(found) == list(first) == ["same", "y", "text"]
        for name, array in found.items():
            assert (array.dtype, array.shape) == (first[name].dtype, first[name].shape)
            assert array.tobytes() == first[name].tobytes()
            assert not np.shares_memory(array, x)
            assert not np.shares_memory(array, first[name])


def test_runs_of_one_session_may_be_small_and_large_in_turns(tmp_path: Path) -> None:
    opened = session(mlp(), tmp_path)
    for samples in (1, 20_000, 1, 3, 20_000, 2):
        x = random(samples, 8, seed=samples)
        np.testing.assert_allclose(opened.run({"x": x})["logits"][0], opened.run({"x": x[:1]})["logits"][0], rtol=1e-5)


def test_inputs_that_do_not_fit_are_told_alike_by_every_run(tmp_path: Path) -> None:
    opened = session(mlp(), tmp_path)
    told = set()
    for _ in range(3):
        with pytest.raises(InvalidInput) as caught:
            opened.run({"x": random(2, 9)})
        told.add(str(caught.value))
        opened.run({"x": random(2, 8)})
    assert len(told) == 1
