"""A batch that is too large at once is run in parts."""

from __future__ import annotations

import numpy as np
import pytest

from assay_runner.data.rows import parts
from assay_runner.tensors import Batch


@pytest.mark.parametrize(
    ("count", "size", "counts"),
    [
        (16, None, [16]),
        (16, 16, [16]),
        (16, 20, [16]),
        (16, 8, [8, 8]),
        (16, 7, [4, 4, 4, 4]),
        (16, 1, [1] * 16),
        (9, 4, [3, 3, 3]),
        (13, 6, [6, 6, 1]),
    ],
)
def test_parts_are_alike_where_a_few_more_make_them_so(count: int, size: int | None, counts: list[int]) -> None:
    rows = np.arange(count)
    found = list(parts(Batch(100, count, {"x": rows}, rows), size))
    assert [part.count for part in found] == counts
    assert np.array_equal(np.concatenate([part.inputs["x"] for part in found]), rows)
    assert np.array_equal(np.concatenate([part.labels for part in found if part.labels is not None]), rows)
    assert [part.start for part in found] == [100 + int(part.inputs["x"][0]) for part in found]
