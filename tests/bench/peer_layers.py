"""How many layers and nodes of a model Polygraphy marks when it marks the first so many layers of its network.

python -m tests.bench.peer_layers MODEL FIRST
"""

from __future__ import annotations

import json
import sys
from typing import Any

import onnx


def marked(network: Any, first: int, nodes: set[str], constant: Any) -> dict[str, int]:
    """Layers but for constants, of which Polygraphy marks none; and nodes of the model with a layer among them."""
    layers = [network.get_layer(at) for at in range(first)]
    named = [layer.name for layer in layers if layer.type != constant]
    return {"all": network.num_layers, "layers": len(named), "nodes": len(nodes.intersection(named))}


def main() -> None:
    """Print them as JSON."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(sys.argv[1]):
        raise SystemExit(str(parser.get_error(0)))
    graph = onnx.load(sys.argv[1], load_external_data=False).graph
    print(json.dumps(marked(network, int(sys.argv[2]), {node.name for node in graph.node}, trt.LayerType.CONSTANT)))


if __name__ == "__main__":
    main()
