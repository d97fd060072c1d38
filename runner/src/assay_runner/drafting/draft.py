"""The audit of a draft, as YAML with a comment for each guess: what a user would write who had read the reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from assay_runner.drafting.classes import scores_of
from assay_runner.drafting.facts import Facts
from assay_runner.drafting.ways import Way
from assay_runner.models.feeding import Constant
from assay_runner.tensors import TensorSpec

_WIDTH: Final = 50
"""Columns after which a comment stands above its line."""
_CALIBRATION: Final = 512
"""Samples: more of them seldom move a range."""
_FEW: Final = 100
"""Samples below which accuracy on labels settles little."""
_PLAIN: Final = re.compile(r"[A-Za-z_][\w./-]*")
_NEVER_PLAIN: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})


@dataclass(frozen=True)
class Data:
    """What an audit's dataset is.

    Attributes:
        uri: where it lies.
        way: how it is fed.
        batch: samples per inference.
        samples: how many there are.
        fixed: whether the model fixes the batch.
        labels: name of the array of classes, or empty.
        synthetic: whether the values are made up.
        note: what was found, in a few words.
        unread: arrays that nothing reads, in a few words.
    """

    uri: str
    way: Way
    batch: int
    samples: int
    fixed: bool
    labels: str = ""
    synthetic: bool = False
    note: str = ""
    unread: str = ""


@dataclass
class _Lines:
    """Lines of YAML, each with its comment behind it, or above where that would be far to the right."""

    lines: list[str] = field(default_factory=list)

    def add(self, depth: int, text: str, comment: str = "") -> None:
        indent = "  " * depth
        if comment and len(indent + text) > _WIDTH:
            self.lines += [f"{indent}# {comment}", f"{indent}{text}"]
        else:
            self.lines.append(f"{indent}{text}".ljust(_WIDTH) + f"  # {comment}" if comment else f"{indent}{text}")


def draft(
    name: str, model: str, data: Data, facts: Facts, outputs: Sequence[TensorSpec], backend: str, command: str
) -> str:
    """The text of the audit.

    Args:
        name: of the audit.
        model: its URI.
        data: what candidates are run on.
        facts: of the model.
        outputs: of the model.
        backend: of the candidates.
        command: that runs it.
    """
    text = _Lines([f"# Drafted by `assay init`: each guess has a comment. To run it: {command}"])
    text.add(0, "apiVersion: assay.dev/v1alpha1")
    text.add(0, "kind: AccuracyAudit")
    text.add(0, f"metadata: {{name: {name}}}")
    text.add(0, "spec:")
    text.add(1, f"model: {{uri: {_scalar(model)}}}")
    _dataset(text, data)
    _candidates(text, data, facts, outputs, backend)
    _checks(text, data, outputs)
    text.add(1, "artifacts: {uri: file://./assay-out/}", "in a cluster: s3://BUCKET/PREFIX")
    return "\n".join(text.lines) + "\n"


def _dataset(text: _Lines, data: Data) -> None:
    text.add(1, "dataset:")
    text.add(2, f"uri: {_scalar(data.uri)}", data.note)
    if data.synthetic:
        text.add(2, "synthetic: true", "nothing passes on made-up values: name real ones above, and remove this")
    feeding, because = data.way.feeding, data.way.because
    if feeding.feeds:
        text.add(2, "layout: feeds", "each file is one feed, in the model's exact shapes")
    fed = dict.fromkeys([*dict(feeding.constants), *dict(feeding.axes)])
    if fed:
        text.add(2, "inputs:")
    for name in fed:
        how = [f"axis: {axis}" for axis in _one(feeding.axes, name)]
        how += [f"constant: {_value(value)}" for value in _one(feeding.constants, name)]
        text.add(3, f"{_scalar(name)}: {{{', '.join(how)}}}", because.get(name, ""))
    if not feeding.feeds:
        why = "the model takes batches of this size only" if data.fixed else "the model takes any; it was tried"
        why = "a size that is held constant above is that of one sample" if data.way.single else why
        text.add(2, f"batch: {data.batch}", why)
    if data.labels:
        text.add(
            2, f"labels: {_scalar(data.labels)}", "integers, one per sample, that no input takes: classes, perhaps"
        )
    if data.unread:
        text.add(
            2, f"# Nothing reads {_plainly(data.unread)}. Class labels are one integer per sample (of one-hot ones"
        )
        text.add(2, "# the argmax, of names the index); what a metric of yours is to see goes into targets: [...]")


def _candidates(text: _Lines, data: Data, facts: Facts, outputs: Sequence[TensorSpec], backend: str) -> None:
    def candidate(precision: str, more: str, comment: str) -> None:
        text.add(2, f"- {{name: {precision}, backend: {backend}, precision: {precision}{more}}}", comment)

    where = (
        "on a GPU: backend: tensorrt" if backend == "onnxruntime" else "without a GPU: assay run --backend onnxruntime"
    )
    text.add(1, "candidates:", where)
    candidate("fp32", "", "must pass: if it does not, believe nothing below")
    if not any(output.dtype.kind in "fV" for output in outputs) and not facts.products:
        return
    candidate("fp16", "", "")
    candidate("bf16", "", "")
    if facts.pairs:
        text.add(
            2, "# The model has Q/DQ pairs of its own. To audit those, give its float original as spec.model, and:"
        )
        text.add(2, f"# - {{name: int8, backend: {backend}, precision: int8, model: {{uri: file://./quantised.onnx}}}}")
    elif facts.products:
        used = f", samples: {_CALIBRATION}" if data.samples > _CALIBRATION else ""
        calibration = f", calibration: {{uri: {_scalar(data.uri)}{used}}}"
        candidate("int8", calibration, "better calibrated on samples that are not audited: put some aside")


def _checks(text: _Lines, data: Data, outputs: Sequence[TensorSpec]) -> None:
    text.add(1, "checks:")
    text.add(2, "- finite: {}", "no NaN, no infinity that the model itself does not give")
    text.add(2, "- outputDrift: {}", "how far outputs are from those of the model")
    scores = scores_of(outputs) if data.labels else None
    if scores is not None:
        named = "" if scores is outputs[0] else f"output: {_scalar(scores.name)}"
        settles = "" if data.samples >= _FEW else f"{data.samples} samples settle little"
        text.add(2, f"- labelAccuracy: {{{named}}}", settles or f"{_scalar(scores.name)} is taken for the scores")
    text.add(2, "- layerDrift: {}", "where it begins")
    text.add(2, "- fp16Range: {}", "what overflows in fp16, inside operators too")
    text.add(2, "- runToRun: {}", "whether two runs agree")
    if not data.fixed and not data.way.feeding.feeds and min(data.samples, data.batch) > 1:
        text.add(2, "- batchInvariance: {}", "whether a sample's result depends on what is beside it")


def _plainly(text: str) -> str:
    """Names of unknown origin in a comment: nothing in them ends its line."""
    return "".join(each if each.isprintable() else "?" for each in text)[:300]


def _one(pairs: Iterable[tuple[str, Any]], name: str) -> list[Any]:
    return [value for other, value in pairs if other == name]


def _value(value: Constant) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _scalar(text: str) -> str:
    """A text as YAML takes it: as it is where that is plain, else quoted."""
    plain = _PLAIN.fullmatch(text.replace("://", "")) and text.lower() not in _NEVER_PLAIN
    return text if plain else json.dumps(text)
