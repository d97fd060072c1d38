"""`python -m tests.lab cluster | down | image | prepare`: the lab from the command line.

`cluster` leaves a one-node cluster running and prints its kubeconfig's path as the last line, `down` stops it, `image`
builds both images and prints where their archives lie, `prepare` only builds and installs what the lab runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.lab import LabError, Unavailable, cache_dir, images, say, toolchain
from tests.lab.cluster import Cluster

UNAVAILABLE = 69
FAILED = 70


def link() -> Path:
    """Return where the path of the one cluster that was left running is kept."""
    return cache_dir("run") / "cluster"


def running() -> Cluster | None:
    """Return the cluster that an earlier call left running."""
    return Cluster.attach(link())


def cluster() -> None:
    """Leave a cluster running, the one there is or a new one."""
    with toolchain.locked("cluster"):
        found = running()
        if not found:
            found = Cluster(detached=True).start()
            link().unlink(missing_ok=True)
            link().symlink_to(found.folder)
    say(f"S3 from here {found.s3.endpoint}, from pods {found.s3_inside.endpoint}; keys and logs in {found.folder}")
    say("Stop it with: make down")
    print(found.kubeconfig)


def down() -> None:
    """Stop the cluster that was left running, if any."""
    found = running()
    if found:
        found.stop()
    link().unlink(missing_ok=True)
    say("The cluster is stopped." if found else "No cluster was running.")


def image() -> None:
    """Build the operator's and the runner's image."""
    for name, dockerfile in images.OURS.items():
        print(f"{name} {images.build(Path(dockerfile), name)}")


COMMANDS = {"cluster": cluster, "down": down, "image": image, "prepare": toolchain.prepare}


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args(arguments).command]()
    except Unavailable as error:
        say(str(error))
        return UNAVAILABLE
    except LabError as error:
        say(str(error))
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
