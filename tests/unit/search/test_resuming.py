"""A search that is cut off at any trial and replayed goes on as if nothing had been, in any process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from assay_runner.search import FAILED, PASSED, Answer, Item, Limits, Search, Settings, Stage, Told, Why
from tests.unit.search.oracles import Model

ROOT = Path(__file__).parents[3]


def recorded(search: Search[int], model: Model, seed: int) -> list[Told[int]]:
    chance, told = random.Random(seed), []
    while search.trial is not None:
        passes = model.needed <= search.trial.kept
        answer = Answer.of(passes ^ (chance.random() < 0.03))
        told.append((search.trial.stage, search.trial.kept, answer))
        search.tell(answer)
    return told


@pytest.mark.parametrize("proposals", [False, True])
def test_replayed_at_every_cut_it_is_the_uninterrupted_run(proposals: bool) -> None:
    def begun() -> Search[int]:
        return Search(model.items, settings=Settings(wrong=0.03), with_proposals=proposals)

    model = Model.of(60, 3, 5, useful=False)
    whole = begun()
    told = recorded(whole, model, 7)
    assert len(told) > 30
    for cut in range(len(told) + 1):
        resumed = begun()
        resumed.replay(told[:cut])
        for stage, kept, answer in told[cut:]:
            assert resumed.trial is not None
            assert (resumed.trial.stage, resumed.trial.kept) == (stage, kept)
            resumed.tell(answer)
        assert resumed.trial is None
        assert resumed.outcome() == whole.outcome()


def test_at_every_moment_the_best_so_far_is_there_and_looking_at_it_changes_nothing() -> None:
    model = Model.of(60, 3, 5, useful=True)
    search, sizes = Search(model.items), []
    while search.trial is not None:
        search.tell(PASSED if model.needed <= search.trial.kept else FAILED)
        outcome = search.outcome()
        assert outcome.best is not None
        assert outcome.best >= model.needed
        assert search.trial is None or outcome.why is Why.BUDGET
        sizes.append(len(outcome.best))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 3


def test_a_limit_raised_later_goes_on_where_the_record_ends() -> None:
    model = Model.of(60, 3, 5, useful=True)
    short = Search(model.items, limits=Limits(decisions=6))
    told = recorded_rightly(short, model)
    assert len(told) == 6
    longer = Search(model.items)
    longer.replay(told)
    recorded_rightly(longer, model)
    assert longer.outcome().best == model.needed


def recorded_rightly(search: Search[int], model: Model) -> list[Told[int]]:
    told = []
    while search.trial is not None:
        answer = Answer.of(model.needed <= search.trial.kept)
        told.append((search.trial.stage, search.trial.kept, answer))
        search.tell(answer)
    return told


def test_a_record_of_another_search_is_refused() -> None:
    model = Model.of(60, 3, 5, useful=True)
    with pytest.raises(ValueError, match="trial 1 of the record"):
        Search(model.items).replay([(Stage.DECIDE, frozenset({1}), PASSED)])
    with pytest.raises(ValueError, match="trial 1 of the record"):
        Search(model.items).replay([(Stage.PROPOSE, frozenset(range(60)), PASSED)])
    with pytest.raises(ValueError, match="not searched"):
        Search(model.items, known=[(Stage.DECIDE, frozenset({99}), PASSED)])


def test_a_search_that_has_ended_takes_no_answer() -> None:
    search = Search([Item("only")], limits=Limits(decisions=0))
    assert search.trial is None
    with pytest.raises(ValueError, match="ended"):
        search.tell(PASSED)


PROGRAM = """
from assay_runner.search import FAILED, PASSED, Item, Search
names = [f"node{i}" for i in range(60)]
search = Search([Item(f"block{b}", parts=tuple(Item(n, prior=hash(n) and 1) for n in names[b::6])) for b in range(6)])
while search.trial:
    print(*sorted(search.trial.kept))
    search.tell(PASSED if {"node3", "node8", "node41"} <= search.trial.kept else FAILED)
"""


def test_trials_do_not_depend_on_how_a_process_hashes() -> None:
    shown = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(shown) == 1
    assert len(shown.pop().splitlines()) > 10
