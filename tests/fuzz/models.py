"""Damaged models: bytes, protobuf fields, external data."""

from __future__ import annotations

from typing import Any, Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.case import Case, Entry, Link, Pipe
from tests.fuzz.damage import damaged

ODD_NUMBERS: Final = (0, 1, -1, 2, 7, 127, 255, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63), -(2**31))
ODD_TEXTS: Final = (
    "", "x", "y", "N", "a\0b", "é", "\u202e", "../x", "/etc/passwd", "²", "9" * 5000, "l" * 100_000, "<script>",
    "\x1b[31m", "{}", "%s", "\ud7ff", "ai.onnx.ml", "com.microsoft", "If", "Loop", "MatMul", "Identity", "Cast",
)  # fmt: skip
ODD_FLOATS: Final = (0.0, -0.0, 1e-45, 3.4e38, float("inf"), float("-inf"), float("nan"), -1.0)
_REPEATED_MOST: Final = 64
CANDIDATES: Final = ([seeds.FP16], [seeds.FP32], [seeds.FP16, {**seeds.FP32, "precision": "bf16", "name": "bf16"}])


@st.composite
def model_bytes(draw: st.DrawFn) -> Case:
    """A model of which bytes were changed, cut or repeated."""
    name = draw(st.sampled_from(sorted(seeds.MODELS)))
    model = draw(damaged(seeds.model_bytes(name)))
    return Case("model-bytes", seeds.around(model, {"part-0.npz": seeds.data_for(name)}, _audit(draw)))


@st.composite
def model_fields(draw: st.DrawFn) -> Case:
    """A model of which fields were given other values, were taken away, doubled or exchanged."""
    name = draw(st.sampled_from(sorted(seeds.MODELS)))
    proto = onnx.ModelProto.FromString(seeds.model_bytes(name))
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, _some(draw, proto))
    content = _broken_names(draw, proto.SerializeToString())
    return Case("model-fields", seeds.around(content, {"part-0.npz": seeds.data_for(name)}, _audit(draw)))


@st.composite
def model_external(draw: st.DrawFn) -> Case:
    """A model whose external data lie elsewhere, are cut, or are said to lie where nothing is."""
    name = draw(st.sampled_from(["mlp", *sorted(seeds.MODELS)]))
    content, weights = seeds.external(name)
    proto = onnx.ModelProto.FromString(content)
    for _ in range(draw(st.integers(0, 2)) if proto.graph.initializer else 0):
        tensor = draw(st.sampled_from(list(proto.graph.initializer)))
        if draw(st.booleans()) and tensor.external_data:
            del tensor.external_data[draw(st.integers(0, len(tensor.external_data) - 1))]
        else:
            key = draw(st.sampled_from(["location", "offset", "length", "checksum", "basepath", ""]))
            entry = next((e for e in tensor.external_data if e.key == key), None) or tensor.external_data.add(key=key)
            numbers = [str(n) for n in (*ODD_NUMBERS, 64, 4096)]
            entry.value = draw(
                st.sampled_from([*numbers, *ODD_TEXTS, "sub/w.bin", "model.onnx", "./weights.bin", "data"])
            )
    files: dict[str, Entry] = {seeds.WEIGHTS: weights}
    how = draw(st.sampled_from(["whole", "whole", "damaged", "link", "loop", "pipe", "device", "none", "away"]))
    made: dict[str, Entry] = {
        "damaged": draw(damaged(weights)),
        "link": Link("../secret"),
        "away": Link("/etc/hostname"),
        "loop": Link(seeds.WEIGHTS),
        "device": Link("/dev/zero"),
        "pipe": Pipe(),
    }
    if how in made:
        files[seeds.WEIGHTS] = made[how]
    elif how == "none":
        del files[seeds.WEIGHTS]
    around = seeds.around(proto.SerializeToString(), {"part-0.npz": seeds.data_for(name)}, _audit(draw))
    return Case("model-external", {**around, **files})


def _audit(draw: st.DrawFn) -> Any:
    return seeds.audit(candidates=draw(st.sampled_from(CANDIDATES)))


def _some(draw: st.DrawFn, message: Message) -> Message:
    """A message somewhere in another, each level as likely as its fields are many."""
    while True:
        inner = [v for f, v in message.ListFields() if f.type == FieldDescriptor.TYPE_MESSAGE]
        found = [m for v in inner for m in (list(v)[:_REPEATED_MOST] if hasattr(v, "__len__") else [v])]
        if not found or draw(st.integers(0, 4)) == 0:
            return message
        message = draw(st.sampled_from(found))


def _mutate(draw: st.DrawFn, message: Message) -> None:
    fields = message.DESCRIPTOR.fields
    field = draw(st.sampled_from([*(f for f, _ in message.ListFields()), *fields]))
    if field.is_repeated:
        _mutate_list(draw, message, field)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if draw(st.booleans()):
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif draw(st.integers(0, 3)) == 0:
        message.ClearField(field.name)
    else:
        _set(message, field, _odd(draw, field))


def _mutate_list(draw: st.DrawFn, message: Message, field: Any) -> None:
    values = getattr(message, field.name)
    how = draw(st.sampled_from(["clear", "drop", "double", "swap", "add"]))
    if how == "clear" or (how == "drop" and not len(values)):
        message.ClearField(field.name)
    elif how == "drop":
        del values[draw(st.integers(0, len(values) - 1))]
    elif how == "add" and field.type != FieldDescriptor.TYPE_MESSAGE:
        _append(values, _odd(draw, field))
    elif how == "add" or not len(values):
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            values.add()
    else:
        kept = list(values)
        place, other = draw(st.integers(0, len(kept) - 1)), draw(st.integers(0, len(kept) - 1))
        kept = [*kept, kept[place]] if how == "double" else kept
        if how == "swap":
            kept[place], kept[other] = kept[other], kept[place]
        copies = [type(k).FromString(k.SerializeToString()) if isinstance(k, Message) else k for k in kept]
        message.ClearField(field.name)
        getattr(message, field.name).extend(copies)


def _append(values: Any, value: Any) -> None:
    try:
        values.append(value)
    except (ValueError, TypeError):
        return


def _set(message: Message, field: Any, value: Any) -> None:
    try:
        setattr(message, field.name, value)
    except (ValueError, TypeError):
        return


def _odd(draw: st.DrawFn, field: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return draw(st.integers(-1, 40))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return draw(st.sampled_from(ODD_FLOATS))
    if field.type == FieldDescriptor.TYPE_STRING:
        return draw(st.sampled_from(ODD_TEXTS))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return draw(st.binary(max_size=40))
    number = draw(st.sampled_from(ODD_NUMBERS) | st.integers(-3, 40))
    return number % 2**64 if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64 else number


def _broken_names(draw: st.DrawFn, content: bytes) -> bytes:
    """Now and then a name that is not UTF-8, which no library writes and every one reads."""
    if draw(st.integers(0, 5)):
        return content
    name = draw(st.sampled_from([b"x", b"y", b"N", b"h1", b"w1", b"logits", b"graph"]))
    broken = content.replace(bytes([len(name)]) + name, bytes([len(name)]) + b"\xff" * len(name))
    try:
        onnx.ModelProto.FromString(broken)
    except DecodeError:
        return content
    return broken
