"""What holds the pages to what they show: it must not pass whatever a command does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.walk import Shell, Step, section, steps

PAGE = """# A page

```console
$ echo before
```

## Walked

```console
$ WORD=one \\
    OTHER=two   # both
$ echo "$WORD  $OTHER"
one two
```

```shell
not a command of the walk
```

### Deeper

```console
# a comment is an output without a command
```

## After

```console
$ echo after
```
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"PATH": os.environ["PATH"]}, tmp_path / "state")


def test_a_section_ends_at_the_next_heading_that_is_no_deeper(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    text = section(page, "## Walked")
    assert "before" not in text
    assert "Deeper" in text
    assert "after" not in text
    assert text.splitlines()[9] == PAGE.splitlines()[9] == "$ WORD=one \\"


def test_an_output_without_a_command_is_none_to_walk(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(ValueError, match="page:23 shows an output without a command"):
        list(steps(section(page, "## Walked"), "page"))


def test_commands_are_pasted_into_one_shell(shell: Shell) -> None:
    found = list(steps(PAGE.partition("### Deeper")[0], "page"))
    assert [step.place for step in found] == ["page:4", "page:10", "page:12"]
    assert [shell.walk(step) for step in found] == ["before\n", "", "one  two\n"]


@pytest.mark.parametrize(
    ("command", "shown", "right"),
    [
        ("echo 'a   b'", ("a b",), True),
        ("echo 'a b c'", ("a … c",), True),
        ("echo 'a b c'", ("a …",), True),
        ("echo 'a b c'", ("a … d",), False),
        ("echo a", ("a", "b"), False),
        ("printf 'a\\nb\\n'", ("a",), False),
        ("printf 'a\\nb\\nc\\n'", ("a", "…", "c"), True),
        ("printf 'a\\nb\\nc\\n'", ("…", "b", "…"), True),
        ("printf 'a\\nb\\nc\\n'", ("…", "d", "…"), False),
        ("echo .", ("a",), False),
        ("echo whatever", (), True),
        ("false", (), False),
        ("false | true", (), True),
        ("echo to stderr >&2", ("to stderr",), True),
        ("echo error: no >&2; false", ("error: no",), True),
        ("echo error: no >&2", ("error: no",), False),
        ("exit 3", (), False),
        ("echo no; false", ("no",), True),
        ("echo now", ("now",), True),
        ("echo 'The pods \"a\" is invalid: why'; exit 1", ('The pods "a" is invalid: …',), True),
    ],
)
def test_a_page_is_held_to_what_it_shows(shell: Shell, command: str, shown: tuple[str, ...], right: bool) -> None:
    step = Step(command, shown, "page:1")
    if right:
        shell.walk(step)
        return
    with pytest.raises(AssertionError, match="page:1"):
        shell.walk(step)
