"""The verdicts fit 80 columns, survive a pipe and a plain encoding, and let no name steer the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from assay_api.report import Finding, Report, Verdict
from assay_runner.report import print_verdicts, render_html
from assay_runner.report.figures import METRICS
from assay_runner.report.plain_words import plainly, short
from tests.unit.report import engines, samples
from tests.unit.report.test_page import HOSTILE, hostile

Build = Callable[[], Report]


def printed(report: Report, *, width: int = 80, terminal: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="", write_through=True) as stream:
        colours: Literal["truecolor", "auto"] = "truecolor" if terminal else "auto"
        print_verdicts(report, Console(file=stream, width=width, force_terminal=terminal, color_system=colours))
        return raw.getvalue().decode(encoding)


def test_table_names_figure_limit_accuracy_and_latency() -> None:
    lines = [" ".join(line.split()) for line in printed(samples.failed()).splitlines()]
    assert "fp16 ✔ Passed 97.50 % top1 97.50 % (≥ 96.53 %) 0.412 ms" in lines
    assert "int8 ✘ Failed 96.11 % max error 0.3127 (≤ 0.05) logits 0.207 ms" in lines


def test_sentences_then_verdict_then_recommendation() -> None:
    text = printed(samples.failed())
    places = [text.index(part) for part in ("logits: largest absolute error", "bn2.out (Batch", "✘ Failed. ", "Recomm")]
    assert places == sorted(places)
    assert "finite in all" not in text, "what passed is not told"


@pytest.mark.parametrize("build", [samples.passed, samples.failed, samples.inconclusive, samples.emulated])
def test_fits_eighty_columns(build: Build) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed(build(), terminal=True))
    assert max(cell_len(line.rstrip()) for line in plain.splitlines()) <= 80


@pytest.mark.parametrize("width", [20, 30, 40, 60, 79, 80, 120])
@pytest.mark.parametrize(
    "build", [samples.passed, samples.failed, samples.inconclusive, samples.emulated, engines.crowd]
)
def test_a_narrow_terminal_crops_nothing(build: Build, width: int) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed(build(), width=width, terminal=True))
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width
    wide = printed(build(), width=200)
    words = [word for word in wide.split() if "─" not in word and word not in ("Candidate", "Verdict")]
    flat = "".join(text.split())
    assert not [word for word in words if word not in flat]


def test_forty_columns_show_whole_figures() -> None:
    lines = [line.strip() for line in printed(samples.failed(), width=40, terminal=True).splitlines()]
    assert "Worst figure max error 0.3127 (≤ 0.05)" in lines
    assert "Latency      0.207 ms" in lines


@pytest.mark.parametrize("width", [40, 80])
def test_a_figure_that_decides_nothing_says_so(width: int) -> None:
    candidate, found = samples.fp16()
    unsure = found[2].model_copy(update={"verdict": Verdict.INCONCLUSIVE})
    judged = candidate.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
    text = printed(samples.report((judged, [*found[:2], unsure])), width=width)
    assert "(≥ 96.53 %), not" in " ".join(text.split())
    assert "decided" in text
    assert "decided" not in printed(samples.failed(), width=width)


@pytest.mark.parametrize("width", [80, 120])
def test_twelve_candidates_are_a_line_each(width: int) -> None:
    lines = [" ".join(line.split()) for line in printed(engines.crowd(), width=width, terminal=True).splitlines()]
    for name, _, ms, top1 in engines.CROWD:
        figures = f"{name} ✔ Passed {top1 * 100:.2f} % top1 {top1 * 100:.2f} % (≥ 96.53 %) {ms:.4f} ms"
        assert figures in [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_long_names_give_way_and_figures_keep_their_units(width: int) -> None:
    report = engines.crowd()
    named = [c.model_copy(update={"name": f"digits-vit-{c.name}@NVIDIA-H200-141GB"}) for c in report.candidates]
    findings = [
        f.model_copy(update={"candidate": f"digits-vit-{f.candidate}@NVIDIA-H200-141GB"}) for f in report.findings
    ]
    text = printed(report.model_copy(update={"candidates": tuple(named), "findings": tuple(findings)}), width=width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[1].endswith("Worst figure Latency")
    for _, _, ms, top1 in engines.CROWD:
        assert any(line.endswith(f"top1 {top1 * 100:.2f} % (≥ 96.53 %) {ms:.4f} ms") for line in lines)


def test_what_passed_with_a_remark_is_told() -> None:
    text = printed(engines.crowd())
    assert "✔ fp8-mse: fp8 was asked for, and only 1 of 10 layers that compute ran in it: 9 FP32, 1 FP8" in text
    assert text.index("fp8 was asked for") < text.index("✔ Passed. All 12")


def test_a_very_long_name_is_shortened() -> None:
    text = printed(hostile("n" * 5_000), width=10_000)
    assert "n" * 80 in text
    assert "…" in text
    assert text.count("n" * 5_000) <= 4, "only names of candidates, which the API bounds, are whole"


def test_piped_output_has_no_colour_and_whole_sentences() -> None:
    text = printed(samples.failed())
    assert "\x1b" not in text
    sentence = samples.int8()[1][1].message
    assert f"✘ int8: {sentence}" in text.splitlines()


def test_terminal_has_colour() -> None:
    assert "\x1b[1;31m" in printed(samples.failed(), terminal=True)


def test_plain_encoding_loses_symbols_not_words() -> None:
    text = printed(samples.failed(), encoding="ascii")
    assert "x Failed" in text
    assert "max error 0.3127 (<= 0.05)" in " ".join(text.split())


def test_unmeasured_says_so_once() -> None:
    text = printed(samples.inconclusive())
    assert text.count("No GPU here") == 1
    assert "? Inconclusive. The candidate could not be judged." in text


def test_emulation_is_said() -> None:
    assert "Emulated on CPU" in printed(samples.emulated())
    assert "Emulated" not in printed(samples.failed())


def test_many_findings_are_counted() -> None:
    candidate, found = samples.int8()
    messages = (f"{found[0].message} ({number})" for number in range(50))
    many = [found[0].model_copy(update={"message": message}) for message in messages]
    text = printed(samples.report((candidate, many)))
    assert text.count("logits: largest") == 20
    assert "and 30 more findings" in text


def test_what_holds_for_several_findings_is_said_once() -> None:
    candidate, found = samples.int8()
    reason = "tensors inside the control flow of node 'loop' (Loop) cannot be shown"
    told = [
        Finding(candidate=name, check=check, verdict=Verdict.INCONCLUSIVE, message=reason)
        for name in ("int8", "fp16")
        for check in ("finite", "layerDrift")
    ]
    other = candidate.model_copy(update={"name": "fp16"})
    report = samples.report((candidate, [found[0], *told[:2]]), (other, told[2:]))
    text = printed(report)
    assert text.count(reason) == 1
    assert f"? int8, fp16: {reason}" in text.splitlines()
    assert f"✘ int8: {found[0].message}" in text.splitlines()
    page = render_html(report).decode()
    items = page[page.index('id="findings"') :].split('<li class="finding')[1:3]
    assert sum("cannot be shown" in item for item in items) == 1
    assert items[1].count("<code>finite</code>") == 2


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_name_steers_the_terminal(name: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", printed(hostile(name)))


def test_markup_in_names_is_text() -> None:
    text = printed(hostile("[red]x[/red][/]"))
    assert "[red]x[/red][/]" in text
    assert "\\u001b[31m" in printed(hostile(HOSTILE), width=400)


def test_keys_of_metrics_are_words_and_what_is_to_be_written_is_not() -> None:
    assert plainly("top1 10.66 % against golden's keeps 10 %") == "top-1 10.66 % against golden's keeps 10 %"
    assert plainly("output 'snr': snr 3 dB, maxAbs 0.2; set outputDrift.snr, `maxAbs`, or snr: 10") == (
        "output 'snr': SNR 3 dB, max error 0.2; set outputDrift.snr, `maxAbs`, or snr: 10"
    )
    for metric in METRICS:
        assert re.fullmatch(r"[^_]*", short(metric))
        assert not re.search(r"[a-z][A-Z]", short(metric).replace("NaN", "")), f"{metric} has no words"


@pytest.mark.parametrize("build", [samples.passed, samples.failed, samples.inconclusive, samples.emulated])
def test_no_key_is_printed_where_words_will_do(build: Build) -> None:
    keys = [key for key in METRICS if re.search(r"[a-z][A-Z]", key)]
    assert not [key for key in keys if re.search(rf"(?<![\w.'`]){key}(?![\w:'`])", printed(build()))]
    failed = build() is not None and "golden" in " ".join(f.message for f in build().findings if f.verdict != "Passed")
    assert ("golden: the model's own outputs" in printed(build(), width=200)) == failed


def test_every_metric_has_its_word_beside_its_key_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "words.md").read_text()
    for metric in METRICS:
        assert f"| `{metric}` | {short(metric)} |" in page
