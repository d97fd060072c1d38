"""A model is trusted only after everything that could be wrong with it was looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_api.audit import ModelRef
from assay_runner.errors import InvalidInput
from assay_runner.models.loading import load_model
from assay_runner.stores.memory import MemoryStore
from tests.runner.io.made import info, linear, loaded, save, store


def test_a_good_model_says_what_it_takes(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx")
    model = loaded(path, tmp_path / "scratch")
    assert [(i.name, i.dtype, i.shape) for i in model.inputs] == [("x", np.dtype("float32"), ("batch", 3))]
    assert [(o.name, o.shape) for o in model.outputs] == [("y", ("batch", 4))]
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == model.identity
    assert (model.opset, model.batch) == (17, None)


def test_a_fixed_batch_is_known(tmp_path: Path) -> None:
    assert loaded(linear(tmp_path / "m.onnx", batch=8), tmp_path / "scratch").batch == 8


def test_an_output_without_a_shape_is_inferred(tmp_path: Path) -> None:
    shapeless = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    path = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], [info("x", ["b", 3])], [shapeless])
    assert loaded(path, tmp_path / "scratch").outputs[0].shape == ("b", 3)


def external(path: Path) -> Path:
    return linear(path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def test_external_data_come_along_and_enter_the_identity(tmp_path: Path) -> None:
    path = external(tmp_path / "m" / "m.onnx")
    model = loaded(path, tmp_path / "scratch")
    assert (model.path.parent / "weights.bin").read_bytes() == (path.parent / "weights.bin").read_bytes()
    content = bytearray((path.parent / "weights.bin").read_bytes())
    content[0] ^= 1
    (path.parent / "weights.bin").write_bytes(content)
    other = loaded(path, tmp_path / "scratch2")
    assert model.sha256 == other.sha256
    assert model.identity != other.identity


def truncated_weights(path: Path) -> Path:
    external(path)
    weights = path.parent / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    return path


def lost_weights(path: Path) -> Path:
    external(path)
    (path.parent / "weights.bin").unlink()
    return path


def pointing(location: str) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        external(path)
        content = path.read_bytes()
        assert len(location) == len("weights.bin")
        path.write_bytes(content.replace(b"weights.bin", location.encode()))
        return path

    return build


def written(content: bytes) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return build


def cut(share: float) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        content = linear(path, classes=500).read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return build


def node(op: str, domain: str = "", **more: Any) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        opsets = [helper.make_opsetid("", more.get("opset", 17))]
        opsets += [helper.make_opsetid(domain, 1)] if domain else []
        nodes = [helper.make_node(op, ["x"], ["y"], name="the-node", domain=domain)]
        return save(path, nodes, [info("x", ["b", 3])], [info("y", ["b", 3])], opsets=opsets, **more.get("model", {}))

    return build


def without_inputs(path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    return save(path, [helper.make_node("Relu", ["w"], ["y"])], [], [info("y", [3])], initializer=[weight])


def two_batches(path: Path) -> Path:
    return save(
        path,
        [helper.make_node("Concat", ["a", "b"], ["y"], axis=0)],
        [info("a", [2, 3]), info("b", [4, 3])],
        [info("y", [6, 3])],
    )


def of_input(shape: list[int | str | None] | None, elem: int = TensorProto.FLOAT) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        value = helper.make_tensor_value_info("x", elem, shape)
        return save(path, [helper.make_node("Identity", ["x"], ["y"])], [value], [info("y", shape or [], elem)])

    return build


def recurrent(path: Path) -> Path:
    """Valid, and of a layout that ONNX Runtime has no kernel for."""
    weights = [("w", (1, 15, 4)), ("r", (1, 15, 5))]
    node = helper.make_node("GRU", ["x", "w", "r"], ["y"], name="the-node", hidden_size=5, layout=1)
    held = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights]
    return save(path, [node], [info("x", ["b", 3, 4])], [info("y", ["b", 3, 1, 5])], initializer=held)


def inside(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The same inside a branch that the data decide."""

    def built(path: Path) -> Path:
        model = onnx.load(str(build(path)))
        then = helper.make_graph(list(model.graph.node), "then", [], list(model.graph.output))
        other = helper.make_graph(list(model.graph.node), "else", [], list(model.graph.output))
        nodes = [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
            helper.make_node("If", ["c"], ["z"], then_branch=then, else_branch=other),
        ]
        outputs = [info("z", ["b", 3, 1, 5])]
        return save(path, nodes, list(model.graph.input), outputs, initializer=list(model.graph.initializer))

    return built


def narrow(kind: int) -> Callable[[Path], Path]:
    """An input of a type that has no name outside ONNX."""

    def build(path: Path) -> Path:
        cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
        opsets = [helper.make_opsetid("", 21)]
        return save(path, [cast], [info("x", ["b", 3], kind)], [info("y", ["b", 3])], opsets=opsets)

    return build


def of_kind(kind: int, name: str = "the-node") -> Callable[[Path], Path]:
    """A convolution of an element type that ONNX allows and ONNX Runtime lacks on CPU."""

    def build(path: Path) -> Path:
        node = helper.make_node("Conv", ["x", "w"], ["y"], name=name)
        weight = helper.make_tensor("w", kind, [4, 3, 1, 1], np.zeros(12))
        given, made = (info(name, ["b", size, 8, 8], kind) for name, size in (("x", 3), ("y", 4)))
        return save(path, [node], [given], [made], initializer=[weight], opsets=[helper.make_opsetid("", 22)])

    return build


