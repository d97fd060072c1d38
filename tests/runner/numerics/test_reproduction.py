"""Whether the tensors that are shown are those of what is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay_api.model import parse
from assay_api.report import Verdict
from assay_runner.checks import CHECKS
from assay_runner.passes.budgets import Budgets
from tests.models import Samples, random
from tests.runner.numerics.candidates import ORT, measured
from tests.runner.numerics.unsteady import DATA, Wavering, stateful

PASSED, INCONCLUSIVE = Verdict.PASSED, Verdict.INCONCLUSIVE


def test_tensors_of_a_candidate_that_does_not_reproduce_itself_are_not_what_is_served(tmp_path: Path) -> None:
    whim = Wavering(lambda at: 5.0 * (at.run % 2) * (at.kind == "plain"))
    checks = [parse(CHECKS["layerDrift"], {}), parse(CHECKS["runToRun"], {"conditions": ["sameSession"]})]
    found = measured(stateful(), "fp32", DATA, tmp_path, *checks, backend=whim)
    [drift] = [finding for finding in found.findings if finding.check == "layerDrift"]
    assert drift.verdict is INCONCLUSIVE
    assert "nor does the candidate reproduce itself, see runToRun" in drift.message
    assert found.report.layers
    assert not found.report.layers_served


@pytest.mark.parametrize(("by", "shown"), [(0.0, 100), (0.0, 10_000), (1e-6, 10_000)])
def test_indices_that_follow_from_the_numbers_say_nothing_of_the_tensors(by: float, shown: int, tmp_path: Path) -> None:
    """One element more in what NonZero gives, or its first axis as long as the batch, is no other engine."""
    x = random(8, 8)
    x[0] = -1  # Rows of y that are exactly 0: positive in the run that is a little off.
    data = Samples({"x": x, "state": np.zeros((8, 1), np.float32)}, batch=2)
    backend = Wavering(lambda at: by * (at.kind == "shown")) if by else ORT
    found = measured(
        stateful(),
        "fp32",
        data,
        tmp_path,
        parse(CHECKS["layerDrift"], {}),
        backend=backend,
        budgets=Budgets(shown=shown),
    )
    assert [finding.verdict for finding in found.findings] == [PASSED], found.findings[0].message
    assert found.report.layers_served
