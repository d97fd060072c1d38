from __future__ import annotations

import pytest

from assay_api.result import Progress
from assay_operator.audits.doing import in_words


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        ({"stage": "", "message": "cannot connect; trying again"}, "cannot connect; trying again"),
        ({"stage": "fetch", "message": "cannot connect"}, "fetch: cannot connect"),
        ({"stage": "infer", "done": 5, "total": 10, "unit": "samples"}, "infer 5/10 samples"),
        ({"stage": "infer", "done": 5, "unit": "samples", "message": "slow"}, "infer 5 samples: slow"),
        ({"stage": "build"}, "build"),
    ],
)  # fmt: skip
def test_what_a_task_is_doing_begins_with_a_word(progress: dict[str, object], said: str) -> None:
    assert in_words(Progress.model_validate({"task": "t", **progress})) == said
