"""Cases that hang, die and grow by themselves: whether whoever watches notices."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz import seeds
from tests.fuzz.case import Case

_KEPT: Final[list[Any]] = []


@dataclass(frozen=True)
class Rigged(Case):
    """Does something while it is laid out."""

    def lay_out(self, folder: Path) -> None:
        super().lay_out(folder)
        match self.kind:
            case "rigged-busy":
                while True:
                    pass
            case "rigged-idle":
                time.sleep(600)
            case "rigged-signal":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "rigged-memory":
                _KEPT.append(bytearray(b"x") * (1200 << 20))


def _case(kind: str) -> SearchStrategy[Case]:
    files = seeds.around(b"no model", {"part-0.npz": seeds.data_for("mlp")})
    return st.integers(0, 2**32).map(lambda number: Rigged(kind, {**files, "number": str(number).encode()}))


RIGGED: Final[Mapping[str, SearchStrategy[Case]]] = {
    kind: _case(kind) for kind in ("rigged-busy", "rigged-idle", "rigged-signal", "rigged-memory")
}
