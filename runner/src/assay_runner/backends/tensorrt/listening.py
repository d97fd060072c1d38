"""Unfused tensors as the engine makes them, told by TensorRT while it runs: the probe that changes least.

TensorRT 10.8 and newer can mark every tensor for debugging without keeping layers from being fused: those that survive
are handed to a listener in the order they are made. `mark_debug`, which older versions have, does keep layers apart,
and on 10.6 it breaks the build: there tensors are shown as outputs (docs/design/0005).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay_runner.backends.tensorrt.device import Buffers, DeviceArray, on_device
from assay_runner.backends.tensorrt.library import tensorrt
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.errors import Unsupported
from assay_runner.tensors import Array

_NAME = ctypes.pythonapi.PyCapsule_GetName
_NAME.restype, _NAME.argtypes = ctypes.c_char_p, [ctypes.py_object]
_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_POINTER.restype, _POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class ListeningSession(EngineSession):
    """An engine built with its unfused tensors marked; a launch gives them beside the outputs."""

    def __init__(self, plan: Path, stream: int) -> None:
        """Load a plan and listen.

        Raises:
            InvalidInput: the plan cannot be loaded.
            Unavailable: device memory ran out.
            Unsupported: this TensorRT tells nothing of unfused tensors.
        """
        self._listener: Any = None
        super().__init__(plan, stream)
        self._copies, self._heard = Buffers(), dict[str, DeviceArray]()
        self._error: Exception | None = None
        self._listener = self._make_listener()
        self._listen(self._context)

    @property
    def shown(self) -> frozenset[str]:
        """Tensors that a launch gives, known once there was one."""
        return frozenset(self.outputs) | self._heard.keys()

    def rehearse(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Run once, on zeros, to hear which tensors are told; `shapes` of the inputs that have free axes.

        Raises:
            Unsupported: none is told beside the outputs.
        """
        fixed = {name: tuple(self._engine.get_tensor_shape(name)) for name in self.inputs}
        self.launch({name: np.zeros(shapes.get(name, fixed[name]), self._dtype(name)) for name in self.inputs})
        if not self._heard.keys() - set(self.outputs):
            raise Unsupported("TensorRT tells of no unfused tensor")

    def launch(self, inputs: Mapping[str, Array | DeviceArray]) -> dict[str, DeviceArray]:
        """See `EngineSession.launch`; unfused tensors too."""
        self._heard, self._error = {}, None
        found = super().launch(inputs)
        if self._error is not None:
            raise self._error
        return {**self._heard, **found}

    def close(self) -> None:
        """Give device memory back."""
        super().close()
        self._copies.free()

    def _new_context(self, own: bool = False) -> Any:
        context = super()._new_context(own)
        if self._listener is not None:
            self._listen(context)
        return context

    def _listen(self, context: Any) -> None:
        if not context.set_debug_listener(self._listener):
            raise Unsupported("TensorRT refuses a listener for debug tensors")
        context.unfused_tensors_debug_state = True

    def _take(self, pointer: int, kind: Any, shape: tuple[int, ...], name: str, stream: int) -> None:
        dtype = self._types.get(kind)
        if dtype is None or min(shape, default=0) < 0:
            return
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        # The engine reuses the memory for later layers, so it is copied, in the order of the stream.
        place = self._copies[name].reserve(size)
        on_device(pointer, place, size, stream)
        self._heard[name] = DeviceArray(place, dtype, shape)

    def _make_listener(self) -> Any:
        trt, session = tensorrt(), self

        class Listener(trt.IDebugListener):  # type: ignore[misc, name-defined]
            """Hands tensors on; TensorRT swallows what it raises."""

            def __init__(self) -> None:
                trt.IDebugListener.__init__(self)

            def process_debug_tensor(
                self, addr: Any, location: Any, kind: Any, shape: Any, name: str, stream: int
            ) -> bool:
                try:
                    if location == trt.TensorLocation.DEVICE:
                        session._take(_POINTER(addr, _NAME(addr)), kind, tuple(shape), name, int(stream))
                except Exception as error:  # Raised again by `launch`.
                    session._error = error
                return True

        return Listener()
