"""Does the model hold together, and can ONNX Runtime run it? Both libraries are asked; their answers become sentences.

ONNX Runtime is the reference for every audit, so a model it cannot open cannot be audited, whatever else could run it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, gettempprefix
from typing import Any, Final

from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.models.kernels import culprit
from assay_runner.models.outline import nodes, tensors

Shape = tuple[int | str | None, ...]

_OUT_OF_MEMORY: Final = re.compile(r"bad_alloc|failed to allocate|out of memory|cannot allocate", re.IGNORECASE)
_NOT_REGISTERED: Final = re.compile(r"Fatal error: ([\w.]*:?[\w.]+)\(-?\d+\) is not a registered function/op")
_NO_SCHEMA: Final = re.compile(r"No Op registered for (\S+) with domain_version of (\d+)")
_NO_KERNEL: Final = re.compile(r"Could not find an implementation for (\w+)\((\d+)\) node with name '([^']*)'")
_OPSET: Final = re.compile(r"Opset (\d+) is under development.*?domain (\S+) is till opset (\d+)", re.DOTALL)
OWN: Final = ("LayerNormalization", "SimplifiedLayerNormalization")
"""Operators that ONNX Runtime has in the default domain whatever the opset; its optimiser fuses models into them."""
_OWN: Final = re.compile(rf"No Op registered for (?:{'|'.join(OWN)}) with domain_version of")
_IR: Final = re.compile(r"(?:ir_version|IR version:?) (\d+)[^\d]+(\d+)")
_NO_SHAPE: Final = "Field 'shape' of 'type' is required but missing"
_KNOWN: Final = (_OUT_OF_MEMORY, _NO_SCHEMA, _NOT_REGISTERED, _OPSET, _IR)
_NODE: Final = re.compile(r"Name: (\S*) OpType: (\S+)")
_BOILERPLATE: Final = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?|This is an invalid model\. "
)
_SOURCE: Final = re.compile(r"^/\S+:\d+ .*?\) (?=[A-Z])", re.DOTALL)
# What ONNX Runtime says where the model is at fault; all else is its own limit, for the checker let the model pass.
_AT_FAULT: Final = re.compile(r"InferenceError|INVALID_(GRAPH|PROTOBUF)|[Ii]nvalid model|Type Error")
_REFUSED: Final = re.compile(r"/\S+\.(?:cc|h):\d+ .*? was false\. |/\S+\.(?:cc|h):\d+ \S.*?\)(?: const)? (?=[A-Z])")
_SUPPORT: Final = re.compile(r" ?If you need support create a github issue.*$")


def check_graph(path: Path, proto: Any, uri: str) -> None:
    """Run ONNX's own checker, external data included.

    Raises:
        InvalidInput: what the checker refuses.
    """
    import onnx

    if not proto.graph.output:
        raise InvalidInput(f"the model {uri} has no outputs, so there is nothing to compare: export it with outputs")
    # By path it looks for external data; but it reads files several times slower.
    outside = [tensor for tensor in tensors(proto) if tensor.data_location == tensor.EXTERNAL]
    named = {entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"}
    try:
        try:
            _check(path, named)
        except onnx.checker.ValidationError as error:
            # Beside those the rest is to be looked at all the same.
            if not _OWN.search(str(error)):
                raise
            with TemporaryDirectory(dir=path.parent) as scratch:
                _check(_without_own(proto, Path(scratch, path.name)), named)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        # Some exporters leave out an output's shape, and ONNX Runtime infers it; inputs are looked at elsewhere.
        if _NO_SHAPE not in str(error):
            raise refusal(_said(error, path), uri) from error


def _check(path: Path, outside: Collection[str]) -> None:
    import onnx

    if outside:
        _check_beside(path, outside)
    else:
        onnx.checker.check_model(path.read_bytes())


def _without_own(proto: Any, path: Path) -> Path:
    """A copy in which ONNX Runtime's own operators are of a domain that the checker has no opinion of."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for node in nodes(copy):
        if node.op_type in OWN and node.domain in ("", "ai.onnx"):
            node.domain = "com.microsoft"
    if all(opset.domain != "com.microsoft" for opset in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(copy, str(path))
    return path


def _check_beside(path: Path, locations: Collection[str]) -> None:
    """Check a model with stand-ins for its external data, of which the checker wants but that they are there.

    The files themselves were looked at when they were fetched, and may have other names, which it takes for an attack.
    """
    import onnx

    with TemporaryDirectory(dir=path.parent) as scratch:
        for location in locations:
            file = Path(scratch, location)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        checked = Path(scratch, path.name)
        shutil.copyfile(path, checked)
        onnx.checker.check_model(str(checked))


def check_runs(path: Path, uri: str) -> Mapping[str, Shape]:
    """Open the model in ONNX Runtime, unoptimised, and give the shapes that it infers for the outputs.

    Raises:
        InvalidInput: an operator, operator set or format version that it does not run.
        Unavailable: memory is short.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    # It never runs: weights need not be laid out for kernels, nor threads be started.
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # The runtime's own exception classes have no public base but Exception.
    except Exception as error:
        raise _refused(path, _said(error, path), uri) from error
    return {o.name: tuple(o.shape) for o in session.get_outputs() if isinstance(o.shape, list) and o.shape}


def _said(error: Exception, path: Path) -> str:
    """What a library says of a model, with names of files as its user knows them."""
    return re.sub(rf"{re.escape(str(path.parent))}/({re.escape(gettempprefix())}\w+/)?", "", str(error))


def _refused(path: Path, text: str, uri: str) -> AuditError:
    """The sentence for what ONNX Runtime said of a model that ONNX's checker lets pass."""
    if found := _NO_KERNEL.search(text):
        node = culprit(path, f"Could not find an implementation for {found[1]}({found[2]})")
        name, types = (node.name, node.types) if node else (found[3], ())
        given = f"inputs of {' and '.join(types)}" if types else "these types"
        # A node that ONNX defines by others is refused for one of those, of which the model says nothing.
        op = node.op if node and node.op != found[1] else f"{found[1]}, version {found[2]}"
        return InvalidInput(
            f"the model {uri} uses operator {op} (node {name!r}), which ONNX Runtime does "
            f"not run on CPU with {given}: export the model for another opset or element type"
        )
    if any(known.search(text) for known in _KNOWN) or _AT_FAULT.search(text):
        return refusal(text, uri)
    reason = _SUPPORT.sub("", _REFUSED.sub("", " ".join(_BOILERPLATE.sub("", text.strip()).split()))).strip()
    reason = reason.removeprefix("Exception during initialization: ").removeprefix("Exception during loading: ")
    node = culprit(path, reason[:80])
    where = f", node {node.name!r} ({node.op}, inputs of {' and '.join(node.types) or 'unknown type'})" if node else ""
    return InvalidInput(
        f"the model {uri} is valid ONNX, but ONNX Runtime cannot run it on CPU{where}: {reason[:300].rstrip('.')}; "
        "export it without that"
    )


def refusal(text: str, uri: str) -> AuditError:
    """The sentence for what onnx or ONNX Runtime said of a model."""
    if _OUT_OF_MEMORY.search(text):
        return Unavailable(f"out of memory while opening the model {uri}: give the task more (spec.target.resources)")
    if found := _NO_SCHEMA.search(text):
        node = _NODE.search(text)
        where = f" (node {node[1]!r})" if node and node[1] else ""
        return InvalidInput(
            f"the model {uri} uses operator {found[1]}{where}, which opset {found[2]} does not have: "
            "export it for an opset that has it, or without it"
        )
    if found := _NOT_REGISTERED.search(text):
        return InvalidInput(
            f"the model {uri} uses operator {found[1]}, which ONNX Runtime does not have: export the model without it, "
            "or give the operator as an ONNX function inside the model"
        )
    if found := _OPSET.search(text):
        return InvalidInput(
            f"the model {uri} is of opset {found[1]} (domain {found[2]}), and ONNX Runtime runs opsets up to "
            f"{found[3]}: export it for one of these"
        )
    if found := _IR.search(text):
        return InvalidInput(
            f"the model {uri} has ONNX format version (IR) {found[1]}, and the newest known is {found[2]}: "
            "export it with an older onnx package"
        )
    return InvalidInput(f"the model {uri} is not valid ONNX: {_plain(text)}; export it again")


def _plain(text: str) -> str:
    """The first sentence of a library's message, on one line, without its prefixes."""
    text = _SOURCE.sub("", _BOILERPLATE.sub("", text.strip()))
    head = text.split("==> Context")[0]
    return " ".join(head.split())[:300].rstrip(".") or "the checker gives no reason"
