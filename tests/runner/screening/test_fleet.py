"""Reports of several machines put together: who is named, who must be scanned again, and who is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry, ScreenReport
from assay_runner.cli import run_command
from assay_runner.errors import InvalidInput
from assay_runner.screening.fleet import together, truths_of
from assay_runner.screening.judging import Truth, conclusion
from assay_runner.screening.reports import right_answers

H100 = DeviceClass(product="NVIDIA H100", driver="580")
RIGHT, WRONG = ("a", "b"), ("a", "x")


def device(name: str, answers: tuple[str, ...] = RIGHT, **fields: Any) -> DeviceEntry:
    whole: dict[str, Any] = {
        "device": name, "kind": H100, "state": "Scanned", "verdict": Verdict.INCONCLUSIVE, "message": "one alone",
        "runs": 1000, "answers": answers, **fields,
    }  # fmt: skip
    return DeviceEntry(**whole)


def report(host: str, *devices: DeviceEntry, **fields: Any) -> tuple[str, ScreenReport]:
    whole: dict[str, Any] = {
        "version": "1", "subject": "p", "sha256": "0" * 64, "inputs": "i", "host": host, "made": "2026-01-01T00:00:00Z",
        "rule": "none", "verdict": Verdict.INCONCLUSIVE, "message": "", "devices": devices, **fields,
    }  # fmt: skip
    return f"{host}.json", ScreenReport(**whole)


def told(*reports: tuple[str, ScreenReport], expected: tuple[str, ...] = ()) -> dict[str, DeviceEntry]:
    return {entry.device: entry for entry in together(reports, expected, {})}


def test_three_machines_with_one_gpu_each_are_a_majority() -> None:
    found = told(report("a", device("1")), report("b", device("2")), report("c", device("3")))
    assert [entry.verdict for entry in found.values()] == [Verdict.PASSED] * 3
    assert [entry.host for entry in found.values()] == ["a", "b", "c"]
    assert found["1"].excludes == pytest.approx(3 / 1000)


def test_one_that_deviates_is_to_be_scanned_again_and_then_named() -> None:
    first = [report("a", device("1")), report("b", device("2")), report("c", device("3", WRONG))]
    once = told(*first)["3"]
    assert (once.verdict, once.confirmed) == (Verdict.INCONCLUSIVE, False)
    assert "scan it again, and give both reports" in once.message
    twice = told(*first, report("c", device("3", WRONG), made="2026-01-02T00:00:00Z"))["3"]
    assert (twice.verdict, twice.confirmed) == (Verdict.FAILED, True)
    cleared = told(*first, report("c", device("3"), made="2026-01-02T00:00:00Z"))["3"]
    assert cleared.verdict is Verdict.INCONCLUSIVE


def test_a_majority_of_one_machine_is_overturned_by_one_of_all() -> None:
    # Two of its three GPUs have the same fault, so it named the third.
    named: dict[str, Any] = {
        "verdict": Verdict.FAILED,
        "confirmed": True,
        "deviations": 1000,
        "message": "1000 of 1000 runs deviate",
    }
    bad = report("a", device("1", WRONG), device("2", WRONG), device("3", **named))
    good = report("b", *(device(str(n)) for n in range(4, 9)))
    found = told(bad, good)
    assert [found[n].verdict for n in "123"] == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.PASSED]
    # One that deviates now and then stays named: what it answers mostly is right.
    rarely: dict[str, Any] = {**named, "deviations": 3, "message": "3 of 1000 runs deviate"}
    assert told(report("a", device("1", **rarely)), good)["1"].verdict is Verdict.FAILED
    many = told(report("a", *(device(f"g{n}", **rarely) for n in range(10))), good)
    verdict, message = conclusion(tuple(many.values()))
    assert (verdict, message.count("a g"), message.endswith("and 2 more")) == (Verdict.FAILED, 8, True)
    hung = device("1", (), verdict=Verdict.FAILED, message="hangs", confirmed=True)
    assert (told(report("a", hung), good)["1"].verdict, told(report("a", hung), good)["1"].message) == (
        Verdict.FAILED, "hangs",
    )  # fmt: skip


def test_one_that_deviates_now_and_then_is_named_once_it_did_so_in_two_scans() -> None:
    good = [report(host, device(host)) for host in "ab"]
    rarely = report("c", device("3", deviations=1))
    once = told(*good, rarely)["3"]
    assert (once.verdict, once.confirmed) == (Verdict.INCONCLUSIVE, False)
    assert once.message == "1 of 1000 runs deviate in one scan: scan it again, and give both reports"
    again = report("c", device("3", deviations=2), made="2026-01-02T00:00:00Z")
    twice = told(*good, rarely, again)["3"]
    assert (twice.verdict, twice.confirmed) == (Verdict.FAILED, True)
    assert twice.message == "1 of 1000 runs deviate in one scan, and 2 of 1000 in another"
    # Where most devices do, it is the plan.
    varying = told(*(report(host, device(host, deviations=1)) for host in "abc"))
    assert {(each.verdict, each.confirmed) for each in varying.values()} == {(Verdict.INCONCLUSIVE, None)}
    assert all("screen with a plan that does not" in each.message for each in varying.values())


def test_where_all_of_a_class_hang_it_is_the_plan() -> None:
    hung: dict[str, Any] = {"verdict": Verdict.FAILED, "message": "hangs", "confirmed": True}
    alone = {name: told(report(name, device(name, (), **hung)))[name].verdict for name in "ab"}
    assert set(alone.values()) == {Verdict.FAILED}
    found = told(*(report(name, device(name, (), **hung)) for name in "ab"))
    assert {each.verdict for each in found.values()} == {Verdict.INCONCLUSIVE}
    assert all("look at the plan" in each.message for each in found.values())
    assert told(*(report(name, device(name, (), **hung)) for name in "ab"), report("c", device("c")))["a"].verdict is (
        Verdict.FAILED
    )


def test_every_machine_is_listed_and_a_missing_one_is_no_pass() -> None:
    busy = device("3", (), state="Skipped", message="in use by 1 process")
    reports = (report("a", device("1")), report("b", device("2")), report("c", busy, device("4")))
    found = told(*reports, expected=("a", "b", "c", "d", "d"))
    assert (found["3"].verdict, found["3"].message) == (Verdict.INCONCLUSIVE, "in use by 1 process")
    assert (found["node/d"].state, found["node/d"].message) == ("Skipped", "no report of this machine was given")
    assert conclusion(tuple(found.values())) == (
        Verdict.INCONCLUSIVE, "3 of 5 devices scanned; 0 inconclusive, 2 skipped",
    )  # fmt: skip


def test_classes_are_held_apart_and_a_record_serves_one_alone() -> None:
    other = DeviceClass(product="NVIDIA H100", driver="570")
    reports = (report("a", device("1")), report("b", device("2")), report("c", device("3", WRONG, kind=other)))
    found = told(*reports)
    assert [found[name].verdict for name in "123"] == [Verdict.PASSED, Verdict.PASSED, Verdict.INCONCLUSIVE]
    words = "agrees with itself, and nothing else of its class answered: give a record; intermittent faults in more"
    assert found["3"].message.startswith(f"{words} than 3.0e-03 of runs are excluded")
    record = AnswerRecord(sha256="0" * 64, inputs="i", kind=other, answers=RIGHT, devices=3, runs=9)
    held = {entry.device: entry for entry in together(reports, (), {other: record})}
    assert "deviate from the record in one scan" in held["3"].message


def test_what_counts_as_right_is_told_by_class_and_input() -> None:
    other = DeviceClass(product="NVIDIA H100", driver="570")
    record = AnswerRecord(sha256="0" * 64, inputs="i", kind=other, answers=RIGHT, devices=3, runs=9)
    split = [report(name, device(name, ("a", name))) for name in "bcd"]
    found = truths_of([*split, report("e", device("e", WRONG, kind=other))], {other: record})
    assert (found[H100].rule, found[H100].answers) == ("majority", {0: "a"}), "of the other input no answer is"
    assert (found[other].rule, found[other].answers) == ("digest", {0: "a", 1: "b"})
    (told_of,) = (each for each in right_answers(found) if each.kind == H100)
    assert told_of.answers == ("a",)
    assert right_answers({H100: Truth("majority", {1: "b"})})[0].answers == ("", "b")


def test_two_are_equal_or_different_and_name_nobody() -> None:
    one, wrong = report("a", device("1")), report("b", device("2", WRONG))
    equal = told(one, report("b", device("2")))
    assert {each.verdict for each in equal.values()} == {Verdict.PASSED}
    assert equal["1"].excludes == pytest.approx(3 / 1000)
    assert equal["1"].message.startswith("agrees with the other device of its class; faults in more than 3.0e-03 of")
    differing = told(one, wrong)
    assert {each.verdict for each in differing.values()} == {Verdict.INCONCLUSIVE}
    assert differing["1"].message == "differs from the other device of its class, and two name nobody: give a record"
    varying = told(one, report("b", device("2", deviations=7)))["2"]
    assert varying.message.startswith("7 of 1000 runs deviate from its commonest answer: the plan or the device")
    # Nor do three of which no two agree.
    every = told(one, report("b", device("2", ("c", "d"))), report("c", device("3", ("y", "z"))))
    assert every["3"].message == "no answer is that of most devices: give a record"


def test_reports_of_other_plans_or_inputs_are_refused() -> None:
    one = report("a", device("1"))
    with pytest.raises(InvalidInput, match=r"b\.json is of another plan than a\.json"):
        told(one, report("b", device("2"), sha256="1" * 64))
    with pytest.raises(InvalidInput, match=r"b\.json is of other inputs than a\.json"):
        told(one, report("b", device("2"), inputs="j"))
    # A machine on which nothing ran has none.
    assert "2" in told(one, report("b", device("2", ()), inputs=""))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for host, name in (("a", "1"), ("b", "2"), ("c", "3")):
        (tmp_path / host).mkdir()
        text = json.dumps(to_wire(report(host, device(name))[1]))
        (tmp_path / host / "screen.json").write_text(text)
    (tmp_path / "nodes").write_text("node/a\nnode/b\nc\n\nnode/worker-9\n")
    run: Callable[..., int] = lambda *words: run_command(["screen", *words])  # noqa: E731
    assert run("--compare", "a", "b", "c/screen.json", "--record", "right.json") == 0
    assert json.loads((tmp_path / "right.json").read_text())["records"][0]["devices"] == 3
    assert run("--compare", "a", "b", "c", "--expect", "nodes") == 2
    page = (tmp_path / "assay-out" / "screen" / "screen.html").read_text()
    assert "no report of this machine was given" in page
    assert "3 machines" in page
    made = ScreenReport.model_validate_json((tmp_path / "assay-out" / "screen" / "screen.json").read_text())
    assert [(each.kind, each.rule, each.answers) for each in made.right] == [(H100, "majority", RIGHT)]
    capsys.readouterr()
    for words, said in (
        ((), "one of both"),
        (("plan", "--compare", "a"), "one of both"),
        (("plan", "--expect", "nodes"), "--expect names the machines of --compare"),
        (("--compare", "a", "--out", "a"), "would be overwritten: give another --out"),
        (("--compare", "nowhere"), "nowhere cannot be read"),
        (("--compare", "nodes"), "nodes is no report of `assay screen`"),
        (("--compare", "a", "--expect", "gone"), "gone cannot be read"),
    ):
        assert run(*words) == 64
        assert said in capsys.readouterr().err
