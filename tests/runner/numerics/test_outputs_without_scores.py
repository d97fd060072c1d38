"""Outputs that hold no numbers, or no score per class: what is said of them leads to those that do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_api.output_details import LabelAccuracyDetails
from assay_api.report import Verdict
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.errors import InvalidInput
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured

NAMES = ["a", "b", "c"]
DATA = Samples({"x": random(20, 4)}, labels=np.arange(20) % 3)


def classifier(*, zipped: bool = False) -> onnx.ModelProto:
    """A linear classifier of three named classes, as scikit-learn's are exported: the labels, and probabilities."""
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "raw"],
            name="classifier",
            domain="ai.onnx.ml",
            classlabels_strings=NAMES,
            coefficients=[float(weight) for weight in random(12)],
            intercepts=[0.0, 0.1, 0.2],
        ),
        node("Softmax", "raw", "probabilities", axis=-1),
    ]
    outputs = [value("label", "N", kind=TensorProto.STRING), value("probabilities", "N", 3)]
    if zipped:
        entry = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs[1] = helper.make_value_info("zipped", helper.make_sequence_type_proto(entry))
        maps = helper.make_node("ZipMap", ["probabilities"], ["zipped"], domain="ai.onnx.ml", classlabels_strings=NAMES)
        nodes.append(maps)
    made = model(nodes, [value("x", "N", 4)], outputs)
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return made


def test_labels_as_strings_point_to_the_output_of_scores(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        measured(classifier(), "fp32", DATA, tmp_path, LabelAccuracy())
    assert str(refused.value) == (
        "labelAccuracy reads output 'label', which holds strings, no scores: name in labelAccuracy.output the one with "
        "a score per class: probabilities"
    )
    [found] = measured(
        classifier(), "fp32", DATA, tmp_path / "named", LabelAccuracy(output="probabilities", keep=0.5)
    ).findings
    assert found.verdict is Verdict.PASSED


@pytest.mark.parametrize("output", [None, "zipped"])
def test_scores_in_dictionaries_are_told_how_to_become_a_tensor(output: str | None, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="without ZipMap") as refused:
        measured(classifier(zipped=True), "fp32", DATA, tmp_path, LabelAccuracy(output=output))
    assert ("holds strings" if output is None else "is a sequence of dictionaries") in str(refused.value)


def test_dictionaries_are_not_compared_and_named(tmp_path: Path) -> None:
    first, second = measured(classifier(zipped=True), "fp32", DATA, tmp_path, OutputDrift()).findings
    assert (first.verdict, first.tensor) == (Verdict.INCONCLUSIVE, "zipped")
    assert "output 'zipped' holds no numbers that can be read" in first.message
    assert first.message.endswith("have the others judged alone by outputDrift.outputs: [label]")
    assert (second.verdict, second.tensor) == (Verdict.PASSED, "label")
    assert "identical to golden" in second.message


def argmax(*, keepdims: int = 0) -> onnx.ModelProto:
    """Scores of three classes, and which is the largest."""
    shape = ("N", 1) if keepdims else ("N",)
    return model(
        [node("MatMul", "x w", "scores"), node("ArgMax", "scores", "label", axis=1, keepdims=keepdims)],
        [value("x", "N", 4)],
        [value("label", *shape, kind=TensorProto.INT64), value("scores", "N", 3)],
        [constant("w", random(4, 3))],
    )


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_output_that_says_the_class_is_as_good_as_its_scores(keepdims: int, precision: str, tmp_path: Path) -> None:
    x = random(400, 4)
    right = (x @ random(4, 3)).argmax(1)
    data = Samples({"x": x}, labels=np.where(np.arange(400) % 10, right, (right + 1) % 3))
    by_class, by_score = (
        measured(
            argmax(keepdims=keepdims), precision, data, tmp_path / str(name), LabelAccuracy(output=name, keep=0.9)
        ).findings[0]
        for name in (None, "scores")
    )
    assert by_class.details == by_score.details
    assert by_class.message == by_score.message
    assert by_class.verdict is Verdict.PASSED
    assert isinstance(by_class.details, LabelAccuracyDetails)
    assert by_class.details.golden_top1 == pytest.approx(0.9)
    [top5] = measured(
        argmax(keepdims=keepdims), precision, data, tmp_path / "top5", LabelAccuracy(metric="top5")
    ).findings
    assert top5.verdict is Verdict.INCONCLUSIVE
    assert "'label' holds one class per sample and no scores" in top5.message
    assert top5.message.endswith("use metric top1")


def test_classes_that_are_not_those_of_the_labels_prove_nothing(tmp_path: Path) -> None:
    other = Samples({"x": random(20, 4)}, labels=np.arange(20) % 3 + 10)
    [found] = measured(argmax(), "fp32", other, tmp_path, LabelAccuracy()).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "golden's top1 is 0 on 20 samples: are these the labels of this output?" in found.message


def test_what_is_no_table_of_scores_points_to_one_that_is(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", "x w", "scores"), node("Unsqueeze", "scores axes", "boxes")],
        [value("x", "N", 4)],
        [value("boxes", "N", 3, 1), value("scores", "N", 3)],
        [constant("w", random(4, 3)), constant("axes", np.array([2], np.int64))],
    )
    with pytest.raises(InvalidInput, match="the one with a score per class: scores"):
        measured(proto, "fp32", DATA, tmp_path, LabelAccuracy())
    del proto.graph.output[1]
    with pytest.raises(InvalidInput, match="no output of the model has a score per class, so leave labelAccuracy out"):
        measured(proto, "fp32", DATA, tmp_path / "alone", LabelAccuracy())
