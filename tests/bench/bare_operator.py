"""The least that a kopf operator can do with an audit: one `on.event` handler, one Job created, one status patched.

The Job is smaller than Assay's, nothing is planned, watched, retried or elected: the ratio to this is what all that
costs.

    KUBECONFIG=… python -m tests.bench.bare_operator
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import kopf

from assay_api import names


def job(body: kopf.Body) -> dict[str, Any]:
    """A Job of one container."""
    container = {"name": "task", "image": "localhost/none", "command": ["true"]}
    owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": body["metadata"]["name"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{body['metadata']['name']}-job",
            "labels": {names.LABEL_MANAGED: "true", names.LABEL_AUDIT: body["metadata"]["name"]},
            "ownerReferences": [{**owner, "uid": body["metadata"]["uid"], "controller": True}],
        },
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def connect(config: dict[str, Any]) -> aiohttp.ClientSession:
    """A session of its own for writing, to the kubeconfig's only cluster."""
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    return aiohttp.ClientSession(
        base_url=config["clusters"][0]["cluster"]["server"],
        headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority)),
    )


def handlers(session: aiohttp.ClientSession) -> kopf.OperatorRegistry:
    """The one handler, writing over `session`."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def audit(body: kopf.Body, event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED" or body["status"].get("phase"):
            return
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        async with session.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", json=job(body)) as answer:
            answer.raise_for_status()
            await answer.read()
        path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}/{name}/status"
        status = {"status": {"phase": str(names.Phase.RUNNING)}}
        merge = {"Content-Type": "application/merge-patch+json"}
        async with session.patch(path, data=json.dumps(status), headers=merge) as answer:
            answer.raise_for_status()
            await answer.read()

    return registry


async def run() -> None:
    """Watch all namespaces until told to stop."""
    async with connect(json.loads(Path(os.environ["KUBECONFIG"]).read_text())) as session:
        await kopf.operator(registry=handlers(session), clusterwide=True, standalone=True)


def main() -> None:
    """Run the operator."""
    kopf.configure(verbose=False, quiet=True)
    asyncio.run(run())


if __name__ == "__main__":
    main()
