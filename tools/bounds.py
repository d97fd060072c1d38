"""The part of the reference about what inputs may hold at most, from the constants that hold them to it."""

from __future__ import annotations

from typing import Final

from assay_runner.cli import audit_text, strict_yaml
from assay_runner.data.readers import json_events, npz, onnx_test_sets, safetensors
from assay_runner.models import bounds, files
from assay_runner.stores import sealed
from assay_runner.stores.files import human

INTRODUCTION: Final = """# Bounds of inputs

What is larger is refused with one sentence (exit code 64) before work begins, whatever it would stand for. Bounds of
single fields of an audit stand in the tables above. Sizes beyond the memory or the disk of a task are refused with the
number that is needed (69; 64 where the model itself asks for it): `assay plan` tells what an audit needs at least.
"""


def page() -> str:
    """The whole part, as Markdown."""
    lines = [INTRODUCTION, "| input | what | at most |", "|---|---|---|"]
    lines += [f"| {kind} | {what} | {most} |" for kind, what, most in _rows()]
    return "\n".join(lines) + "\n"


def _rows() -> list[tuple[str, str, str]]:
    audit, model, data = "audit (YAML)", "model (ONNX)", "`.npz`"
    return [
        (audit, "file", human(audit_text.MOST_BYTES)),
        (
            audit,
            "values of one document, aliases counted as what they stand for",
            f"{strict_yaml.MOST_VALUES:,}",
        ),
        (audit, "values of all documents of a file", f"{strict_yaml.MOST_IN_ALL:,}"),
        (audit, "levels of nesting, aliases counted as what they stand for", f"{strict_yaml.MOST_LEVELS}"),
        (audit, "characters of a number, and its size", f"{strict_yaml.MOST_DIGITS}, 64 bits"),
        (model, "file, without external data", human(files.PROTOBUF_LIMIT)),
        (model, "nodes, each call of a function counted as the nodes that it stands for", f"{bounds.MOST_NODES:,}"),
        (model, "functions that call one another, each in the one before", f"{bounds.MOST_FUNCTION_LEVELS}"),
        (model, "characters of a name, in UTF-8", f"{bounds.MOST_NAME:,}"),
        (model, "offset and length of external data", f"{bounds.MOST_NUMBER} digits, and within the file"),
        (model, "external data", "regular files below the model's folder, wherever links lead"),
        (model, "one batch of what its inputs declare", "the memory of the task"),
        (data, "header of an array", human(npz.MOST_HEADER)),
        (data, "bytes of an array", "exactly what its type and shape say"),
        (data, "arrays of one name", "1"),
        ("`.safetensors`", "header", human(safetensors.MOST_HEADER)),
        ("ONNX test sets (`.pb`)", "file", human(onnx_test_sets.MOST_BYTES)),
        ("Polygraphy (`.json`)", "levels of nesting", f"{json_events.MOST_DEEP}"),
        ("Polygraphy (`.json`)", "one array, as text", human(json_events.MOST_TEXT)),
        (
            "Polygraphy (`.json`)",
            "characters of a name; of a number",
            f"{json_events.MOST_NAME:,}; {json_events.MOST_NUMBER}",
        ),
        ("cache", "record of an entry; what is larger is made again", human(sealed.MOST_RECORD)),
        ("any file", "kind", "regular files: no pipes, sockets, devices or folders"),
        ("any path of yours", "bytes", "UTF-8"),
    ]
