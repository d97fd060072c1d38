"""What was found once stays mended, a part of the search is in every run, and whoever watches it notices."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fuzz import oracles, seeds
from tests.fuzz.__main__ import batches, table
from tests.fuzz.case import Case, Entry, Folder, Link, Pipe, unpacked
from tests.fuzz.judged import judged
from tests.fuzz.kinds import KINDS
from tests.fuzz.watch import Tally, batch

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*/*.tar.xz"))
SEED, ROUNDS = 20_261_126, 4
"""Where a part of the search begins, and how many hundreds of cases it is."""


@pytest.mark.parametrize("file", CORPUS, ids=[f"{file.parent.name}/{file.name.split('.')[0]}" for file in CORPUS])
def test_what_was_found_once_stays_mended(tmp_path: Path, file: Path) -> None:
    """The name of a file says what it is, and with which exit code it ends."""
    ended = judged(unpacked(file.read_bytes(), file.parent.name), tmp_path / "case")
    assert not ended.wrong, f"{ended.wrong}: {ended.said}"
    assert ended.code == int(file.name.split(".")[1]), ended.said


def test_every_kind_of_case_has_its_corpus() -> None:
    assert {file.parent.name for file in CORPUS} <= set(KINDS)
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("kind", KINDS)
def test_no_case_of_a_fixed_seed_ends_as_none_may(kind: str) -> None:
    tally = Tally()
    batch(kind, SEED, ROUNDS * KINDS[kind][1], tally)
    assert tally.cases >= KINDS[kind][1], table(tally)
    assert not tally.findings, "\n".join(f"{f.what}: {f.said}" for f in tally.findings)


@pytest.mark.parametrize("name", seeds.MODELS)
def test_nothing_is_wrong_with_what_cases_begin_as(tmp_path: Path, name: str) -> None:
    case = Case("model-bytes", seeds.around(seeds.model_bytes(name), {"part-0.npz": seeds.data_for(name)}))
    ended = judged(case, tmp_path / "case")
    assert not ended.wrong, f"{ended.wrong}: {ended.said}"
    assert ended.code in (0, 1, 2), ended.said


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("rigged-busy", "hang"),
        ("rigged-idle", "hang"),
        ("rigged-signal", f"the process ended with -{signal.SIGSEGV}"),
        ("rigged-memory", "memory: grew by 12"),
    ],
)
def test_who_watches_notices(kind: str, told: str) -> None:
    tally = Tally()
    # What ends by itself is given its time: a machine at work elsewhere is no hang.
    batch(kind, 1, 1, tally, hang=1.0 if told == "hang" else 60.0)
    (finding,) = tally.findings
    assert finding.what.startswith(told), finding
    assert isinstance(unpacked(finding.packed, kind).files["model.onnx"], bytes)


def test_another_library_is_asked_about_what_passed(tmp_path: Path) -> None:
    arrays = seeds.arrays_for("mlp")
    for kind, model, data, told in (
        ("model-bytes", seeds.model_bytes("mlp")[:-9], seeds.npz(arrays), "false pass: "),
        ("npz-bytes", seeds.model_bytes("mlp"), seeds.npz(arrays).replace(b"\x3f", b"\x3e"), "false pass: BadZipFile"),
        ("npz-bytes", seeds.model_bytes("mlp"), seeds.npz(arrays), ""),
        ("model-bytes", seeds.model_bytes("mlp"), seeds.npz(arrays), ""),
    ):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        case = Case(kind, seeds.around(model, {"part-0.npz": data}))
        case.lay_out(place)
        assert oracles.refused(case, place)[: len(told)] == told
        assert bool(oracles.refused(case, place)) == bool(told)


def test_a_case_is_the_same_once_it_was_packed(tmp_path: Path) -> None:
    files: dict[str, Entry] = {"a/b": b"x", "a/link": Link("../.."), "a/pipe": Pipe(), "folder": Folder()}
    found = unpacked(Case("odd-places", files).packed(), "odd-places")
    assert found.packed() == Case("odd-places", files).packed()
    found.lay_out(tmp_path)
    assert (tmp_path / "a" / "pipe").is_fifo()
    assert (tmp_path / "a" / "link").is_symlink()
    assert (tmp_path / "folder").is_dir()


def test_kinds_have_their_shares() -> None:
    counts: dict[str, int] = {}
    for kind, _, count in batches(1, 10_000, list(KINDS)):
        counts[kind] = counts.get(kind, 0) + count
    assert sum(counts.values()) == 10_000
    assert all(counts[kind] == pytest.approx(100 * share, rel=0.35) for kind, (_, share) in KINDS.items())


def test_runs_of_neighbouring_seeds_have_no_case_in_common() -> None:
    first, second = ({(kind, seed) for kind, seed, _ in batches(run, 10_000, list(KINDS))} for run in (1, 2))
    assert first.isdisjoint(second)
