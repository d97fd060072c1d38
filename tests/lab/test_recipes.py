"""Another image is never taken for one that was built: whatever a build may see changes the name of its recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.recipes import recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in ("src/a/x.py", "src/b/y.py", "src/a/__pycache__/x.pyc", "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "src" / "link").symlink_to("a")
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / ".dockerignore").write_text("# Only sources.\n*\n!src\n!src/a\n")
    return tmp_path


def named(context: Path, *told: str) -> str:
    return recipe(context, context / "Dockerfile", told)


def moved(context: Path) -> None:
    (context / "src/a/x.py").rename(context / "src/b/x.py")


def led_elsewhere(context: Path) -> None:
    (context / "src/link").unlink()
    (context / "src/link").symlink_to("b")


@pytest.mark.parametrize(
    "change",
    [
        lambda context: (context / "src/a/x.py").write_text("else"),
        lambda context: (context / "src/a/x.py").chmod(0o755),
        lambda context: (context / "src/a/new.py").touch(),
        lambda context: (context / "src/b/y.py").unlink(),
        lambda context: (context / "Dockerfile").write_text("FROM y\n"),
        lambda context: (context / ".dockerignore").write_text(""),
        moved,
        led_elsewhere,
    ],
    ids=["text", "permission", "file", "none", "instructions", "more let in", "place", "link"],
)
def test_what_a_build_may_see_is_in_its_name(context: Path, change: Callable[[Path], object]) -> None:
    before = named(context)
    assert named(context) == before
    change(context)
    assert named(context) != before


def test_what_it_is_told_is_in_its_name(context: Path) -> None:
    assert len({named(context), named(context, "a", "b"), named(context, "ab"), named(context, "b", "a")}) == 4


def test_what_no_build_sees_is_not(context: Path) -> None:
    before = named(context)
    (context / "docs/page.md").write_text("else")
    (context / "src/a/__pycache__/x.pyc").write_text("else")
    assert named(context) == before


def test_our_own_context_is_what_its_dockerignore_lets_in() -> None:
    seen = {line[1:].split("/")[0] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {"crds", "operator", "runner", "uv.lock"} <= seen
    assert recipe(ROOT, ROOT / "Dockerfile.runner", ()) == recipe(ROOT, ROOT / "Dockerfile.runner", ())
