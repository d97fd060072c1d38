"""The record of a build's tactics: what is let through to TensorRT, what is told, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.tactics import Record, selector, tactic
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.models.loading import LoadedModel
from tests.models import Heard, loaded, mlp
from tests.orders import ordered
from tests.runner.engines.versions import ELEVEN, TEN


class DataType(Enum):
    """Two of TensorRT's."""

    FLOAT = 0
    HALF = 1


@dataclass
class Layer:
    """A layer as a selector is told of it."""

    name: str
    num_inputs: int = 1
    num_outputs: int = 1


@dataclass
class Choice:
    """A tactic of a layer."""

    number: int
    kind: DataType = DataType.HALF
    packed: int = 1

    @property
    def algorithm_variant(self) -> Any:
        """Its identity; TensorRT's numbers are signed."""
        return SimpleNamespace(implementation=-2, tactic=self.number)

    def get_algorithm_io_info(self, index: int) -> Any:
        """Inputs and outputs alike."""
        axis = 1 if self.packed > 1 else -1
        return SimpleNamespace(dtype=self.kind, strides=(8, 1), vectorized_dim=axis, components_per_element=self.packed)


CONV = Layer("conv")
FIRST, SECOND, PACKED = Choice(-7), Choice(9), Choice(9, packed=8)


def test_a_tactic_is_its_kernel_and_how_its_tensors_lie() -> None:
    told = [tactic(CONV, choice) for choice in (FIRST, SECOND, PACKED, Choice(9, DataType.FLOAT))]
    assert told[0] == "0xfffffffffffffffe 0xfffffffffffffff9: HALF[8,1] -> HALF[8,1]"
    assert told[2] == "0xfffffffffffffffe 0x9: HALF/8@1[8,1] -> HALF/8@1[8,1]"
    assert len(set(told)) == 4


def test_a_layer_that_is_held_may_run_its_tactic_alone_and_others_any() -> None:
    record = Record({"conv": tactic(CONV, PACKED)})
    assert record.select(CONV, [FIRST, SECOND, PACKED]) == [2]
    assert record.select(Layer("other"), [FIRST, SECOND]) == [0, 1]
    record.report([CONV, Layer("other")], [PACKED, FIRST])
    record.check()
    assert record.chosen == {"conv": tactic(CONV, PACKED), "other": tactic(CONV, FIRST)}
    again = Record(record.chosen)
    assert again.select(Layer("other"), [SECOND, FIRST]) == [1]


def test_layers_of_one_name_are_told_apart_by_a_number() -> None:
    record = Record({})
    record.report([CONV, CONV, CONV], [FIRST, SECOND, FIRST])
    assert list(record.chosen) == ["conv", "conv #2", "conv #3"]
    assert Record(record.chosen).select(CONV, [PACKED, FIRST, SECOND]) == [1, 2]


@pytest.mark.parametrize(
    ("offered", "reported", "why"),
    [
        ([FIRST, SECOND], [(Layer("fc"), FIRST)], "this engine has no such layer"),
        ([SECOND], [(CONV, SECOND)], "which TensorRT does not offer for it here"),
        ([FIRST, SECOND], [(CONV, SECOND)], "TensorRT takes .* all the same"),
    ],
)
def test_a_build_that_does_not_keep_to_its_record_is_refused(
    offered: list[Choice], reported: list[tuple[Layer, Choice]], why: str
) -> None:
    record = Record({"conv": tactic(CONV, FIRST)})
    record.select(CONV, offered)
    record.report([layer for layer, _ in reported], [choice for _, choice in reported])
    with pytest.raises(InvalidInput, match=f"layer 'conv' is held to tactic .*{why}") as caught:
        record.check()
    assert ". " not in str(caught.value)


class Selector:
    """The base class that TensorRT has until 10.x."""

    def __init__(self) -> None:
        self.begun = True


def test_tensorrt_is_answered_under_its_own_names() -> None:
    record = Record({"conv": tactic(CONV, SECOND)})
    made = selector(SimpleNamespace(IAlgorithmSelector=Selector), record)
    assert made.begun
    assert made.select_algorithms(context=CONV, choices=[FIRST, SECOND]) == [1]
    made.report_algorithms(contexts=[CONV], choices=[SECOND])
    record.check()


@pytest.fixture
def given(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return loaded(mlp(), tmp_path_factory.mktemp("given"))


def test_who_cannot_keep_tactics_says_so(given: LoadedModel) -> None:
    order = ordered("fp16", tactics={})
    assert settings(order, TEN).typing == "weak"
    with pytest.raises(Unsupported, match=r"TensorRT 11\.2\.1 cannot keep, for it has no IAlgorithmSelector"):
        settings(order, ELEVEN)
    with pytest.raises(Unsupported, match="backend onnxruntime chooses none"):
        OnnxRuntime().build(given, order, None, given.path.parent / "built", Heard())
