"""Networks that FP16 breaks in a few places, known beforehand: what repairs on a GPU are measured on.

Batches are fixed, so nobody needs a profile, and every engine is of one shape.

    python -m tests.bench.repair_networks NAME FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from tests.bench.files import DATA, GOLDEN, MODEL
from tests.bench.networks import resnet50
from tests.gpu.transformer import transformer
from tests.models import constant, model, node, value

__all__ = ["NETWORKS", "Network", "beyond", "chain", "prepare"]

DIGITS: Final = Path(__file__).parents[2] / "examples" / "digits"
BATCHES: Final = 4
BEYOND: Final = 2.0**17
"""What values around 1 are scaled by: beyond FP16's 65,504, and back without any rounding."""


@dataclass(frozen=True)
class Network:
    """A network and what it is to be run with.

    Attributes:
        build: makes it.
        batch: samples of a batch, which the model fixes.
        nodes: how many nodes it has.
    """

    build: Callable[[], onnx.ModelProto]
    batch: int
    nodes: int


def hadamard(size: int) -> NDArray[np.float32]:
    """Rows at right angles, all of length 1; of a size of 4^n, every number is exact in FP16."""
    found = np.ones((1, 1), np.float32)
    while len(found) < size:
        found = np.block([[found, found], [found, -found]])
    return found / np.float32(size**0.5)


def chain(nodes: int, culprits: int, half: int = 64, side: int = 8) -> onnx.ModelProto:
    """Pairs of a 1x1 convolution and a ReLU, of which `culprits` convolutions go beyond FP16 and the next ones back.

    Each tensor holds relu(u) and relu(-u), from which the next convolution makes u again, so numbers keep their scale
    and FP16 its precision through any depth, and what an engine in FP16 gets wrong is a culprit's. Tensors are 2 * half
    channels of side x side; half is 4^n.
    """
    chance, pairs = np.random.default_rng(nodes), nodes // 2
    bad = set((1 + chance.choice(pairs // 2 - 2, culprits, replace=False) * 2).tolist())
    made, weights, source = [], [], "x"
    for at in range(pairs):
        turned = hadamard(half) * chance.choice([-1, 1], half).astype(np.float32)
        rows = np.concatenate([turned, -turned], axis=1) if at else np.eye(half, 2 * half, dtype=np.float32)
        scale = BEYOND if at in bad else 1 / BEYOND if at - 1 in bad else 1.0
        weight = np.concatenate([rows, -rows])[..., None, None] * np.float32(scale)
        weights.append(constant(f"w{at}", weight))
        made += [node("Conv", f"{source} w{at}", f"c{at}", kernel_shape=[1, 1]), node("Relu", f"c{at}", f"r{at}")]
        source = f"r{at}"
    made[-1].output[0] = "y"
    shapes = [value(name, 8, 2 * half, side, side) for name in ("x", "y")]
    return model(made, shapes[:1], shapes[1:], weights, opset=17)


def beyond(found: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """The same function, with one normalisation scaled beyond FP16 and the convolution behind the ReLU back.

    `share` says which of those that may be: 0 the first, 1 the last.
    """
    reads: dict[str, list[onnx.NodeProto]] = {}
    for each in found.graph.node:
        for name in each.input:
            reads.setdefault(name, []).append(each)
    places = []
    for each in found.graph.node:
        if each.op_type == "BatchNormalization" and [n.op_type for n in reads[each.output[0]]] == ["Relu"]:
            [relu] = reads[each.output[0]]
            if [n.op_type for n in reads[relu.output[0]]] == ["Conv"]:
                places.append((each, reads[relu.output[0]][0]))
    norm, conv = places[round(share * (len(places) - 1))]
    factors = {norm.input[1]: BEYOND, norm.input[2]: BEYOND, conv.input[1]: 1 / BEYOND}
    for weight in found.graph.initializer:
        if weight.name in factors:
            scaled = numpy_helper.to_array(weight) * np.float32(factors[weight.name])
            weight.CopyFrom(numpy_helper.from_array(scaled, weight.name))
    return found


def _transformer(blocks: int, *scaled: int) -> Callable[[], onnx.ModelProto]:
    return lambda: transformer(blocks, scaled=scaled)


def _digits(name: str) -> Callable[[], onnx.ModelProto]:
    return lambda: onnx.load(str(DIGITS / f"{name}.onnx"))


NETWORKS: Final[dict[str, Network]] = {
    "chain-100": Network(lambda: chain(100, 1), 8, 100),
    "chain-200": Network(lambda: chain(200, 2), 8, 200),
    "chain-1000": Network(lambda: chain(1000, 3, side=4), 8, 1000),
    "chain-5000": Network(lambda: chain(5000, 4, 16, 4), 8, 5000),
    "resnet-50": Network(lambda: beyond(resnet50(64), 0.7), 8, 207),
    "transformer-6": Network(_transformer(6, 1, 3), 8, 217),
    "transformer-12": Network(_transformer(12, 4, 8), 8, 433),
    "digits-vit": Network(_digits("digits-vit-decomposed"), 64, 108),
    "digits-cnn": Network(_digits("digits-cnn-overflow"), 64, 13),
}


def prepare(network: Network, folder: Path) -> None:
    """Write the model with its batch fixed, samples, and golden outputs of ONNX Runtime in FP32."""
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    found = network.build()
    if len(found.graph.node) != network.nodes:
        raise ValueError(f"{len(found.graph.node)} nodes, {network.nodes} are said")
    del found.graph.value_info[:]
    [given] = found.graph.input
    for told in (given, *found.graph.output):
        told.type.tensor_type.shape.dim[0].dim_value = network.batch
    onnx.checker.check_model(found, full_check=True)
    onnx.save(found, folder / MODEL)
    shape = [each.dim_value for each in given.type.tensor_type.shape.dim]
    samples = _images(shape) if shape[1:] == [1, 8, 8] else _noise(shape)
    np.savez(folder / DATA / "part-0.npz", **{given.name: samples})  # type: ignore[arg-type]
    session = onnxruntime.InferenceSession(str(folder / MODEL), providers=["CPUExecutionProvider"])
    names = [output.name for output in found.graph.output]
    runs = [session.run(names, {given.name: batch}) for batch in np.split(samples, len(samples) // network.batch)]
    golden: dict[str, Any] = {name: np.concatenate([run[at] for run in runs]) for at, name in enumerate(names)}
    np.savez(folder / GOLDEN, **golden)


def _noise(shape: list[int]) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((shape[0] * BATCHES, *shape[1:]), dtype=np.float32)


def _images(shape: list[int]) -> NDArray[np.float32]:
    parts = [np.load(path)["image"] for path in sorted((DIGITS / "data").glob("*.npz"))]
    return np.concatenate(parts)[: shape[0] * BATCHES].astype(np.float32)


def main() -> None:
    """Write one network's folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    prepare(NETWORKS[asked.name], asked.folder)


if __name__ == "__main__":
    main()
