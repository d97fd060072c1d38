"""Files that are no YAML, or more of it than anybody writes: refused at once, by exit code 64 and one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.audits import assay, changed, document, spec, write

GOOD = changed()

BAD_FILES: list[tuple[str, str, str]] = [
    ("empty", "", "audit.yaml: empty; give an AccuracyAudit"),
    ("only comments", "# nothing\n---\n", "audit.yaml: empty"),
    ("tab", "a:\n\t- b", "line 2, column 1: found character '\\t' that cannot start any token"),
    ("unclosed", "a: [1, 2", "line 1, column 9: expected ',' or ']'"),
    ("twice", GOOD.replace("kind:", "apiVersion: assay.dev/v1alpha1\nkind:"), "key 'apiVersion' stands twice"),
    ("twice deep", "a:\n  b: 1\n  b: 2\n", "line 3, column 3: key 'b' stands twice"),
    ("python tag", "a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ("control", "a: \x01", "not YAML"),
    ("no number", "kind: !!int ''", "line 1, column 7: '' is no int"),
    ("only a sign", "kind: !!int +", "'+' is no int"),
    ("no float", "kind: !!float ''", "'' is no float"),
    ("no truth", "kind: !!bool foo", "'foo' is no bool"),
    ("no time", "kind: !!timestamp foo", "'foo' is no timestamp"),
    ("no date", "kind: 2024-13-45", "'2024-13-45' is no timestamp"),
    ("no mapping", "kind: !!map foo", "expected a mapping"),
    ("list as mapping", "kind: !!map [a, b]", "expected a mapping"),
    ("hexadecimal", f"kind: 0x{'f' * 4000}", "is a number of more than 200 characters"),
    ("digits", f"kind: {'9' * 9000}", "is a number of more than 200 characters"),
    ("bits", f"kind: {'9' * 100}", "is a number of more than 64 bits"),
    ("itself", "spec: &s {model: *s}", "line 1, column 18: 's' stands inside itself"),
    ("itself in a list", "spec: &s [*s]", "'s' stands inside itself"),
    ("itself merged", "spec: &s {<<: *s}", "'s' stands inside itself"),
    ("many values", "- a\n" * 200_000, "more than 20000 values"),
    ("many documents", "---\n" * 110_000, "more than 100000 values in all; split the file"),
    ("base 60", f"kind: 1{':1' * 500_000}", "'1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:…' is a number of more than 200"),
    ("base 60 with a point", f"kind: 1{':1' * 400_000}.5", "is a number of more than 200 characters"),
    ("long tag", f"kind: !{'a' * 900_000} 1", "could not determine a constructor for the tag '!aaaa"),
    ("long alias", f"kind: *{'a' * 900_000}", "found undefined alias 'aaaa"),
    ("long key twice", f'? "{"k" * 400_000}"\n: 1\n? "{"k" * 400_000}"\n: 2\n', "kkkk…' stands twice"),
    ("half a character", GOOD.replace("an-audit", '"\\ud800"'), "'\\ud800' holds half a character"),
    ("half a character as key", '"a\\udc00": 1', "holds half a character"),
    ("large", "#" * (1 << 20) + "\n", "audit.yaml has more than 1.0 MiB"),
    ("deep", "a: " + "[" * 200 + "]" * 200, "nested too deeply"),
    ("deep by aliases", "\n".join(f"- &a{n} [[[[*a{n - 1}]]]]" if n else "- &a0 [x]" for n in range(60)), "too deeply"),
]


def bomb(link: str = "[{}]", levels: int = 9, start: str = "[x]") -> str:
    """Lists of nine aliases of lists of nine aliases."""
    lines = [f"l0: &l0 {start}"]
    lines += [f"l{n}: &l{n} {link.format(', '.join([f'*l{n - 1}'] * 9))}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "unknown keys": bomb(),
    "apiVersion": bomb() + "apiVersion: *l8\n",
    "spec": bomb() + GOOD.replace("spec:", "was:") + "spec: *l8\n",
    "keys": bomb() + "? *l8\n: 1\n",
    "merged": bomb("{{<<: [{}]}}", start="{a: 1}"),
}


@pytest.mark.parametrize("command", ["validate", "run", "plan"])
@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_stands_for_billions_of_values_is_refused_at_once(
    tmp_path: Path, command: str, content: str
) -> None:
    """In a process of its own: what hangs here is killed."""
    words = [sys.executable, "-m", "assay_runner", command, "-f", write(tmp_path, content)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 64, ended.stderr
    assert "more than 20000 values, with aliases counted" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_aliases_and_merges_of_an_ordinary_size_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merged = GOOD.replace("  - backend:", "  - &one\n    backend:").replace(
        "  checks:", "  - {<<: *one, name: another}\n  checks:"
    )
    assert "*one" in merged
    ended = assay(capsys, "validate", "-f", write(tmp_path, merged))
    assert (ended.code, ended.out) == (0, "an-audit: ok\n")


def test_what_is_quoted_is_quoted_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = GOOD.replace("kind: AccuracyAudit", f"kind: {'x' * 5000}").replace("an-audit", "A" * 5000)
    ended = assay(capsys, "validate", "-f", write(tmp_path, content))
    assert ended.code == 64
    assert max(len(line) for line in ended.out.splitlines()) < 300


@pytest.mark.parametrize("key", ["k" * 400_000, "k " * 400_000, "k\n" * 100_000], ids=["word", "words", "lines"])
def test_a_long_key_is_quoted_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    more = f"? {json.dumps(key)}\n: 1\n"
    for content in (GOOD + more, GOOD.replace("- finite: {}", f"- ? {json.dumps(key)}\n    : {{}}")):
        ended = assay(capsys, "validate", "-f", write(tmp_path, content))
        assert ended.code == 64
        assert 0 < len(ended.out) < 2000
    assert "spec.checks" in ended.out


def test_values_are_counted_by_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [GOOD.replace("an-audit", f"a{number}") for number in range(1000)]
    ended = assay(capsys, "validate", "-f", write(tmp_path, "---\n".join(many)))
    assert (ended.code, ended.out) == (0, "".join(f"a{number}: ok\n" for number in range(1000)))


def test_a_character_in_two_halves_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.dumps(document(spec(), metadata={"name": "an-audit", "annotations": {"mood": "\U0001f600"}}))
    assert "\\ud83d\\ude00" in content
    assert assay(capsys, "validate", "-f", write(tmp_path, content)).code == 0


def test_a_name_that_cannot_be_printed_is_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, GOOD.replace("an-audit", '"a\\nb: ok"')))
    assert (ended.code, ended.out.count("\n")) == (64, 1)
    assert ended.out.startswith("document 1: line 4: metadata.name: ")


@pytest.mark.parametrize("command", ["validate", "run", "plan"])
@pytest.mark.parametrize(("content", "sentence"), [(c, s) for _, c, s in BAD_FILES], ids=[n for n, _, _ in BAD_FILES])
def test_what_is_no_yaml_is_named_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: str, sentence: str
) -> None:
    ended = assay(capsys, command, "-f", write(tmp_path, content))
    assert ended.code == 64
    assert len(ended.complaints) == 1
    assert sentence in ended.complaints[0]
    assert len(ended.complaints[0]) < 300 + len(str(tmp_path))
    assert "Traceback" not in ended.err
