"""What the operator is told by its environment, read once and never changed."""

from __future__ import annotations

import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from assay_api.model import parse, problems
from assay_api.target import PodSettings

T = TypeVar("T", int, float)

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
PULL_POLICIES = ("IfNotPresent", "Always", "Never")
LOG_LEVELS = ("debug", "info", "warning", "error")
NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and what it takes."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs from one installation to the next."""

    runner_image: str
    """Image of the task Pods, for audits that name none."""
    runner_pull_policy: str = "IfNotPresent"
    """IfNotPresent, Always or Never."""
    runner_service_account: str | None = None
    """ServiceAccount of the task Pods, for audits that name none; None: the namespace's default."""
    pods: PodSettings = field(default_factory=PodSettings)
    """What task Pods look like, for audits that do not say."""
    screening_priority_class: str | None = None
    """PriorityClass of the Pods that screen nodes, of screenings that name none; None: the cluster's default."""
    node_conditions: bool = False
    """Whether a screening writes what it found into a condition of each node."""
    audits_per_namespace: int = 0
    """Audits that are done and stay in each namespace, the newest; 0: all."""
    tasks_at_once: int = 0
    """Tasks of all audits that run at once; 0: as many as there are."""
    tasks_at_once_per_namespace: int = 0
    """The same in each namespace."""
    storage_retry_seconds: float | None = None
    """How long task Pods wait for storage that does not answer; None: the runner's own default."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; empty: all."""
    gpu_hour_prices: Mapping[str, float] = field(default_factory=dict)
    """What an hour of one GPU costs, by product, for metrics; `default` is of every product that is not named."""
    resync_seconds: float = 300.0
    """How often everything is listed anew, to heal what a watch may have missed."""
    progress_seconds: float = 15.0
    """How often running tasks are asked for their progress."""
    workers: int = 16
    """Audits reconciled at once."""
    metrics_port: int = 8080
    """Port of /metrics; 0: an unused one."""
    probe_port: int = 8081
    """Port of /livez and /readyz; 0: an unused one."""
    lease_name: str = "assay-operator"
    """Name of the Lease that makes one replica the leader."""
    lease_namespace: str = "default"
    """Its namespace."""
    lease_seconds: int = 15
    """A Lease not renewed for so long may be taken over."""
    renew_seconds: float = 10.0
    """A leader that could not renew for so long writes nothing until it could."""
    retry_seconds: float = 2.0
    """Pause between two renewals of the Lease; a standby looks twice as often."""
    identity: str = "assay-operator"
    """Name of this replica in the Lease."""
    log_format: Literal["text", "json"] = "text"
    """text for people, json for collectors."""
    log_level: str = "info"
    """debug, info, warning or error."""


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: a variable is missing or has a value it cannot have.
    """
    image = env.get("ASSAY_RUNNER_IMAGE", "").strip()
    if not image:
        raise SettingsError("ASSAY_RUNNER_IMAGE is not set: give it the runner image that tasks use by default.")
    settings = Settings(
        runner_image=image,
        runner_pull_policy=_choice(env, "ASSAY_RUNNER_PULL_POLICY", PULL_POLICIES, "IfNotPresent"),
        runner_service_account=env.get("ASSAY_RUNNER_SERVICE_ACCOUNT", "").strip() or None,
        pods=_pods(env.get("ASSAY_TASK_PODS", "")),
        screening_priority_class=env.get("ASSAY_SCREENING_PRIORITY_CLASS", "").strip() or None,
        node_conditions=_choice(env, "ASSAY_NODE_CONDITIONS", ("true", "false"), "false") == "true",
        audits_per_namespace=_number(env, "ASSAY_AUDITS_PER_NAMESPACE", int, 0, least=0),
        tasks_at_once=_number(env, "ASSAY_TASKS_AT_ONCE", int, 0, least=0),
        tasks_at_once_per_namespace=_number(env, "ASSAY_TASKS_AT_ONCE_PER_NAMESPACE", int, 0, least=0),
        storage_retry_seconds=_optional(env, "ASSAY_STORAGE_RETRY_SECONDS", least=0.0),
        namespaces=_namespaces(env.get("ASSAY_NAMESPACES", "")),
        gpu_hour_prices=_prices(env.get("ASSAY_GPU_HOUR_PRICES", "")),
        resync_seconds=_number(env, "ASSAY_RESYNC_SECONDS", float, 300.0, least=1.0),
        progress_seconds=_number(env, "ASSAY_PROGRESS_SECONDS", float, 15.0, least=0.1),
        workers=_number(env, "ASSAY_WORKERS", int, 16, least=1),
        metrics_port=_number(env, "ASSAY_METRICS_PORT", int, 8080, least=0),
        probe_port=_number(env, "ASSAY_PROBE_PORT", int, 8081, least=0),
        lease_name=env.get("ASSAY_LEASE_NAME", "").strip() or "assay-operator",
        lease_namespace=env.get("ASSAY_LEASE_NAMESPACE", "").strip() or _own_namespace(env),
        lease_seconds=_number(env, "ASSAY_LEASE_SECONDS", int, 15, least=1),
        renew_seconds=_number(env, "ASSAY_RENEW_SECONDS", float, 10.0, least=1.0),
        retry_seconds=_number(env, "ASSAY_LEASE_RETRY_SECONDS", float, 2.0, least=1.0),
        identity=f"{env.get('POD_NAME', '').strip() or socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        log_format="json" if _choice(env, "ASSAY_LOG_FORMAT", ("text", "json"), "text") == "json" else "text",
        log_level=_choice(env, "ASSAY_LOG_LEVEL", LOG_LEVELS, "info"),
    )
    if not settings.lease_seconds > settings.renew_seconds > 1.2 * settings.retry_seconds:
        raise SettingsError(
            "ASSAY_LEASE_SECONDS must exceed ASSAY_RENEW_SECONDS, and that 1.2 times ASSAY_LEASE_RETRY_SECONDS; "
            f"got {settings.lease_seconds:g}, {settings.renew_seconds:g}, {settings.retry_seconds:g}."
        )
    return settings


def _pods(text: str) -> PodSettings:
    try:
        given = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise SettingsError(f"ASSAY_TASK_PODS takes JSON, as the fields of spec.target; {error}.") from error
    try:
        return parse(PodSettings, given)
    except ValidationError as error:
        raise SettingsError(f"ASSAY_TASK_PODS: {'; '.join(problems(error))}.") from error


def _prices(text: str) -> dict[str, float]:
    try:
        given = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise SettingsError(f"ASSAY_GPU_HOUR_PRICES takes JSON of prices by GPU product; {error}.") from error
    if not isinstance(given, dict):
        raise SettingsError('ASSAY_GPU_HOUR_PRICES takes prices by GPU product, such as {"default": 2.5}.')
    for product, price in given.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < float("inf"):
            raise SettingsError(f"ASSAY_GPU_HOUR_PRICES: {product} takes a price of 0 or more; got {price!r}.")
    return {product: float(price) for product, price in given.items()}


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if not NAMESPACE.match(name):
            raise SettingsError(f"ASSAY_NAMESPACES takes namespaces separated by commas; {name!r} cannot be one.")
    return names


def _own_namespace(env: Mapping[str, str]) -> str:
    if name := env.get("POD_NAMESPACE", "").strip():
        return name
    if SERVICE_ACCOUNT_NAMESPACE.exists():
        return SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    return "default"


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = env.get(name, "").strip() or default
    if value not in choices:
        raise SettingsError(f"{name} takes one of {', '.join(choices)}; got {value!r}.")
    return value


def _optional(env: Mapping[str, str], name: str, *, least: float) -> float | None:
    return _number(env, name, float, least, least=least) if env.get(name, "").strip() else None


def _number(env: Mapping[str, str], name: str, kind: Callable[[str], T], default: T, *, least: T) -> T:
    text = env.get(name, "").strip()
    try:
        value = kind(text) if text else default
    except ValueError as error:
        raise SettingsError(f"{name} takes a number; got {text!r}.") from error
    if not value >= least:
        raise SettingsError(f"{name} takes {least:g} or more; got {text}.")
    return value
