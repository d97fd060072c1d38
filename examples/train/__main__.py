"""Reproduce everything below `examples/digits` that is not text: train, export, check, write.

Prints one line per model with its top-1 accuracy on the evaluation set, computed by ONNX Runtime from the file
as written.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime as ort

from examples.train import cnn, cnn_graph, vit, vit_graph
from examples.train.data import Digits, Images, Split, load_split, write_shards
from examples.train.fake import Inference, faked, train_for_int8
from examples.train.graph import Weights
from examples.train.quantised_graph import with_pairs
from examples.train.training import Params, Recipe, train

FOLDER = Path(__file__).resolve().parents[1] / "digits"
SEED = 1
AGREEMENT = 1e-4
"""Largest difference between the logits as trained and as exported; anything above is a wrong export."""

SAME_DIGITS = 0.99
"""Share of digits on which a quantised model must agree with its export: sums in another order may round apart."""


def main(arguments: list[str]) -> int:
    """Train both models, then for INT8, and write the six files and all shards.

    Returns:
        0; an export that does not compute what was trained raises ValueError instead.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.train", description="Reproduce the example models.")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where to write (default: %(default)s)")
    out: Path = parser.parse_args(arguments).out
    use_one_cpu_thread()
    split = load_split()
    write_shards(split, out)
    for what, trained in (("convolutional network", train_cnn), ("vision transformer", train_vit)):
        print(f"training the {what}", flush=True)
        for name, model in trained(split).items():
            print(write_model(out / f"{name}.onnx", model, split.evaluation), flush=True)
    return 0


def use_one_cpu_thread() -> None:
    """Make sums independent of the number of cores. Only works before the framework's first computation."""
    os.environ["PJRT_NPROC"] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def train_cnn(split: Split) -> dict[str, onnx.ModelProto]:
    """The convolutional network and its overflowing twin, by name."""
    params = train(cnn.forward, cnn.init(SEED), split.train, cnn.RECIPE)
    frozen = cnn.freeze(params, jnp.asarray(split.train.images))
    weights = as_arrays(frozen)
    expected = np.asarray(cnn.infer(frozen, jnp.asarray(split.evaluation.images)))
    models = {
        "digits-cnn": cnn_graph.export("digits-cnn", weights),
        "digits-cnn-overflow": cnn_graph.export_overflowing("digits-cnn-overflow", weights),
    }
    check_agreement(models, split.evaluation.images, expected)
    fixed = frozenset(name for name in frozen if ".running_" in name)
    quantised = train_quantised("digits-cnn-qat", cnn_graph.export, cnn.infer, frozen, fixed, split, cnn.QAT_RECIPE)
    return models | {"digits-cnn-qat": quantised}


def train_vit(split: Split) -> dict[str, onnx.ModelProto]:
    """The vision transformer and its decomposed twin, by name."""
    params = train(vit.forward, vit.init(SEED), split.train, vit.RECIPE)
    weights = as_arrays(params)
    expected = np.asarray(vit.forward(params, jnp.asarray(split.evaluation.images)))
    models = {
        "digits-vit": vit_graph.export("digits-vit", weights),
        "digits-vit-decomposed": vit_graph.export_decomposed("digits-vit-decomposed", weights),
    }
    check_agreement(models, split.evaluation.images, expected)
    quantised = train_quantised(
        "digits-vit-qat", vit_graph.export, vit.forward, params, frozenset(), split, vit.QAT_RECIPE
    )
    return models | {"digits-vit-qat": quantised}


def train_quantised(
    name: str,
    export: Callable[[str, Weights], onnx.ModelProto],
    infer: Inference,
    trained: Params,
    fixed: frozenset[str],
    split: Split,
    recipe: Recipe,
) -> onnx.ModelProto:
    """Train on for INT8 and export with Q/DQ pairs; ValueError unless both recognise (nearly) the same digits."""
    weights, ranges = train_for_int8(infer, trained, fixed, split.train, recipe)
    model = with_pairs(export(name, as_arrays(weights)), ranges)
    images = split.evaluation.images
    expected = np.asarray(infer(weights, jnp.asarray(images), faked(ranges))).argmax(axis=1)
    same = float((run(model, images).argmax(axis=1) == expected).mean())
    if not same >= SAME_DIGITS:
        raise ValueError(f"{name}: exported and trained models agree on {same:.2%} of the digits only")
    return model


def as_arrays(params: Params) -> dict[str, Images]:
    """The trained weights as float32 arrays."""
    return {name: np.asarray(value, np.float32) for name, value in params.items()}


def check_agreement(models: dict[str, onnx.ModelProto], images: Images, expected: Images) -> None:
    """Raise ValueError unless every model gives the expected logits `[n, 10]` for `images`."""
    for name, model in models.items():
        worst = float(np.abs(run(model, images) - expected).max())
        if not worst <= AGREEMENT:
            raise ValueError(f"{name}: exported and trained logits differ by {worst:g}, more than {AGREEMENT:g}")


def run(model: onnx.ModelProto, images: Images) -> Images:
    """The logits `[n, 10]` that ONNX Runtime computes on the CPU."""
    options = ort.SessionOptions()
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        # A CPU's integer kernels may saturate where the pairs do not.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits: Images = session.run(["logits"], {"image": images})[0]
    return logits


def write_model(path: Path, model: onnx.ModelProto, digits: Digits) -> str:
    """Write the model; returns a line with its name, accuracy on `digits` and size."""
    path.write_bytes(model.SerializeToString(deterministic=True))
    right = int((run(model, digits.images).argmax(axis=1) == digits.labels).sum())
    total = len(digits.labels)
    return f"{path.name}: top-1 {right / total:.2%} ({right} of {total}), {path.stat().st_size:,} bytes"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
