"""How much a model's file may say, checked before a library works on it; docs/reference.md lists the bounds.

A few hundred bytes of ONNX can stand for billions of nodes (functions that call functions twice), for terabytes (a
shape) or for text that nothing can print. With such a model the libraries below hang, or end the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor

from assay_runner.errors import InvalidInput
from assay_runner.models.outline import inner_graphs, tensors

if TYPE_CHECKING:
    import onnx

MOST_NODES: Final = 200_000
"""Nodes of a model, with each call of a function as the nodes that it stands for; large models have 6,000."""
MOST_FUNCTION_LEVELS: Final = 100
"""Functions that call one another, each in the one before."""
MOST_NAME: Final = 4096
"""Bytes of a name: of tensors, nodes, dimensions, operators."""
MOST_NUMBER: Final = 18
"""Digits of an offset or length in a file."""
_NUMBER: Final = re.compile(rf"[0-9]{{1,{MOST_NUMBER}}}", re.ASCII)
_NO_NAMES: Final = ("doc_string", "value")
"""Fields of text that are not names: what is written for people, of metadata the values."""

Key = tuple[str, str, str]


def check_bounds(proto: onnx.ModelProto, uri: str) -> None:
    """Do nothing where a model is within bounds.

    Raises:
        InvalidInput: a name is too long or no text, a tensor is stored in parts, or there are too many nodes.
    """
    _check_names(proto, uri, "model")
    for node in proto.graph.node:
        _check_references(node, uri)
    for tensor in tensors(proto):
        if tensor.HasField("segment"):
            raise InvalidInput(
                f"the model {uri} stores tensor {tensor.name!r} in segments, which neither ONNX's library nor ONNX "
                "Runtime reads: save it whole"
            )
    _check_count(proto, uri)


def number_of(text: str, key: str, location: str, uri: str) -> int:
    """A number of a tensor's external data: its `offset` or `length`, in bytes.

    Raises:
        InvalidInput: it is none, or is beyond what a file can have.
    """
    if not _NUMBER.fullmatch(text):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise InvalidInput(
            f"the model {uri} gives {shown!r} as the {key} of external data in {location[:200]!r}, which is no number "
            "of bytes: save it again"
        )
    return int(text)


def _check_names(message: Any, uri: str, place: str) -> None:
    """Every text in a message and in those inside it."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if field.is_repeated else (value,):
                _check_names(each, uri, field.name)
        elif field.type == FieldDescriptor.TYPE_STRING and field.name not in _NO_NAMES:
            for text in value if field.is_repeated else (value,):
                _check_name(text, f"{field.name} of {place}", uri)


def _check_name(text: str | bytes, what: str, uri: str) -> None:
    """A text that is none comes as bytes."""
    if isinstance(text, bytes):
        raise InvalidInput(f"the model {uri} is not valid ONNX: {_shown(text)} is no UTF-8 ({what}); export it again")
    if len(text) > MOST_NAME:
        raise InvalidInput(
            f"the model {uri} has a name of {len(text)} characters ({what}, {text[:40]!r}…), and {MOST_NAME} are the "
            "most that are taken: export it with shorter names"
        )


def _shown(content: bytes) -> str:
    text = content.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _check_references(node: onnx.NodeProto, uri: str) -> None:
    """An attribute that stands for one of the function around it, where there is none."""
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            raise InvalidInput(
                f"the model {uri} is not valid ONNX: attribute {attribute.name!r} of node {node.name!r} refers to an "
                "attribute of a function, and stands in none; export it again"
            )
        for graph in inner_graphs(attribute):
            for inner in graph.node:
                _check_references(inner, uri)


def _check_count(proto: onnx.ModelProto, uri: str) -> None:
    bodies: dict[Key, Any] = {(f.domain, f.name, f.overload): f.node for f in proto.functions}
    sizes: dict[Key, int] = {}
    count = _size(proto.graph.node, _sized(bodies, sizes, uri))
    if count > MOST_NODES:
        inside = ", with its functions put in where they are called" if bodies else ""
        raise InvalidInput(
            f"the model {uri} has {count if count < 10**12 else f'about 10^{len(str(count)) - 1}'} nodes{inside}, and "
            f"{MOST_NODES} are the most that are taken: audit a part of it, or export it without such functions"
        )


def _size(nodes: Any, called: Callable[[Key], int]) -> int:
    """Nodes with those inside control flow, and each call as what it stands for."""
    count = 0
    for node in nodes:
        count += called((node.domain, node.op_type, node.overload))
        for attribute in node.attribute:
            for graph in inner_graphs(attribute):
                count += _size(graph.node, called)
    return count


def _sized(bodies: Mapping[Key, Any], sizes: dict[Key, int], uri: str) -> Callable[[Key], int]:
    """How many nodes a call stands for: 1 where what is called is no function of the model."""
    open_: list[Key] = []

    def size(key: Key) -> int:
        if key not in bodies:
            return 1
        if key not in sizes:
            if key in open_ or len(open_) >= MOST_FUNCTION_LEVELS:
                what = "calls itself" if key in open_ else f"is called through more than {MOST_FUNCTION_LEVELS} others"
                raise InvalidInput(f"the model {uri} is not valid ONNX: function {key[1]!r} {what}; export it without")
            open_.append(key)
            sizes[key] = _size(bodies[key], size)
            open_.pop()
        return sizes[key]

    return size
