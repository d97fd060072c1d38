"""Values in the sentences of checks: as people write them, and never the same as a limit that they miss."""

from __future__ import annotations

import math

import pytest

from assay_runner.checks.check import decibels, place, spoken, why_not_served
from assay_runner.evidence import EngineFacts, Reproduction, ShownTensors, TensorFaults
from assay_runner.tensors import Site
from assay_runner.trial.report import reproduces
from tests.evidence import proof


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (247918.953, "247,919"), (1523178.75, "1,523,179"), (-1e12, "-1e12"), (9.04, "9.04"), (9999.4, "9999"),
        (1.04713e8, "104,713,000"), (1e9, "1e9"), (1e4, "10,000"), (3e-7, "3e-7"), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_spoken(value: float, text: str) -> None:
    assert spoken(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(42.737639, "42.74 dB"), (16.9999, "16.9999 dB"), (17.004, "17.004 dB"), (0.0, "0 dB"), (-3.21, "-3.21 dB"),
     (math.inf, "infinite (bitwise equal)")],
)  # fmt: skip
def test_decibels(value: float, text: str) -> None:
    assert decibels(value, 17.0) == text


@pytest.mark.parametrize(
    ("site", "text"),
    [
        (Site("x"), "tensor 'x'"),
        (Site("t", "n"), "tensor 't' of node 'n'"),
        (Site("t", "n", "Conv"), "tensor 't' of node 'n' (Conv)"),
    ],
)
def test_place(site: Site, text: str) -> None:
    assert place(site) == text


@pytest.mark.parametrize(
    ("snr", "typing", "said"),
    [
        (12.34, "weak", "(12.3 dB), so"),
        (-math.inf, "weak", "(one of them is not finite or has another shape), so"),
        (3.0, "strong", "3.0 dB"),
    ],
)
def test_tensors_of_another_engine_lead_out(snr: float, typing: str, said: str) -> None:
    evidence = proof(
        ShownTensors(TensorFaults(1, ()), reproduction=Reproduction(False, snr)),
        samples=4,
        precision="fp16",
        engine=EngineFacts(typing=typing),
    )
    told = why_not_served(evidence)
    assert said in told
    assert told.endswith("under typing: strong showing tensors changes less of what is built") is (typing == "weak")


@pytest.mark.parametrize(
    ("snr", "said"),
    [
        (147.2, "gives the plain run's outputs within rounding (at least 147 dB)"),
        (63.04, "only to 63.0 dB, so what it shows of the tensors is near what is served, not equal"),
        (12.34, "does not reproduce the plain run's outputs (12.3 dB), so what it shows of the tensors is not what"),
        (
            -math.inf,
            "(one of them is not finite or has another shape), so what it shows of the tensors is not what is served",
        ),
        (math.nan, "(one of them is not finite or has another shape)"),
        (math.inf, "gives the numbers of the plain run, but other indices or shapes"),
    ],
)
def test_a_note_tells_how_near_the_tensors_are_to_those_served(snr: float, said: str) -> None:
    [note] = reproduces(Reproduction(False, snr))
    assert said in note
    assert reproduces(Reproduction(True, snr)) == reproduces(None) == ()