def as_a_folder(path: Path) -> Path:
    pointing("weight.bin/")(path)
    (path.parent / "weights.bin").rename(path.parent / "weight.bin")
    return path


BAD: list[tuple[str, Callable[[Path], Path], str]] = [
    ("empty", written(b""), "is empty (0 bytes)"),
    ("page", written(b"\n<!DOCTYPE html><html><body>Sign in"), "not ONNX but a web page"),
    ("lfs", written(b"version https://git-lfs.github.com/spec/v1\noid sha256:00"), "git lfs pull"),
    ("zip", written(b"PK\x03\x04" + bytes(100)), "not ONNX but a zip archive"),
    ("text", written(b"hello world, this is no model"), "is not ONNX, or truncated"),
    ("noise", written(np.random.default_rng(0).bytes(4096)), "is not ONNX, or truncated"),
    ("half", cut(0.5), "is not ONNX, or truncated"),
    ("almost", cut(0.99), "is not ONNX, or truncated"),
    ("lost weights", lost_weights, "external data weights.bin of the model"),
    ("short weights", truncated_weights, "are truncated: 47 bytes, but the model's tensors need 48"),
    ("traversal", pointing("../../x.bin"), "outside its own folder"),
    ("absolute", pointing("/etc/passwd"), "outside its own folder"),
    ("no file", as_a_folder, "should be stored in weight.bin/, but it is not regular file"),
    ("operator", node("Frobnicate"), "operator Frobnicate (node 'the-node'), which opset 17 does not have"),
    ("domain", node("Foo", "com.acme"), "operator com.acme:Foo, which ONNX Runtime does not have"),
    ("opset", node("Relu", opset=99), "is of opset 99 (domain ai.onnx), and ONNX Runtime runs opsets up to"),
    ("old", node("Relu", opset=5), "operator Relu, version 1 (node 'the-node'), which ONNX Runtime does not run"),
    ("ir", node("Relu", model={"ir_version": 99}), "format version (IR) 99, and the newest known is"),
    ("no inputs", without_inputs, "has no inputs, so no dataset can be fed to it"),
    ("two batches", two_batches, "disagree on the batch, their first axis (a: 2, b: 4)"),
    ("no shape", of_input(None), "input 'x' of the model"),
    ("scalar", of_input([]), "input 'x' of the model"),
    ("float8 input", narrow(TensorProto.FLOAT8E5M2), "is float8_e5m2, a type that .npz cannot hold: export the model"),
    ("int4 input", narrow(TensorProto.INT4), "is int4, a type that .npz cannot hold: export the model with a float32"),
    ("layout", recurrent, "cannot run it on CPU, node 'the-node' (GRU, inputs of float): Batchwise recurrent"),
    ("layout inside", inside(recurrent), "node 'the-node' (GRU, inputs of float): Batchwise recurrent operations"),
    ("kernel", of_kind(TensorProto.DOUBLE), "which ONNX Runtime does not run on CPU with inputs of double: export"),
    ("kernel of no name", of_kind(TensorProto.BFLOAT16, ""), "(node 'Conv:y'), which ONNX Runtime does not run on CPU"),
    ("text input", of_input(["b", 3], TensorProto.STRING), "is no tensor of numbers"),
]


@pytest.mark.parametrize(("build", "sentence"), [(b, s) for _, b, s in BAD], ids=[n for n, _, _ in BAD])
def test_a_bad_model_is_refused_in_one_sentence(tmp_path: Path, build: Callable[[Path], Path], sentence: str) -> None:
    path = build(tmp_path / "m.onnx")
    with pytest.raises(InvalidInput) as caught:
        loaded(path, tmp_path / "scratch")
    assert sentence in str(caught.value)
    assert f"file://{path}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)
    assert str(tmp_path / "scratch") not in str(caught.value)


def test_a_model_that_is_valid_is_not_said_to_be_none(tmp_path: Path) -> None:
    for number, build in enumerate((recurrent, inside(recurrent), of_kind(TensorProto.DOUBLE))):
        with pytest.raises(InvalidInput) as caught:
            loaded(build(tmp_path / f"{number}.onnx"), tmp_path / "scratch")
        assert "not valid ONNX" not in str(caught.value)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.onnx does not exist"):
        load_model(store(tmp_path), ModelRef(uri="file://./absent.onnx"), tmp_path / "scratch")


def test_a_wrong_digest_names_both(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    load_model(store(tmp_path), ModelRef(uri="file://./m.onnx", sha256=right), tmp_path / "scratch")
    with pytest.raises(InvalidInput, match=f"has SHA-256 {right}, not {'0' * 64}"):
        load_model(store(tmp_path), ModelRef(uri="file://./m.onnx", sha256="0" * 64), tmp_path / "scratch")


def test_a_model_loads_from_any_store(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx")
    memory = MemoryStore()
    for name in ("m.onnx", "weights.bin"):
        memory.put(f"memory://models/{name}", tmp_path / name)
    # The URI type of specs has no memory://, so the reference is made without it.
    ref = ModelRef.model_construct(uri="memory://models/m.onnx", sha256=None)
    assert load_model(memory, ref, tmp_path / "scratch").identity == loaded(path, tmp_path / "other").identity
