"""A backend whose engines are right or wrong as a rule says of the nodes that run wide, on ONNX Runtime."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from assay_runner.backends import Built
from assay_runner.backends.backend import NOTHING
from assay_runner.backends.order import BuildOrder
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress
from tests.dear import Dear

Rule = Callable[[frozenset[str]], bool]
"""Whether an engine is right in which these nodes are held wider than all others."""


class Rigged(Dear):
    """Builds FP32 whatever is asked for, and multiplies its first output by what is to be wrong with it.

    What is built in FP32 as a whole is right.

    Attributes:
        asked: nodes held in each build of another precision than FP32.
    """

    def __init__(
        self,
        rule: Rule | None = None,
        *,
        wrong: float = 0.5,
        right: float = 0.0,
        flips: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Begin.

        Args:
            rule: which engines are right; None: they are built as they are asked for, and nothing is wrong with any.
            wrong: relative error of one that is not.
            right: relative error of one that is.
            flips: share of builds that come out the other way round.
            seed: of those.
        """
        super().__init__()
        self.rule, self.wrong, self.right, self.flips = rule, wrong, right, flips
        self.asked: list[frozenset[str]] = []
        self._random = random.Random(seed)

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        if self.rule is None:
            return super().build(model, order, calibration, workdir, progress, shapes)
        plain = replace(order, precision="fp32", held={}, quantisation=None)
        built = super().build(model, plain, None, workdir, progress, shapes)
        if order.precision == "fp32":
            return built
        wide = frozenset(order.held)
        self.asked.append(wide)
        right = self.rule(wide) ^ (self._random.random() < self.flips)
        proto = onnx.load(str(built.path))
        off(proto, self.right if right else self.wrong)
        onnx.save(proto, str(workdir / "rigged.onnx"))
        return replace(built, precision=order.precision, path=workdir / "rigged.onnx")


class Engines(Rigged):
    """The same by another name, so that nobody takes it for an emulation."""

    name = "engines"


def off(proto: onnx.ModelProto, error: float) -> None:
    """Multiply the first output by 1 + error, where its node makes it."""
    made = proto.graph.output[0].name
    (maker,) = (node for node in proto.graph.node if made in node.output)
    maker.output[list(maker.output).index(made)] = f"{made}.right"
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name == made:
                node.input[place] = f"{made}.right"
    kind = helper.tensor_dtype_to_np_dtype(proto.graph.output[0].type.tensor_type.elem_type)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1 + error, kind), f"{made}.factor"))
    proto.graph.node.append(helper.make_node("Mul", [f"{made}.right", f"{made}.factor"], [made], name=f"{made}.off"))
