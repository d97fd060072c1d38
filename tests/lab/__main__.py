"""`python -m tests.lab cluster | env | down | image | prepare | stage DIR`: the lab from the command line.

`cluster` leaves a one-node cluster running, loads what `image` built, and prints its kubeconfig's path as the last
line; `env` prints what a shell evaluates to work with it; `down` stops it. `image` builds both images, prints where
their archives lie, and loads them into the cluster that runs. `prepare` only builds and installs what the lab runs,
`stage` packs all of it into a folder for a machine without network.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.lab import LabError, Unavailable, cache_dir, desk, images, judging, provenance, say, staging, step, toolchain
from tests.lab.cluster import Cluster
from tools.provenance import ProvenanceError, now, written

UNAVAILABLE = 69
FAILED = 70


def link() -> Path:
    """Return where the path of the one cluster that was left running is kept."""
    return cache_dir("run") / "cluster"


def running() -> Cluster | None:
    """Return the cluster that an earlier call left running."""
    return Cluster.attach(link())


def cluster() -> None:
    """Leave a cluster running, the one there is or a new one, with the images that this tree built."""
    with toolchain.locked("cluster"):
        found = running()
        if not found:
            with step("starting a one-node cluster"):
                found = Cluster(detached=True).start()
            link().unlink(missing_ok=True)
            link().symlink_to(found.folder)
    programs = desk.programs(found)
    loaded = ", ".join(desk.load(found))
    say(f"{desk.versions(programs)} are in {programs}")
    say(f"S3 from here {found.s3.endpoint}, from pods {found.s3_inside.endpoint}; logs in {found.folder}")
    say(f"images: {loaded}" if loaded else "images: none of ours yet; build and load them with: make image")
    say('Take all of this into your shell with: eval "$(make env)"')
    say("Stop it with: make down")
    print(found.kubeconfig)


def env() -> None:
    """Print what a shell evaluates to work with the cluster; what fails there too, where none runs."""
    found = running()
    if not found:
        # Or the commands that follow would go to whatever cluster the shell knew before.
        print("false")
        raise Unavailable("No cluster is running: start one with make cluster")
    print(desk.exports(found))


def down() -> None:
    """Stop the cluster that was left running, if any."""
    found = running()
    if found:
        found.stop()
    link().unlink(missing_ok=True)
    say("The cluster is stopped." if found else "No cluster was running.")


def image() -> None:
    """Build the operator's and the runner's image, and load them into the cluster that runs."""
    for name, dockerfile in images.OURS.items():
        started = now()
        desk.record(name, images.build(Path(dockerfile), name))
        told = desk.archive(name).with_suffix(".provenance.json")
        written(provenance.of_image(desk.archive(name), name, dockerfile, started, os.environ), told)
        print(f"{name} {desk.archive(name)} {told}")
    if found := running():
        say(f"loaded into the cluster that runs: {', '.join(desk.load(found))}")


def prepare() -> None:
    """Build and install everything."""
    toolchain.prepare()
    judging.program()


COMMANDS = {"cluster": cluster, "env": env, "down": down, "image": image, "prepare": prepare}


def stage(folder: Path) -> None:
    """Pack what a machine without network needs, and say how large each part is."""
    staging.stage(folder)
    print("\n".join(staging.summary(folder)))


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("command", choices=(*COMMANDS, "stage"))
    parser.add_argument("folder", nargs="?", type=Path, help="where to stage; it must be empty, or not be there")
    asked = parser.parse_args(arguments)
    if (asked.command == "stage") is not bool(asked.folder):
        parser.error("stage takes a folder, and nothing else does: python -m tests.lab stage DIR")
    try:
        if asked.command == "stage":
            stage(asked.folder)
        else:
            COMMANDS[asked.command]()
    except Unavailable as error:
        say(str(error))
        return UNAVAILABLE
    except (LabError, ProvenanceError) as error:
        say(str(error))
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
