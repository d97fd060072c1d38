"""Layers cut apart compute from golden's tensors what the whole computes, whatever type they compute in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.segments import CutGraph, SegmentsSession
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.graphs.fed import element_types
from assay_runner.graphs.segments import cut
from assay_runner.graphs.taps import sites, tapped
from assay_runner.tensors import Array
from tests.models import Heard, loaded, model, node, value
from tests.orders import ordered
from tests.runner.engines.versions import TEN

DIGITS = Path("examples/digits")
KEPT = {
    "digits-cnn": ("relu1.out", "relu2.out", "pool2.out", "gap.out", "logits"),
    "digits-vit": ("patch_embed.out", "add_pos_embed.out", "block0.attn.context.out", "block1.add2.out", "logits"),
}


def recipe(name: str, folder: Path, **fields: Any) -> Recipe:
    given = loaded(onnx.load(str(DIGITS / f"{name}.onnx")), folder)
    order = ordered(**fields)
    chosen = settings(order, TEN)
    path, _ = source_model(given, order, chosen, None, folder / "source", Heard())
    return Recipe(path, chosen, {})


def golden(name: str) -> dict[str, Array]:
    plain = onnx.load(str(DIGITS / f"{name}.onnx"))
    everything = tapped(plain, {site.tensor for site in sites(plain)})
    session = ort.InferenceSession(everything.SerializeToString(), providers=["CPUExecutionProvider"])
    with np.load(DIGITS / "data" / "part-000.npz") as shard:
        image = np.ascontiguousarray(shard["image"][:8])
    names = [output.name for output in everything.graph.output]
    return {"image": image, **dict(zip(names, session.run(None, {"image": image}), strict=True))}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({"precision": "fp16", "typing": "weak"}, 120.0),
        ({"precision": "fp16", "typing": "strong"}, 50.0),
    ],
    ids=["weak", "strong"],
)
def test_segments_make_what_golden_has(name: str, fields: dict[str, Any], least: float, tmp_path: Path) -> None:
    tensors = golden(name)
    segments = CutGraph(recipe(name, tmp_path, **fields), {*KEPT[name], "no such tensor"}, tmp_path / "segments")
    assert set(segments.results) == set(KEPT[name])
    assert segments.needs == {"image", *KEPT[name][:-1]}
    path = segments.write({needed: tensors[needed].shape for needed in segments.needs})
    fed = onnx.load(str(path), load_external_data=False).graph
    assert {value.type.tensor_type.elem_type for value in fed.input} == {TensorProto.FLOAT}
    assert all(dim.dim_value > 0 for value in fed.input for dim in value.type.tensor_type.shape.dim)
    assert all(value.type.tensor_type.elem_type for value in fed.output)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    results = [segments.results[tensor] for tensor in KEPT[name]]
    for tensor, found in zip(KEPT[name], session.run(results, {n: tensors[n] for n in segments.needs}), strict=True):
        noise = ((found.astype(np.float64) - tensors[tensor]) ** 2).sum()
        assert 10 * np.log10((tensors[tensor].astype(np.float64) ** 2).sum() / max(noise, 1e-300)) > least, tensor


def test_segments_in_bf16_are_well_typed(tmp_path: Path) -> None:
    """No runtime on a CPU has all kernels of BF16; the types that TensorRT's parser asks for can be checked."""
    kept = KEPT["digits-vit"]
    segments = CutGraph(recipe("digits-vit", tmp_path, precision="bf16", typing="strong"), kept, tmp_path / "segments")
    shapes = {needed: golden("digits-vit")[needed].shape for needed in segments.needs}
    made = onnx.load(str(segments.write(shapes)), load_external_data=False)
    types = element_types(made)
    inner = [segments.results[name] for name in kept if name != "logits"]
    assert {types[name] for name in inner} == {TensorProto.BFLOAT16}
    assert {types[name] for name in segments.needs} == {TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("kind", "taken"), [(TensorProto.INT64, TensorProto.INT64), (TensorProto.FLOAT16, TensorProto.FLOAT)]
)
def test_graph_inputs_keep_their_integers(kind: int, taken: int, tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "wide", to=TensorProto.FLOAT), node("Exp", "wide", "e"), node("Neg", "e", "y")]
    proto = model(nodes, [value("x", "N", 3, kind=kind)], [value("y", "N", 3)])
    chosen = settings(ordered("fp32"), TEN)
    segments = CutGraph(Recipe(loaded(proto, tmp_path).path, chosen, {}), {"e", "y"}, tmp_path / "segments")
    path = segments.write(dict.fromkeys(segments.needs, (2, 3)))
    made = onnx.load(str(path))
    assert {v.name: v.type.tensor_type.elem_type for v in made.graph.input} == {"x": taken, "e": TensorProto.FLOAT}
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.array([[0, 1, 2], [3, 4, 5]], onnx.helper.tensor_dtype_to_np_dtype(taken))
    [found] = session.run([segments.results["e"]], {"x": x, "e": np.zeros((2, 3), np.float32)})
    assert np.allclose(found, np.exp(x))


def test_what_golden_lacks_is_no_place_to_cut(tmp_path: Path) -> None:
    def nothing(_: Recipe) -> Path:
        raise AssertionError("nothing is to be built")

    kept = {*KEPT["digits-cnn"], "relu3.out"}
    segments = SegmentsSession(
        recipe("digits-cnn", tmp_path, precision="fp32"), kept, tmp_path / "segments", nothing, 0
    )
    there = {"image", *KEPT["digits-cnn"]}
    assert set(segments.cut(there).results) == there - {"image"}
    assert "relu3.out" not in segments.cut(there).needs


def test_nodes_without_names_are_called_in_segments_as_in_the_whole(tmp_path: Path) -> None:
    proto = onnx.load(str(DIGITS / "digits-cnn.onnx"))
    for each in proto.graph.node:
        each.name = ""
    whole = {site.node for site in sites(proto)}
    [segment] = cut(proto, dict.fromkeys(KEPT["digits-cnn"], TensorProto.FLOAT), KEPT["digits-cnn"], {}, 1 << 40)
    assert {site.node for site in sites(segment.model)} <= whole


def test_nothing_shared_is_nothing_cut(tmp_path: Path) -> None:
    segments = CutGraph(recipe("digits-cnn", tmp_path, precision="fp32"), {"no such tensor"}, tmp_path / "segments")
    assert not segments.results
    assert not segments.needs


@pytest.mark.parametrize("name", KEPT)
def test_a_part_of_the_segments_makes_what_all_of_them_make(name: str, tmp_path: Path) -> None:
    """What cannot be built as one engine is built in parts; each takes only what its own segments need."""
    tensors, kept = golden(name), KEPT[name]
    segments = CutGraph(recipe(name, tmp_path, precision="fp32"), kept, tmp_path / "segments")
    shapes = {needed: tensors[needed].shape for needed in segments.needs}
    for part in (kept[:2], kept[2:], kept[-1:]):
        session = ort.InferenceSession(str(segments.write(shapes, part)), providers=["CPUExecutionProvider"])
        results = [segments.results[tensor] for tensor in part]
        assert [output.name for output in session.get_outputs()] == results
        fed = {value.name: tensors[value.name] for value in session.get_inputs()}
        assert set(fed) < segments.needs
        for tensor, found in zip(part, session.run(results, fed), strict=True):
            assert np.allclose(found, tensors[tensor], rtol=1e-3, atol=1e-4), tensor
