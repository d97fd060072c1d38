"""Walks a page as its reader does: pastes every command of its `console` blocks into one shell, and reads on.

A command stands behind `$ `, and goes on in the next line behind a backslash. The lines below it are what it prints,
errors among it: blanks count as one, `…` stands for anything within a line, and for any lines where it is alone in one.
A command that shows nothing may print what it likes. It must succeed, unless a line shown says that it does not, in the
words of kubectl.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shell", "Step", "section", "steps"]

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY = "…"
FAILS = re.compile(r'error: |Error from server |The \w+ "[^"]+" is invalid: |no$')


@dataclass(frozen=True)
class Step:
    """A command of a page, what the page shows of its output, and where it stands."""

    command: str
    shown: tuple[str, ...]
    place: str

    @property
    def fails(self) -> bool:
        """Whether the page shows that it does not succeed."""
        return any(FAILS.match(line) for line in self.shown)

    def shows(self, printed: str) -> bool:
        """Whether the page shows what the command printed."""
        if not self.shown:
            return True
        lines = [r"(?:.*\n)*" if line.strip() == ANY else _line(line) for line in self.shown]
        return re.fullmatch("".join(lines), "".join(f"{_blanks(line)}\n" for line in printed.splitlines())) is not None


def section(page: Path, title: str) -> str:
    """What stands in a page below a heading (`## In a cluster`) until the next that is no deeper.

    The lines before are left empty, so that those of the section keep their numbers.
    """
    lines = page.read_text().splitlines()
    begin, depth = lines.index(title) + 1, len(title.partition(" ")[0])
    fenced, end = False, len(lines)
    for number in range(begin, len(lines)):
        fenced ^= lines[number].startswith("```")
        found = re.match(r"(#+) ", lines[number])
        if found and not fenced and len(found[1]) <= depth:
            end = number
            break
    return "\n".join(["" for _ in lines[:begin]] + lines[begin:end]) + "\n"


def steps(text: str, name: str) -> Iterator[Step]:
    """The commands of a text; `name` is the page's, for what is said of them."""
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        yield from _steps_of(block[1].splitlines(), name, first)


def _steps_of(lines: list[str], name: str, first: int) -> Iterator[Step]:
    at = 0
    while at < len(lines):
        begin = at
        if not lines[at].startswith("$ "):
            raise ValueError(f"{name}:{first + at} shows an output without a command: {lines[at]}")
        command = [lines[at][2:]]
        while command[-1].endswith("\\"):
            at += 1
            command.append(lines[at])
        at += 1
        shown = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        yield Step("\n".join(command), tuple(lines[shown:at]), f"{name}:{first + begin}")


class Shell:
    """One bash, as far as its folder and its variables go from one command to the next.

    Args:
        folder: where it begins, and what it remembers lies in `state`.
        environment: its variables at the start.
        state: a file of its own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], state: Path) -> None:
        self.folder, self.state = folder, state
        given = subprocess.run(["bash", "-c", "export -p"], env=dict(environment), stdout=subprocess.PIPE, check=True)
        state.write_bytes(given.stdout)

    def run(self, command: str, seconds: float = 900) -> tuple[int, str]:
        """Run a command and return its exit code and what it printed, errors in their place."""
        # As pasted: a command that fails ends nothing, and a variable that is set stays.
        script = f"source {self.state}\nset -a\n{command}\nstatus=$?\nexport -p > {self.state}\nexit $status\n"
        done = subprocess.run(
            ["/bin/bash", "-c", script], cwd=self.folder, env={}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=seconds,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(errors="replace")

    def walk(self, step: Step) -> str:
        """Run one command of a page and return what it printed.

        Raises:
            AssertionError: it does not end, or does not print, as the page shows.
        """
        status, printed = self.run(step.command)
        told = f"{step.place}: $ {step.command}\n{printed}"
        assert (status != 0) == step.fails, f"ends with {status}: {told}"
        assert step.shows(printed), f"the page shows\n{chr(10).join(step.shown)}\nbut {told}"
        return printed


def _line(shown: str) -> str:
    return ".*".join(re.escape(part) for part in _blanks(shown).split(ANY)) + r"\n"


def _blanks(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()
