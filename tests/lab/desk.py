"""What a person at a shell needs of the cluster that was left running: its images, its programs, its addresses."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.lab import images, toolchain
from tests.lab.cluster import ROOT, Cluster
from tests.lab.processes import run

__all__ = ["archive", "exports", "load", "programs", "record", "versions"]

HERE = "127.0.0.1"
BUILT = ROOT / "build" / "images"


def archive(tag: str) -> Path:
    """Return where the last image that this tree built under a name lies; the cache keeps what it leads to."""
    return BUILT / f"{tag.rpartition('/')[2].replace(':', '-')}.tar"


def record(tag: str, built: Path) -> None:
    """Remember what was built under a name."""
    link = archive(tag)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(built)


def load(cluster: Cluster) -> list[str]:
    """Load the images that this tree built into the cluster and return their names."""
    there = [tag for tag in images.OURS if archive(tag).exists()]
    for tag in there:
        cluster.load_image(archive(tag))
    return there


def programs(cluster: Cluster) -> Path:
    """Return a folder with kubectl and helm as the cluster wants them, and this tree's `assay`; it goes with it."""
    folder = cluster.folder / "bin"
    folder.mkdir(exist_ok=True)
    found = {
        "kubectl": toolchain.kubernetes() / "kubectl",
        "helm": toolchain.helm(),
        "assay": ROOT / ".venv" / "bin" / "assay",
    }
    for name, program in found.items():
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return folder


def versions(folder: Path) -> str:
    """Name kubectl and helm of a folder and their versions in a few words."""
    kubectl = run([folder / "kubectl", "version", "--client"]).splitlines()[0].rpartition(" ")[2]
    # Built from its module, helm itself knows only the first two numbers.
    return f"kubectl {kubectl} and helm {toolchain.MODULES['helm'][0].rpartition('@')[2]}"


def exports(cluster: Cluster) -> str:
    """Return what a shell evaluates to work with the cluster: its kubeconfig, its programs, its S3 server.

    What else could open an S3 server is taken away: it would go before the keys, or along with them.
    """
    access = cluster.s3
    set_to = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "AWS_ENDPOINT_URL_S3": access.endpoint,
        "AWS_ACCESS_KEY_ID": access.access_key,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_REGION": access.region,
        "S3_FROM_PODS": cluster.s3_inside.endpoint,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in set_to.items()]
    # Whatever leads out of here by a proxy does not lead to what listens here.
    lines += [f'export NO_PROXY="{HERE},${{no_proxy:-${{NO_PROXY:-}}}}"', 'export no_proxy="$NO_PROXY"']
    lines += [f'export PATH={shlex.quote(str(programs(cluster)))}:"$PATH"', "unset AWS_PROFILE AWS_SESSION_TOKEN"]
    return "\n".join(lines)
