"""Names of dimensions taken out of a graph: what they say of its sizes is not true."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from assay_runner.graphs.documents import all_graphs


def forget_names(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Leave the dimensions with these names without one, in place, in subgraphs too."""
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param in names:
                    dimension.ClearField("dim_param")
