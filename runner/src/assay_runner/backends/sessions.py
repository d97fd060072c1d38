"""ONNX Runtime sessions: opened with the settings a purpose needs, their errors put into one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnxruntime as ort

from assay_runner.backends.shared_weights import Shared
from assay_runner.cores import cores
from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.statistics.texts import coded
from assay_runner.tensors import Array, Arrays

DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        f"tensor({name})": np.dtype(dtype)
        for name, dtype in {
            "float": np.float32,
            "double": np.float64,
            "float16": np.float16,
            "bfloat16": ml_dtypes.bfloat16,
            "int8": np.int8,
            "int16": np.int16,
            "int32": np.int32,
            "int64": np.int64,
            "uint8": np.uint8,
            "uint16": np.uint16,
            "uint32": np.uint32,
            "uint64": np.uint64,
            "bool": np.bool_,
        }.items()
    }
)

TEXT: Final = "tensor(string)"
READ: Final = frozenset((*DTYPES, TEXT))
"""Types of outputs that are read, texts as codes that are compared for equality."""
TYPES: Mapping[np.dtype[Any], tuple[str, bool]] = MappingProxyType(
    {d: (np.dtype(f"u{d.itemsize}").str if d.kind == "V" else d.str, d.kind != "V") for d in DTYPES.values()}
)
"""How NumPy's protocol of arrays names each, and whether it has one; else its bits are given, to be read as it."""
SMALL: Final = 64 << 10
"""Bytes of all outputs of a run up to which those of the next are copied."""
PROVIDER: Final = "CPUExecutionProvider"
"""What runs every session; it has no TF32."""
INEXACT: Final = ("DoubleQDQPairsRemover", "MatMulScaleFusion", "DivMulFusion")
"""Optimisations that give other values, beside those of Q/DQ nodes: two pairs in a row are rounded once, and what
overflows between two nodes does not where both are one."""


class Purpose(Enum):
    """What a session is for.

    PLAIN: the model as it would be served: every optimisation, but none that changes its arithmetic. Fusions of Q/DQ
        nodes would: behind a DequantizeLinear of a weight alone they put 8-bit activations.
    EXACT: every node as it stands: no optimisation, so that explicit rounding is kept and Q/DQ pairs stay what they are
        (a CPU's integer kernels may saturate where a GPU's do not), and no arena, so that memory goes back as soon as a
        tensor has been looked at.
    DOUBLE: likewise, of a model in double precision, where a convolution is a chain of nodes for each position of its
        kernel: in the order of the list, which ends one position before it begins the next, and with an arena. Of a
        model with 35,000 such nodes the two took a third of the memory of either alone, and of the time.
    """

    PLAIN = "plain"
    EXACT = "exact"
    DOUBLE = "double"


def options(purpose: Purpose) -> ort.SessionOptions:
    """Session options for a purpose."""
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4
    chosen.intra_op_num_threads = cores()
    chosen.add_session_config_entry("session.disable_quant_qdq", "1")
    # Without VNNI, sums of products of uint8 and int8 saturate in 16 bits; products of uint8 alone do not.
    chosen.add_session_config_entry("session.x64quantprecision", "1")
    if purpose is not Purpose.PLAIN:
        chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        chosen.enable_cpu_mem_arena = purpose is Purpose.DOUBLE
        chosen.enable_mem_pattern = False
        chosen.add_session_config_entry("session.disable_prepacking", "1")
        chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if purpose is Purpose.DOUBLE:
        chosen.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    return chosen


def _opened(path: Path, purpose: Purpose) -> tuple[ort.InferenceSession, Shared]:
    """A session of the model; without optimisation where an optimisation makes what does not run.

    With its large weights, which must be kept as long as it is open.
    """
    chosen = options(purpose)
    kept = Shared(path, chosen)
    if kept and purpose is Purpose.PLAIN:
        chosen.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return ort.InferenceSession(str(path), chosen, providers=[PROVIDER], disabled_optimizers=INEXACT), kept
    except Exception:  # The runtime's own exception classes have no common base.
        if purpose is not Purpose.PLAIN:
            raise
        # Some fusions look past a Cast, and give an operator types that it does not have.
        chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(str(path), chosen, providers=[PROVIDER]), kept


class Refused(InvalidInput):
    """ONNX Runtime takes a model, or inputs of it, not: somebody's input, or what we made of it for a candidate."""


