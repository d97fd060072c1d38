"""What the page carries for its scripts: every tensor of report.json, once, and no more than there is room for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from assay_api.report import Report, Verdict, to_json
from assay_runner.report import embedded as module
from assay_runner.report.embedded import carries, embedded
from assay_runner.report.layers import COLUMNS
from tests.unit.report import engines, samples

Build = Callable[[], Report]


def texts(column: Any) -> list[str]:
    return column if isinstance(column, list) else [column["words"][place] for place in column["at"]]


def same(carried: Any, stored: Any) -> bool:
    """Whether a carried value is the stored one, to the digits that are carried."""
    if isinstance(stored, float):
        return bool(carried == pytest.approx(stored, rel=1e-4))
    return bool(carried == stored)


@pytest.mark.parametrize("build", [samples.passed, samples.failed, samples.emulated, engines.candidate, engines.fleet])
def test_every_tensor_is_carried_with_the_digits_that_are_shown(build: Build) -> None:
    report = build()
    stored = json.loads(to_json(report))["candidates"]
    data = json.loads(json.dumps(embedded(report, whole=True), allow_nan=False))
    assert any(candidate["layers"] for candidate in stored)
    for carried, candidate in zip(data["candidates"], stored, strict=True):
        layers = candidate["layers"]
        if not layers:
            assert carried["network"] is None
            continue
        network = data["networks"][carried["network"]]
        for key in ("name", "op", "node"):
            assert texts(network[key]) == [layer[key] for layer in layers]
        for column in COLUMNS:
            values = carried["tensors"].get(column.key, [None] * len(layers))
            assert all(same(a, b.get(column.key)) for a, b in zip(values, layers, strict=True)), column


def test_candidates_of_one_model_share_the_names_of_their_tensors() -> None:
    data = embedded(engines.fleet(), whole=False)
    assert len(data["networks"]) == 1
    assert [c["network"] for c in data["candidates"]] == [0] * 6 + [None]


def test_layers_of_the_engine_are_carried_only_where_they_are_shown() -> None:
    report = engines.candidate()
    columns = embedded(report, whole=True)["candidates"][0]["engine"]
    stored = report.candidates[0].engine_layers
    assert texts(columns["precision"]) == [layer.precision for layer in stored]
    assert texts(columns["nodes"]) == [", ".join(layer.nodes) for layer in stored]
    (first,) = stored[0].inputs
    assert texts(columns["inputs"])[0] == f"t0: {first.format} {'×'.join(map(str, first.shape))}"
    assert not any("engine" in c for c in embedded(report, whole=False)["candidates"])


def test_the_worst_candidates_come_first_where_there_is_no_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    report = engines.fleet()
    failed = [i for i, c in enumerate(report.candidates) if c.verdict is Verdict.FAILED]
    monkeypatch.setattr(module, "ROWS", 20)
    carried = {i for i in carries(report) if report.candidates[i].layers}
    assert carried == set(failed)
    data = embedded(report, whole=False)["candidates"]
    assert [i for i, c in enumerate(data) if c["network"] is not None] == failed
