"""Results in the Common Test Report Format, JSON that CI tools read as they read JUnit: <https://ctrf.io>.

What could not be judged is `failed` there, as an `error` of JUnit is by the format's own converters: `other` is counted
by no gate. Which of the two it was stands in `rawStatus`.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from typing import Any, Final

from assay_runner.report.suites import Case, Results, Suite
from assay_runner.report.wording import one_line, visible

SPEC_VERSION: Final = "0.0.0"
STATUS: Final = {"passed": "passed", "failure": "failed", "error": "failed", "skipped": "skipped"}
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://assay.dev/ctrf")


def render_ctrf(results: Results) -> bytes:
    """The results as CTRF, JSON in UTF-8: nothing is `failed` only where every case passed or was left out."""
    tests = [_test(results, suite, case) for suite in results.suites for case in suite.cases]
    taken = sum(test["duration"] for test in tests)
    stop = _milliseconds(results.created)
    counts = {status: sum(test["status"] == status for test in tests) for status in ("passed", "failed", "skipped")}
    tool = {"name": "assay"} | ({"version": results.version} if results.version else {})
    told: dict[str, Any] = {
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        "reportId": str(uuid.uuid5(_NAMESPACE, f"{results.of}\n{results.identity}\n{results.created}")),
        "generatedBy": "assay",
        "results": {
            "tool": tool,
            "summary": {
                "tests": len(tests), **counts, "pending": 0, "other": 0, "suites": len(results.suites),
                "start": stop - taken, "stop": stop, "duration": taken,
            },
            "tests": tests,
            "extra": {"of": one_line(results.of), "suites": [_facts(suite) for suite in results.suites]},
        },
    }  # fmt: skip
    if stop:
        told["timestamp"] = datetime.fromtimestamp(stop / 1000, timezone.utc).isoformat().replace("+00:00", "Z")
    return json.dumps(told, ensure_ascii=False, indent=1).encode()


def _test(results: Results, suite: Suite, case: Case) -> dict[str, Any]:
    """One case; its name is told from the names of others by its suite."""
    name, of, suite_name = (one_line(text) or "-" for text in (case.name, results.of, suite.name))
    test: dict[str, Any] = {
        "testId": str(uuid.uuid5(_NAMESPACE, f"{of}\n{suite_name}\n{name}")),
        "name": f"{suite_name}: {name}",
        "status": STATUS[case.outcome],
        "duration": round(case.seconds * 1000),
        "suite": [of, suite_name],
        "rawStatus": _raw(case),
    }
    if case.outcome == "passed":
        return test | ({"stdout": visible(case.text).splitlines()} if case.text else {})
    return test | {"message": one_line(case.message)} | ({"trace": visible(case.text)} if case.text else {})


def _raw(case: Case) -> str:
    if case.outcome == "passed":
        return "Passed"
    return one_line(case.kind.rpartition(".")[2]) or "Left"


def _facts(suite: Suite) -> dict[str, Any]:
    told = {"name": one_line(suite.name), "properties": {key: one_line(value) for key, value in suite.properties}}
    return told | ({"notes": visible(suite.out)} if suite.out else {})


def _milliseconds(when: str) -> int:
    """Milliseconds since 1970 of a time in RFC 3339; 0 where it is none."""
    try:
        parsed = datetime.fromisoformat(when.replace("Z", "+00:00"))
    except ValueError:
        return 0
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp() * 1000)
