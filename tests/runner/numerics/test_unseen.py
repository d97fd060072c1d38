"""Tensors that could not be shown, or are never made: what is said of them, and when too few are left for a pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks import CHECKS
from assay_runner.evidence import (
    Error,
    Evidence,
    LayerError,
    LayerErrors,
    ShownTensors,
    TensorFaults,
    TensorsWanted,
)
from assay_runner.tensors import Site
from assay_runner.trial.trial import judge
from tests.evidence import proof
from tests.wire import details

SITE = Site("t", "n", "Op")
INF = float("inf")


def perfect() -> tuple[LayerError, ...]:
    error = Error(0, 0, INF, 1)
    return (LayerError(SITE, 9, 0, 1, 0, 1, 0, error, error, None),)


def drift_of(layers: LayerErrors) -> tuple[Finding, ...]:
    check = CHECKS["layerDrift"]()
    return check.judge(proof(ShownTensors(TensorFaults(1, ()), layers), check=check, samples=9))


@pytest.mark.parametrize(("skipped", "verdict"), [(1, Verdict.PASSED), (2, Verdict.INCONCLUSIVE)])
def test_a_graph_that_is_mostly_unseen_is_no_pass(skipped: int, verdict: Verdict) -> None:
    [found] = drift_of(LayerErrors(perfect(), tuple(f"t{i}" for i in range(skipped))))
    assert found.verdict is verdict
    assert f"1 of {skipped + 1} tensors" in found.message


@pytest.mark.parametrize(
    ("unshown", "verdict", "told"),
    [
        (4, Verdict.PASSED, "all 4 tensors are finite on 9 samples (4 could not be shown)"),
        (5, Verdict.INCONCLUSIVE, "only 4 of 9 tensors could be shown"),
    ],
)
def test_tensors_that_could_not_be_shown_are_not_said_to_be_finite(unshown: int, verdict: Verdict, told: str) -> None:
    [found] = CHECKS["finite"]().judge(proof(ShownTensors(TensorFaults(4, (), 20, unshown)), samples=9))
    assert found.verdict is verdict
    assert told in found.message.replace(" (20 more lie inside fused layers and are never made)", "")


@pytest.mark.parametrize(("hidden", "others"), [(1, ""), (4, ", 'loop1' (Loop), 'loop2' (Loop) and of 1 more")])
def test_control_flow_that_hides_tensors_is_counted(hidden: int, others: str) -> None:
    nodes = tuple(Site(f"y{i}", f"loop{i}", "Loop") for i in range(hidden))
    [found] = CHECKS["finite"]().judge(proof(ShownTensors(TensorFaults(4, ())), samples=9, hidden=nodes))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert (
        f"inside the control flow of node{'s' if others else ''} 'loop0' (Loop){others} cannot be shown"
        in found.message
    )


def test_one_tensor_is_told_in_the_singular() -> None:
    [found] = CHECKS["finite"]().judge(proof(ShownTensors(TensorFaults(1, (), 0, 0)), samples=9))
    assert found.message == "the only tensor is finite on 9 samples"


def test_tensors_that_are_never_made_do_not_count_as_unseen() -> None:
    [found] = drift_of(LayerErrors(perfect(), ("a",), tuple(f"t{i}" for i in range(9))))
    assert found.verdict is Verdict.PASSED
    assert "1 of 2 tensors compared, all within the limits (9 more lie inside fused layers" in found.message
    assert (details(found)["notCompared"], details(found)["insideFusedLayers"]) == (1, 9)


@pytest.mark.parametrize("measured", [True, False])
def test_an_error_is_said_to_add_up_only_where_local_errors_are_known(measured: bool) -> None:
    small, large = Error(0, 0, 22, 1), Error(1, 1, 9, 0.9)
    sites = tuple(Site(f"t{i}", f"n{i}", "Op") for i in range(20))
    layers = tuple(LayerError(site, 9, 0, 1, 0, 1, 0, large, small if measured else None, None) for site in sites)
    reads = {f"t{i}": (f"t{i - 1}",) if i else () for i in range(20)}
    [found] = drift_of(LayerErrors(layers, (), reads=reads))
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "t0")
    assert ("the first below the limit is tensor 't0'" in found.message) != measured
    # 20 independent errors of 22 dB have 22 - 10 log10(20) = 9.0 dB together: at the last tensor, not at the first.
    assert "it adds up" not in found.message
    later = tuple(replace(layer, accumulated=Error(0, 0, 22 - i / 2, 1)) for i, layer in enumerate(layers[:-1]))
    [found] = drift_of(LayerErrors((*later, layers[-1]), (), reads=reads))
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "t19")
    assert ("it adds up: those of 20 tensors come to 9.0 dB" in found.message) == measured


def test_that_not_all_was_emulated_is_explained_once() -> None:
    layers, faults = LayerErrors(perfect(), ()), TensorFaults(1, ())
    checks = (CHECKS["finite"](), CHECKS["layerDrift"]())
    found: dict[Any, Any] = {need: ShownTensors(faults, layers) for need in checks[1].needs}
    found |= {need: ShownTensors(faults, layers) for need in checks[0].needs if isinstance(need, TensorsWanted)}
    evidence = Evidence("c", samples=9, found=found, unrounded=(Site("y", "loop", "Loop"),))
    first, second = judge(checks, evidence)
    assert first.verdict is second.verdict is Verdict.INCONCLUSIVE
    assert "at or inside node 'loop' (Loop) there are tensors whose type is not FP32" in first.message
    assert first.message.endswith("as it stands, the only tensor is finite on 9 samples")
    assert second.message.startswith(
        "not the whole candidate was emulated: node 'loop' (Loop), see finite; as it stands, 1 of 1 tensors"
    )
