"""The tactics of a build are what its engine says of itself, and another build held to them has just these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_runner.backends import BACKENDS, Built, Capability
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.seams import KEPT
from assay_runner.backends.tensorrt import TensorRT, building
from assay_runner.backends.tensorrt.plans import INSPECTED
from assay_runner.backends.tensorrt.tactics import Algorithm, Context, Record, tactic
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.tensors import Array, Extents
from tests.lab import Unavailable
from tests.models import Heard, loaded
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("gpu")

MODEL = Path(__file__).parents[2] / "examples" / "digits" / "digits-cnn.onnx"
BATCH = 16
FREE = ordered("fp16", build={"optimizationLevel": 3}, tactics={})
"""Every layer by the builder's choice, and recorded."""


def built(order: BuildOrder, folder: Path) -> Built:
    """A build that shares no timing cache with any other, so that it times all it chooses from."""
    given = loaded(onnx.load(str(MODEL)), folder)
    shapes = {"image": Extents((1, 1, 8, 8), (BATCH, 1, 8, 8), (BATCH, 1, 8, 8))}
    return BACKENDS["tensorrt"].build(given, order, None, folder / "work", Heard(), shapes)


def recorded(made: Built) -> dict[str, str]:
    assert made.tactics
    return dict(made.tactics)


def inspected(made: Built) -> list[dict[str, Any]]:
    told = json.loads((made.folder / KEPT / INSPECTED).read_text())["layers"]
    layers: list[dict[str, Any]] = json.loads(told)["Layers"]
    return layers


def logits(made: Built) -> Array:
    x = np.random.default_rng(0).random((BATCH, 1, 8, 8), np.float32)
    with BACKENDS["tensorrt"].open(made) as session:
        return np.array(session.run({"image": x})["logits"])


@pytest.fixture(scope="module")
def free(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build whose every layer was chosen freely."""
    if not BACKENDS["tensorrt"].can(Capability.TACTICS):
        raise Unavailable("this TensorRT cannot record tactics")
    return built(FREE, tmp_path_factory.mktemp("free"))


def test_a_version_that_cannot_keep_tactics_says_so(tmp_path: Path) -> None:
    if BACKENDS["tensorrt"].can(Capability.TACTICS):
        assert recorded(built(FREE, tmp_path))
        return
    with pytest.raises(Unsupported, match="no IAlgorithmSelector"):
        built(FREE, tmp_path)


def test_the_record_is_what_the_engine_says_of_itself(free: Built) -> None:
    record = recorded(free)
    told = {layer["Name"]: layer["TacticValue"] for layer in inspected(free) if layer.get("TacticValue")}
    common = told.keys() & record.keys()
    assert common, (sorted(told), sorted(record))
    for name in common:
        number = record[name].partition(":")[0].split()[1]
        assert int(number, 16) == int(told[name], 16), name


def test_a_build_held_to_a_record_has_its_tactics_and_its_bits(free: Built, tmp_path: Path) -> None:
    record = recorded(free)
    again = built(replace(FREE, tactics=record), tmp_path)
    assert recorded(again) == record
    kernels = [[(layer["Name"], layer.get("TacticValue")) for layer in inspected(made)] for made in (free, again)]
    assert kernels[0] == kernels[1]
    assert logits(again).tobytes() == logits(free).tobytes()
    plan = again.path.stat().st_mtime_ns
    cached = built(replace(FREE, tactics=record), tmp_path)
    assert cached.path.stat().st_mtime_ns == plan
    assert recorded(cached) == record


def test_a_build_held_to_what_a_builder_would_not_take_has_it_all_the_same(
    free: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = recorded(free)

    class Contrary(Record):
        """Leaves the builder anything but what it took before, where there is enough else."""

        def select(self, context: Context, choices: Sequence[Algorithm]) -> list[int]:
            others = [i for i, choice in enumerate(choices) if tactic(context, choice) != before.get(context.name)]
            return others if len(others) > 1 else list(range(len(choices)))

    with monkeypatch.context() as patch:
        patch.setattr(building, "Record", Contrary)
        contrary = recorded(built(FREE, tmp_path / "contrary"))
    changed = {name for name in contrary.keys() & before.keys() if contrary[name] != before[name]}
    assert changed, before
    held = built(replace(FREE, tactics=contrary), tmp_path / "held")
    assert recorded(held) == contrary
    told = {layer["Name"]: str(layer["TacticValue"]) for layer in inspected(held) if layer.get("TacticValue")}
    for name in changed & told.keys():
        assert int(contrary[name].partition(":")[0].split()[1], 16) == int(told[name], 16), name


def test_what_cannot_be_held_is_one_sentence(free: Built, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"layer 'no such layer' is held to .* this engine has no such layer"):
        built(replace(FREE, tactics={"no such layer": "0x1 0x1: -> "}), tmp_path / "layer")
    name = next(name for name in recorded(free) if "conv1" in name and "Reformat" not in name)
    with pytest.raises(InvalidInput, match=r"is held to tactic 0x1 0x1: .* which TensorRT does not offer for it here"):
        built(replace(FREE, tactics={name: "0x1 0x1: -> "}), tmp_path / "tactic")


def test_the_engine_of_a_held_build_can_be_looked_into(free: Built, tmp_path: Path) -> None:
    backend = BACKENDS["tensorrt"]
    assert isinstance(backend, TensorRT)
    made = built(replace(FREE, tactics=recorded(free)), tmp_path)
    with backend.open_tapped(made) as session:
        assert "relu1.out" in session.run({"image": np.zeros((BATCH, 1, 8, 8), np.float32)})
    backend.release(made)
