"""An audit as the user's own kubectl shows it: their context, their rights, their way to log in.

The runner has no Kubernetes client, and needs none for one read or one annotation. What kubectl says in English for the
eyes becomes one sentence that names the way out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from assay_api.names import GROUP, LABEL_SWEEP, PLURAL, SCREENING_PLURAL, SWEEP_PLURAL, label_value
from assay_runner.errors import AuditError, InvalidInput, Unavailable

SECONDS: Final = 60
_PLURALS: Final = {"audit": PLURAL, "sweep": SWEEP_PLURAL, "screening": SCREENING_PLURAL}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Place:
    """Where an audit is.

    Attributes:
        name: its name.
        namespace: its namespace; None for the one of the context.
        context: context of the kubeconfig; None for the current one.
        word: what it is, as kubectl calls one.
    """

    name: str
    namespace: str | None = None
    context: str | None = None
    word: str = "audit"

    def __str__(self) -> str:
        """As a sentence names it."""
        return f"{self.word} {self.name}{f' in namespace {self.namespace}' if self.namespace else ''}"

    @property
    def options(self) -> list[str]:
        """Options of kubectl that lead to it."""
        of_namespace = [f"--namespace={self.namespace}"] if self.namespace else []
        return of_namespace + ([f"--context={self.context}"] if self.context else [])


def read_object(place: Place) -> dict[str, Any]:
    """An audit or a sweep alone, as the API server has it.

    Raises:
        InvalidInput: there is no such object, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    return _parsed(place, asked(place, f"{_PLURALS[place.word]}.{GROUP}", place.name), "metadata")


def read_sweep(place: Place) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A sweep and its audits as the API server has them.

    Raises:
        InvalidInput: there is no such sweep, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    sweep = read_object(place)
    audits = asked(place, f"{PLURAL}.{GROUP}", f"--selector={LABEL_SWEEP}={label_value(place.name)}")
    items = _parsed(place, audits, "items")["items"]
    return sweep, [item for item in items if isinstance(item, dict)]


def asked(place: Place, *what: str) -> bytes:
    """What `kubectl get` prints as JSON.

    Raises:
        InvalidInput: there is no such object, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    for which, text in (
        (f"a{'n' if place.word[0] == 'a' else ''} {place.word}", place.name),
        ("a namespace", place.namespace),
    ):
        if text is not None and not _NAME.fullmatch(text):
            raise InvalidInput(f"{text!r} is no name of {which}: use lower-case letters, digits, dashes and dots")
    return _said(place, "read", "get", *what, "--output=json")


def annotate(place: Place, key: str, value: str) -> None:
    """Give an object an annotation, in place of one of that name.

    Raises:
        InvalidInput: there is no such object, or the user may not change it.
        Unavailable: kubectl or the cluster is not there.
    """
    plural = f"{_PLURALS[place.word]}.{GROUP}"
    _said(place, "change", "annotate", plural, place.name, "--overwrite", f"{key}={value}")


def whoami(place: Place) -> str | None:
    """The user that the cluster takes the kubeconfig's for; None where it does not tell."""
    try:
        told = _said(place, "read", "auth", "whoami", "--output=jsonpath={.status.userInfo.username}")
    except AuditError:
        return None
    return told.decode("utf-8", "replace").strip() or None


def _said(place: Place, verb: str, *words: str) -> bytes:
    """What kubectl prints; `verb` says what is done with the object, for sentences."""
    try:
        done = subprocess.run(
            ["kubectl", *words, f"--request-timeout={SECONDS // 2}s", *place.options],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except FileNotFoundError:
        raise Unavailable(
            f"kubectl is not on the PATH, and it is needed to {verb} {place}: install it"
            + (
                ", or fetch the report.html that stands in the audit's status.report.page"
                if place.word == "audit"
                else ""
            )
        ) from None
    except PermissionError:
        raise Unavailable("kubectl on the PATH cannot be executed: correct its permissions") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"kubectl did not {verb} {place} within {SECONDS} s: check the cluster, then try again"
        ) from None
    if done.returncode:
        raise _failure(place, done.stderr.decode("utf-8", "replace"), verb)
    return done.stdout


def _parsed(place: Place, content: bytes, part: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get(part), dict | list):
        raise Unavailable(f"kubectl did not print {place} as JSON: check that `kubectl` is kubectl")
    return found


def _failure(place: Place, told: str, verb: str = "read") -> AuditError:
    """Whose move it is, by what kubectl said."""
    where = f" of context {place.context}" if place.context else ""
    if "doesn't have a resource type" in told or "could not find the requested resource" in told:
        return InvalidInput(
            f"the cluster{where} does not know {place.word}s: choose the cluster that Assay is installed in (--context)"
        )
    if "(NotFound)" in told:
        return InvalidInput(
            f"{place} does not exist: see `kubectl get {place.word}s --all-namespaces` and give -n NAMESPACE"
        )
    if "(Forbidden)" in told:
        return InvalidInput(
            f"the cluster{where} does not allow you to {verb} {place}: ask for "
            f"`{'get' if verb == 'read' else 'patch'}` on {_PLURALS[place.word]}.{GROUP}"
        )
    if "(Unauthorized)" in told or "must be logged in" in told:
        return InvalidInput(f"the cluster{where} does not accept the credentials of your kubeconfig: log in again")
    if place.context and "context" in told and ("does not exist" in told or "was not found" in told):
        return InvalidInput(f"context {place.context} is not in your kubeconfig: see `kubectl config get-contexts`")
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    # The last line is kubectl's own verdict; those before it are its client's log.
    last = lines[-1][:200] if lines else "it said nothing"
    return Unavailable(f"kubectl could not {verb} {place} ({last}): check the cluster and your kubeconfig")
