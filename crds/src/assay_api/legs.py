"""What one audit says of one candidate, as far as an upgrade gate asks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Leg:
    """What one audit says of one candidate.

    Attributes:
        verdict: beside golden: Passed, Failed, Inconclusive, or nothing while there is none.
        message: its worst figure.
        beside: what it is beside the other engine: Unchanged, Changed, Improved, Regressed, Inconclusive, or nothing.
        why: why that, with the number of samples.
        causes: what has changed, where it regressed.
        typing: how the engine was typed, where that is told.
        remedy: what cured it, where something did, and the candidate that came of it.
        audit: name of the audit.
        emulated: ONNX Runtime stood in for the engine.
    """

    verdict: str = ""
    message: str = ""
    beside: str = ""
    why: str = ""
    causes: tuple[str, ...] = ()
    typing: str = ""
    remedy: str = ""
    audit: str = ""
    emulated: bool = False


NOTHING: Final = Leg()


def leg_of(entry: Mapping[str, Any], repairs: Iterable[Mapping[str, Any]] = (), audit: str = "") -> Leg:
    """What an entry of an audit's status says, and its repairs of it.

    Args:
        entry: of `status.candidates`.
        repairs: `status.repairs`.
        audit: name of the audit.
    """
    worst, beside = entry.get("worst") or {}, entry.get("compared") or {}
    cures = (cure for repair in repairs for cure in repair.get("cures") or () if cure.get("outcome") == "Cured")
    mine = next((cure for cure in cures if cure.get("candidate") == entry.get("name")), None)
    made = f" ({mine['repaired']})" if mine and mine.get("repaired") else ""
    return Leg(
        verdict=entry.get("verdict") or "",
        message=worst.get("message") or entry.get("message") or "",
        beside=beside.get("state") or "",
        why=beside.get("message") or "",
        causes=tuple(beside.get("causes") or ()),
        typing=entry.get("typing") or "",
        remedy=f"{mine.get('remedy')}{made}" if mine else "",
        audit=audit,
        emulated=bool(entry.get("emulated")),
    )
