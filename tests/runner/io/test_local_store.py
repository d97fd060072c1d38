"""file:// URIs: what they may name, and what listings show."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores.files import TEMPORARY, human, whole_file
from assay_runner.stores.local import LocalStore
from assay_runner.stores.patience import Patience, Transient


def test_relative_paths_lie_beside_the_audit(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "x").write_bytes(b"x")
    store = LocalStore(tmp_path / "a")
    assert store.read("file://../x") == b"x"
    store.put("file://./deep/y", b"y")
    assert (tmp_path / "a" / "deep" / "y").read_bytes() == b"y"
    assert [s.uri for s in store.list("file://./deep/")] == ["file://./deep/y"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file://./x", "is relative, which only local runs can resolve"),
        ("file://data/x", "write file:///data/x, or file://./data/x beside the audit"),
        ("file:///a\0b", "holds a NUL character"),
        ("file:///tmp", "is no regular file but a folder"),
        ("file:///" + "x" * 300, "cannot name a file"),
        ("file:///etc/hostname/x", "does not exist"),
    ],
)
def test_what_names_no_file_is_refused(uri: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        LocalStore().read(uri)


def test_a_dangling_link_is_no_silent_gap(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"x")
    (tmp_path / "b.npz").symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidInput, match=r"b\.npz does not exist"):
        list(LocalStore().list(f"file://{tmp_path}/"))


def test_a_link_to_a_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"four")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [s.size for s in LocalStore().list(f"file://{tmp_path}/link")] == [4]


def test_unfinished_files_do_not_show(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}abc").write_bytes(b"half")
    assert list(LocalStore().list(f"file://{tmp_path}/")) == []


def test_a_file_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"before")

    def fail() -> None:
        with whole_file(tmp_path / "x") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert human(size) == text


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("seconds", "fails", "tries"), [(10, 3, 4), (0, 1, 1), (1, 99, 2), (60, 99, 9)])
def test_patience_ends_with_its_budget(seconds: float, fails: int, tries: int) -> None:
    time, heard, done = Time(), list[str](), 0

    def attempt() -> str:
        nonlocal done
        done += 1
        if done <= fails:
            raise Transient("cannot connect")
        return "result"

    patience = Patience(seconds, notify=heard.append, clock=time.clock, sleep=time.sleep)
    if tries > fails:
        assert patience.persist(attempt) == "result"
    else:
        with pytest.raises(Unavailable, match=r"cannot connect; gave up after \d+ attempts? over"):
            patience.persist(attempt)
        assert time.now <= seconds
    assert abs(done - tries) <= 1
    assert len(heard) == done - 1
    assert all("trying again in" in words for words in heard)
