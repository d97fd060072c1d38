"""Odd surroundings: pipes, devices, folders and links where files should lie, before a run and in its cache."""

from __future__ import annotations

import json
from typing import Final

from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.case import AUDIT, DAMAGE, OUT, Case, Entry
from tests.fuzz.datasets import IN_PLACE, ROWS

_PLACES: Final = (
    "model.onnx", "data/part-0.npz", "data/part-1.npz", "data", AUDIT, "golden.npz", OUT, f"{OUT}/report.html",
    f"{OUT}/report.json", f"{OUT}/junit.xml", f"{OUT}/fp16", f"{OUT}/fp16/report.json", f"{OUT}/golden",
    f"{OUT}/cache", f"{OUT}/cache/golden", f"{OUT}/cache/build", f"{OUT}/recommended", f"{OUT}/report.sealed.json",
    f"{OUT}/fp16/report.html",
)  # fmt: skip
CACHED: Final = ("cache/build/*/*", "cache/golden/*/*", "cache/*", "fp16/*", "golden/*", "*.json")
CALIBRATED: Final = {**seeds.CALIBRATED, "name": "fp16"}


def _files(draw: st.DrawFn) -> dict[str, Entry]:
    candidate = draw(st.sampled_from([seeds.FP16, {**CALIBRATED, "calibration": {"uri": "file://./data/"}}]))
    more = draw(st.sampled_from([{}, {}, {"golden": {"uri": "file://./golden.npz"}}]))
    audit = seeds.audit(candidates=[candidate], checks=[{"finite": {}}, {"outputDrift": {"cosine": 0.9}}], **more)
    shard = seeds.npz({"x": ROWS})
    return seeds.around(seeds.linear_bytes(), {"part-0.npz": shard, "part-1.npz": shard}, audit)


@st.composite
def odd_places(draw: st.DrawFn) -> Case:
    """Something else than a file, or than a folder, where one is looked for or written."""
    files = _files(draw)
    for place in draw(st.lists(st.sampled_from(_PLACES), min_size=1, max_size=2, unique=True)):
        files = {name: entry for name, entry in files.items() if not name.startswith(f"{place}/") and name != place}
        if not any(place.startswith(f"{name}/") for name in files):
            files[place] = draw(st.sampled_from(IN_PLACE))
    return Case("odd-places", files)


@st.composite
def damaged_cache(draw: st.DrawFn) -> Case:
    """A second run over what the first one left, of which one file was changed."""
    how = draw(st.sampled_from(["flip", "cut", "empty", "random", "folder", "pipe", "device", "gone", "swap"]))
    said = {
        "pattern": draw(st.sampled_from(CACHED)),
        "which": draw(st.integers(0, 20)),
        "how": how,
        "at": draw(st.integers(0, 5000)),
    }
    return Case("damaged-cache", {**_files(draw), DAMAGE: json.dumps(said).encode()})
