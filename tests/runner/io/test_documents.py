"""A graph is edited without its weights, and keeps whatever no edit is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_runner.graphs.documents import load_graph, load_outline, save
from assay_runner.graphs.fed import fed_in_fp32, typed_outputs
from assay_runner.graphs.segments import cut
from assay_runner.graphs.shapes import shape_tensors
from assay_runner.graphs.sparse import dense
from assay_runner.graphs.taps import sites, tapped, uses
from assay_runner.graphs.upstream import fed, upstream
from assay_runner.graphs.weights import localise, weight
from tests.models import constant, model, node, value

MODELS = sorted((Path(onnx.backend.test.__file__).parent / "data").rglob("*.onnx"))
"""What the onnx package tests runtimes with: classic networks and the converted operators of PyTorch."""

X = value("x", "N", 4)
Y = value("y", "N", 4)


def outside(name: str, kind: int, dims: list[int], **entries: int) -> onnx.TensorProto:
    """A weight in `data.bin`."""
    tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, entry in {"location": "data.bin", **entries}.items():
        tensor.external_data.add(key=key, value=str(entry))
    return tensor


def sparse(name: str) -> onnx.SparseTensorProto:
    """(0, 3, 0, 0)."""
    return helper.make_sparse_tensor(
        constant(name, np.array([3], np.float32)), constant("", np.array([1], np.int64)), [4]
    )


def sparse_initialiser() -> onnx.ModelProto:
    made = model([node("Mul", "x k", "y")], [X], [Y])
    made.graph.sparse_initializer.append(sparse("k"))
    return made


def sparse_constant() -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["k"], sparse_value=sparse("")), node("Mul", "x k", "y")], [X], [Y])


def maps_as_output() -> onnx.ModelProto:
    """What a classifier of scikit-learn answers: a map from class to probability for every sample."""
    maps = onnx.ValueInfoProto(name="maps")
    inner = maps.type.sequence_type.elem_type.map_type
    inner.key_type, inner.value_type.tensor_type.elem_type = TensorProto.INT64, TensorProto.FLOAT
    zip_map = helper.make_node("ZipMap", ["y"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=range(4))
    made = model([node("Exp", "x", "y"), zip_map], [X], [Y, maps])
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return made


def remarks() -> onnx.ModelProto:
    """Whatever may be said about a graph besides what it computes."""
    made = model([node("Exp", "x", "a"), helper.make_node("Dropout", ["a"], ["y", ""])], [X], [Y])
    made.graph.value_info.append(onnx.ValueInfoProto(name="a"))
    made.graph.value_info.append(helper.make_tensor_sequence_value_info("nowhere", TensorProto.FLOAT, None))
    for whole in (made, made.graph, made.graph.node[0], made.graph.input[0]):
        whole.doc_string = "said of it"
        whole.metadata_props.add(key="twice", value="a")
        whole.metadata_props.add(key="twice", value="b")
    made.graph.input[0].type.denotation = "IMAGE"
    made.graph.quantization_annotation.add(tensor_name="a").quant_parameter_tensor_names.add(key="SCALE", value="x")
    return made


def odd_weights() -> onnx.ModelProto:
    """No axes, no elements, text, and types that numpy has not."""
    weights = [
        helper.make_tensor("scalar", TensorProto.FLOAT, [], [2.0]),
        helper.make_tensor("none", TensorProto.FLOAT, [0, 3], []),
        numpy_helper.from_array(np.array(["a", "é"], object), "text"),
        *(helper.make_tensor(f"w{kind}", kind, [3], [1, 0, 1]) for kind in (TensorProto.INT4, TensorProto.FLOAT8E5M2)),
    ]
    return model([node("Mul", "x scalar", "y")], [X], [Y], weights)


def same(made: onnx.ModelProto, wanted: onnx.ModelProto, folder: Path) -> bool:
    """Whether all is equal, weights in whatever form they are stored."""
    pair = []
    for each, base in ((made, folder), (wanted, None)):
        pair.append(onnx.ModelProto.FromString(each.SerializeToString()))
        for tensor in pair[-1].graph.initializer:
            array = numpy_helper.to_array(tensor, base_dir=str(base or ""))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return bool(pair[0] == pair[1])


def edited(path: Path, folder: Path) -> bool:
    """Whether a model is what it was, after every tensor was shown, and hidden again, and its weights were moved."""
    graph = load_graph(path)
    shown = tapped(graph, {site.tensor for site in sites(graph)})
    assert {output.name for output in shown.graph.output} >= {site.tensor for site in sites(graph)}
    del shown.graph.output[len(graph.graph.output) :]
    folder.mkdir()
    saved = save(localise(shown, path.parent, folder), folder / "m.onnx")
    return same(onnx.load(saved, load_external_data=False), graph, folder)


@pytest.mark.parametrize(
    "made",
    [sparse_initialiser, sparse_constant, maps_as_output, remarks, odd_weights],
    ids=lambda made: made.__name__,
)
def test_an_edited_model_keeps_what_the_edit_is_not_about(made: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    path = save(made(), tmp_path / "m.onnx")
    # Sparse weights are made dense; else there is nothing to inline and nothing to lift.
    assert load_graph(path) == dense(made())
    assert edited(path, tmp_path / "edited")
    ort.InferenceSession(tmp_path / "edited" / "m.onnx", providers=["CPUExecutionProvider"])


def test_so_do_the_models_that_runtimes_are_tested_with(tmp_path: Path) -> None:
    assert len(MODELS) > 100
    changed = [str(path) for number, path in enumerate(MODELS) if not edited(path, tmp_path / str(number))]
    assert not changed


def test_no_weight_is_read_to_ask_about_a_graph_or_to_edit_it(tmp_path: Path) -> None:
    """The file of weights, of 8 GiB, is not even there."""
    big = outside("w", TensorProto.FLOAT, [2**31], offset=4096, length=2**33)
    made = model([node("Gather", "w i", "a"), node("Mul", "x a", "b"), node("Exp", "b", "y")], [X], [Y], [big])
    made.graph.initializer.append(constant("i", np.array([0, 1, 2, 3], np.int64)))
    path = save(made, tmp_path / "m.onnx")
    graph = load_graph(path)
    assert sites(graph) == sites(load_outline(path))
    assert [site.tensor for site in uses(graph)["w"]] == ["a"]
    assert upstream(graph, "a") == {"a", "w", "i"}
    assert fed(graph) == {"x", "b", "y"}
    assert not shape_tensors(graph.graph)
    assert tapped(graph, {"a"}).graph.initializer == made.graph.initializer
    types = dict.fromkeys(("a", "b", "y"), TensorProto.FLOAT16)
    segments = list(cut(graph, types, ["a", "b", "y"], {}, 1))
    assert [list(segment.results) for segment in segments] == [["a", "b", "y"]]
    fed_in_fp32(segments[0].model, types, {})
    typed_outputs(segments[0].model, types)
    assert segments[0].model.graph.initializer[0] == big


def test_external_weights_need_not_say_how_long_they_are(tmp_path: Path) -> None:
    for size in (4, 1000):  # Small ones move into the model, large ones into a file of its own.
        folder, moved = tmp_path / str(size), tmp_path / f"{size} moved"
        folder.mkdir()
        moved.mkdir()
        random = np.random.default_rng(0)
        first, second = random.standard_normal((2, size), np.float32)
        (folder / "data.bin").write_bytes(first.tobytes() + second.tobytes())
        weights = [outside(name, TensorProto.FLOAT, [size], offset=at) for name, at in (("a", 0), ("b", 4 * size))]
        made = model(
            [node("Add", "x a", "t"), node("Mul", "t b", "y")],
            [value("x", "N", size)],
            [value("y", "N", size)],
            weights,
        )
        path = save(made, folder / "m.onnx")
        graph = localise(load_graph(path), folder, moved)
        x = random.standard_normal((2, size), np.float32)
        for each in (path, save(graph, moved / "m.onnx")):
            session = ort.InferenceSession(each, providers=["CPUExecutionProvider"])
            assert np.array_equal(session.run(None, {"x": x})[0], (x + first) * second)


@pytest.mark.parametrize("kind", ["INT2", "UINT2", "INT4", "UINT4", "FLOAT4E2M1"])
@pytest.mark.parametrize("stated", [True, False])
def test_external_weights_of_less_than_a_byte_are_read(kind: str, stated: bool, tmp_path: Path) -> None:
    inside = helper.make_tensor("w", TensorProto.DataType.Value(kind), [5], [1, 0, 1, 1, 0])
    data = numpy_helper.from_array(numpy_helper.to_array(inside)).raw_data
    (tmp_path / "data.bin").write_bytes(b"\x77" * 3 + data + b"\x77" * 9)
    entries = {"offset": 3} | ({"length": len(data)} if stated else {})
    found = weight(outside("w", inside.data_type, [5], **entries), tmp_path)
    assert found.astype(np.float32).tolist() == [1, 0, 1, 1, 0]


def test_weights_in_a_file_of_their_own_stay_there(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    data = np.arange(4096, dtype=np.float32)
    file = tmp_path / "from" / "data.bin"
    file.write_bytes(b"-" * 8 + data.tobytes() + b"-" + data.tobytes())
    weights = [
        outside("even", TensorProto.FLOAT, [64, 64], offset=8),
        outside("odd", TensorProto.FLOAT, [64, 64], offset=8 + data.nbytes + 1),
        outside("small", TensorProto.FLOAT, [4], offset=8, length=16),
    ]
    made = model([node("Identity", "x", "y")], [X], [Y], weights)
    localise(made, tmp_path / "from", tmp_path / "to", lambda name, array: array)
    # Elements that do not lie at a multiple of their size are moved to one; the rest is not copied.
    own, linked = sorted((tmp_path / "to").iterdir(), key=lambda path: path.stat().st_nlink)
    assert (own.stat().st_size, own.name) == (data.nbytes, "weights.bin")
    assert linked.samefile(file)
    for tensor in made.graph.initializer:
        assert np.array_equal(weight(tensor, tmp_path / "to").reshape(-1), data[: weight(tensor, tmp_path / "to").size])


def test_a_link_to_somebodys_file_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    file = tmp_path / "theirs"
    file.write_bytes(b"theirs")
    (tmp_path / "to" / "weights.bin").hardlink_to(file)
    inside = constant("w", np.ones((64, 64), np.float32))
    localise(model([node("Identity", "x", "y")], [X], [Y], [inside]), tmp_path, tmp_path / "to")
    assert file.read_bytes() == b"theirs"
    assert (tmp_path / "to" / "weights.bin").stat().st_size == 64 * 64 * 4