class _Memory:
    """Lends a tensor of ONNX Runtime to numpy without a copy; numpy keeps it, and it keeps the tensor."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: ort.OrtValue, interface: Mapping[str, Any]) -> None:
        self.owner, self.__array_interface__ = owner, interface


def _kept(value: ort.OrtValue, kind: str, lent: Collection[int]) -> Array:
    """A tensor of a type that is read, as an array that shares its memory, texts coded.

    A copy where it is an input passed through, whose memory is not ONNX Runtime's. Each question to ONNX Runtime takes
    a microsecond, and there are tens of thousands of tensors: the type is known, and not asked for.
    """
    if kind == TEXT:
        return coded(value.numpy())
    dtype, shape = DTYPES[kind], tuple(value.shape())
    if 0 in shape:
        return np.empty(shape, dtype)
    (name, own), address = TYPES[dtype], value.data_ptr()
    array = np.asarray(_Memory(value, {"version": 3, "shape": shape, "typestr": name, "data": (address, False)}))
    array = array if own else array.view(dtype)
    return array.copy() if address in lent else array


class OrtSession:
    """One model, loaded."""

    def __init__(self, path: Path, purpose: Purpose, outputs: Collection[str] | None = None) -> None:
        """Load a model; `outputs` are those that `run` gives, default all.

        Raises:
            InvalidInput: ONNX Runtime refuses the model.
            Unavailable: it does not fit into memory.
        """
        with translated("the model", path.parent):
            self._session, self._weights = _opened(path, purpose)
        self.types: dict[str, str] = {o.name: o.type for o in self._session.get_outputs()}
        self.ranks: dict[str, int] = {o.name: len(o.shape) for o in self._session.get_outputs() if o.shape}
        self.inputs: dict[str, str] = {i.name: i.type for i in self._session.get_inputs()}
        self.shapes: dict[str, tuple[int | str | None, ...]] = {
            i.name: tuple(i.shape) for i in self._session.get_inputs()
        }
        self._outputs = [o for o in self.types if (outputs is None or o in outputs) and self.types[o] in READ]
        kinds = (*self.inputs.values(), *(self.types[name] for name in self._outputs))
        # Through NumPy's own arrays, which do not have all types.
        self._plain = all(kind in DTYPES and DTYPES[kind].kind != "V" for kind in kinds)
        self._small = False

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs by name; the arrays share memory with ONNX Runtime, which takes it back when they are dropped.

        Small ones are copies: to have ONNX Runtime lend its tensors takes longer than to run a small model.

        Raises:
            InvalidInput: the model cannot be run on these inputs.
            Unavailable: memory ran out.
        """
        if not self._outputs:
            # ONNX Runtime takes an empty list of outputs for all of them.
            return {}
        self._weights.wake()
        found = self._copied(inputs) if self._small else self._lent(inputs)
        self._small = self._plain and sum(array.nbytes for array in found.values()) <= SMALL
        return found

    def _copied(self, inputs: Arrays) -> dict[str, Array]:
        with translated("the model"):
            feeds = {name: _typed(inputs[name], kind) for name, kind in self.inputs.items() if name in inputs}
            arrays = self._session.run(self._outputs, feeds)
        named = zip(self._outputs, arrays, strict=True)
        return {name: array for name, array in named if isinstance(array, np.ndarray)}

    def _lent(self, inputs: Arrays) -> dict[str, Array]:
        with translated("the model"):
            feeds = {name: _fed(inputs[name], kind) for name, kind in self.inputs.items() if name in inputs}
            values = self._session.run_with_ort_values(self._outputs, feeds)
        lent = {feed.data_ptr() for feed in feeds.values()}
        return {name: _kept(v, self.types[name], lent) for name, v in zip(self._outputs, values, strict=True)}


def _typed(array: Array, kind: str) -> Array:
    # `ascontiguousarray` would give a scalar an axis.
    return np.asarray(array, DTYPES.get(kind), order="C")


def _fed(array: Array, kind: str) -> ort.OrtValue:
    if (owner := _owner(array, kind)) is not None:
        return owner
    array = _typed(array, kind)
    if array.dtype == ml_dtypes.bfloat16:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), 16)
    return ort.OrtValue.ortvalue_from_numpy(array)


def _owner(array: Array, kind: str) -> ort.OrtValue | None:
    """ONNX Runtime's own tensor, where the array is all of one that it lent, as it was: made anew it takes longer."""
    lent = array.base
    if not isinstance(lent, _Memory) or array.dtype != DTYPES.get(kind) or not array.flags.c_contiguous:
        return None
    return lent.owner if array.shape == lent.__array_interface__["shape"] else None


@contextmanager
def translated(what: str, folder: Path | None = None) -> Iterator[None]:
    """Errors of ONNX Runtime inside become ours, in one sentence about `what`; files of the folder lose its name."""
    try:
        yield
    except AuditError:
        raise
    except MemoryError as error:
        raise Unavailable(f"{what} needs more memory than there is: lower dataset.batch or raise the limit") from error
    except Exception as error:
        text = str(error) if folder is None else str(error).replace(f"{folder}/", "")
        if re.search(r"bad_alloc|[Ff]ailed to allocate|[Oo]ut of memory", text):
            message = f"{what} needs more memory than there is: lower dataset.batch or raise the memory limit"
            raise Unavailable(message) from error
        raise Refused(f"ONNX Runtime cannot run {what}: {sentence(text)}") from error


def sentence(text: str) -> str:
    """The part of an ONNX Runtime message that speaks of the model: node, operator and reason, on one line."""
    text = " ".join(text.split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"Load model from .*? failed:\s*", "", text)
    # Place in ONNX Runtime's source, its function, and the condition that did not hold.
    text = re.sub(r"\S*/\S+\.(cc|h):\d+ .*? was false\. ", "", text)
    text = re.sub(r"\S*/\S+\.(cc|h):\d+ \S.*?\)( const)? (?=[A-Z])", "", text)
    place, function = r"\S*\w\.(cc|h):\d+ ", r"[^()]*::[^()]*\([^()]*\)( const)?( \[with [^\]]*\])? "
    text = re.sub(rf"{place}({function}|[A-Z]\w* (?=[A-Z]))?", "", text)
    # Control flow reports the node that failed inside it last.
    if match := re.search(r".*running (\S+) node\. Name:'([^']*)' Status Message: (.*)", text):
        text = f"node {match[2]!r} ({match[1]}) failed: {match[3]}"
    return text[:600].rstrip(" .") or "no reason given"
