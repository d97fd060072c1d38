"""The programs the lab runs: built from their Go modules or installed from Debian, once, then cached.

Release archives of Kubernetes, containerd, helm and versitygw are not to be had everywhere; a Go module proxy and a
Debian mirror are. So all of it is built from source, by one `go` command each, into
`<cache>/bin/<name>-<digest>`, where the digest names the source and the flags: a warm run only looks a folder up.
Where `KUBEBUILDER_ASSETS` holds an API server, that one is used and nothing is built for API tests.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab import LabError, Unavailable, cache_dir, digest_of, step

__all__ = [
    "cached",
    "containerd",
    "control_plane",
    "debian",
    "device_plugin",
    "find",
    "go",
    "go_program",
    "helm",
    "kubectl",
    "kubernetes",
    "kueue",
    "prepare",
    "promtool",
    "staged",
    "versitygw",
]

KUBE_SOURCE = Path(__file__).parent / "kube"
# Prometheus' own module says `exclude`, so `go install` will not have it; as a tool of another module it is built.
PROMTOOL_SOURCE = Path(__file__).parent / "promtool"
PROMTOOL = "github.com/prometheus/prometheus/cmd/promtool"
PLUGIN_SOURCE = Path(__file__).parent / "device_plugin"
# Not among MODULES: `make test` does without it.
KUEUE = "sigs.k8s.io/kueue@v0.17.0"
STAGED = "ASSAY_STAGED"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
MODULES = {
    "versitygw": ("github.com/versity/versitygw@v1.8.0", ("cmd/versitygw",)),
    "containerd": (
        "github.com/containerd/containerd/v2@v2.4.2",
        ("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
    ),
    "helm": ("helm.sh/helm/v4@v4.3.1", ("cmd/helm",)),
}
# A file that a package brings and nothing else is needed of; it may as well come from another distribution.
DEBIAN_PROOF = {
    "buildah": "buildah",
    "chromium": "chromium",
    "chromium-driver": "chromedriver",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debootstrap": "debootstrap",
    "faketime": "faketime",
    "g++": "g++",
    "iproute2": "ip",
    "openssl": "openssl",
    "runc": "runc",
    "util-linux": "unshare",
    "xz-utils": "xz",
}


def staged(*parts: str) -> Path | None:
    """Return what was brought along for a machine without network, if it was: a path below `$ASSAY_STAGED`."""
    root = os.environ.get(STAGED)
    found = Path(root).absolute().joinpath(*parts) if root else None
    return found if found and found.exists() else None


def find(program: str) -> Path | None:
    """Return where a program is: in the PATH, in the system's folders that a user's leaves out, or brought along."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    return Path(found) if found else staged("programs", program)


def is_there(proof: str) -> bool:
    """Tell whether a program (by its name) or a file (by its path) exists, here or brought along."""
    if proof.startswith("/"):
        return Path(proof).exists() or staged("programs", Path(proof).name) is not None
    return find(proof) is not None


def debian(*packages: str) -> None:
    """See to it that the Debian packages are installed; `Unavailable` when they are missing and cannot be."""
    missing = [name for name in packages if not is_there(DEBIAN_PROOF.get(name, name))]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not find("apt-get"):
        raise Unavailable(f"{names} not installed, and only root on Debian can do so: apt-get install {names}")
    with locked("apt"), step(f"installing {names}"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for argv in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            done = subprocess.run(["apt-get", "-q", *argv], env=env, text=True, capture_output=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines()[-1:]
                raise Unavailable(f"apt-get {argv[0]} could not install {names}: {''.join(last)}")


def require_namespaces(needs: str, *flags: str) -> None:
    """Raise `Unavailable`, saying what needs them, unless `unshare` may make the namespaces that its flags name.

    In a container, or a chroot, it may not.
    """
    debian("util-linux")
    probe = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Unavailable(f"{needs}: {probe.stderr.strip()}")


def require_mounts() -> None:
    """Raise `Unavailable` unless this process may mount for itself."""
    require_namespaces("building images needs a mount namespace of one's own", "--mount")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lab's lock called `name`, so that two test runs never build the same thing at once."""
    with (cache_dir("locks") / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(kind: str, name: str, digest: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `<cache>/<kind>/<name>-<digest>`, made by `make(folder)` once and whole ever after."""
    final = cache_dir(kind) / f"{name}-{digest}"
    if final.exists():
        return final
    with locked(f"{kind}-{name}"):
        if not final.exists():
            fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=final.parent))
            try:
                make(fresh)
                fresh.chmod(0o755)
                fresh.rename(final)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    return final


GO = "Go 1.26, or any from 1.21 on, which fetches it"


def go_program(what: str) -> Path:
    """Return the `go` command, which `what` needs."""
    program = find("go") or (Path("/usr/local/go/bin/go") if Path("/usr/local/go/bin/go").exists() else None)
    if not program:
        raise Unavailable(f"{what} is built from source and there is no go command: install {GO}")
    return program


def go(what: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run one `go` command with the flags of a release build."""
    program = go_program(what)
    known = subprocess.run([program, "env"], stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False)
    if "GOTOOLCHAIN" not in known.stdout:
        raise Unavailable(f"{what} is built from source and this go is too old to fetch a newer one: install {GO}")
    with step(f"building {what}"):
        done = subprocess.run(
            [program, *arguments], cwd=cwd, env={**os.environ, "CGO_ENABLED": "0", **(env or {})},
            stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False,
        )  # fmt: skip
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-20:])
        raise LabError(f"building {what} failed:\n{last}")


@functools.cache
def kubernetes() -> Path:
    """Return a folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl."""
    if brought := staged("bin", "kubernetes"):
        return brought
    version = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", (KUBE_SOURCE / "go.mod").read_text())
    if not version:
        raise LabError("tests/lab/kube/go.mod requires no k8s.io/kubernetes")
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version[1], "gitMajor": "1", "gitMinor": version[2]}
    flags = "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in values.items())

    def make(folder: Path) -> None:
        go(
            f"Kubernetes {version[1]} (about 10 minutes on 2 cores the first time)",
            "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", str(folder / "kube"), ".",
            cwd=KUBE_SOURCE,
        )  # fmt: skip
        for name in COMPONENTS:
            (folder / name).symlink_to("kube")

    return cached("bin", "kubernetes", digest_of([KUBE_SOURCE, flags]), make)


@functools.cache
def module(name: str) -> Path:
    """Return a folder with the programs of one row of `MODULES`."""
    if brought := staged("bin", name):
        return brought
    at, commands = MODULES[name]
    path, version = at.split("@")
    flags = ("-trimpath", "-ldflags", "-s -w")

    def make(folder: Path) -> None:
        packages = [f"{path}/{command}@{version}" for command in commands]
        go(f"{name} {version}", "install", *flags, *packages, env={"GOBIN": str(folder)})

    return cached("bin", name, digest_of([at, *commands, *flags]), make)


def containerd() -> Path:
    """Return a folder with containerd, containerd-shim-runc-v2 and ctr."""
    return module("containerd")


@functools.cache
def device_plugin() -> Path:
    """Return the device plugin's program."""
    if brought := staged("bin", "device-plugin"):
        return brought / "device-plugin"
    flags = ("-buildvcs=false", "-trimpath", "-ldflags", "-s -w")

    def make(folder: Path) -> None:
        go("the device plugin", "build", *flags, "-o", str(folder / "device-plugin"), ".", cwd=PLUGIN_SOURCE)

    return cached("bin", "device-plugin", digest_of([PLUGIN_SOURCE, *flags]), make) / "device-plugin"


@functools.cache
def kueue() -> tuple[Path, Path]:
    """Return Kueue's controller, and the folder of its module, in which definitions and webhooks lie."""
    path, version = KUEUE.split("@")
    flags = ("-trimpath", "-ldflags", "-s -w")

    def make(folder: Path) -> None:
        what = f"Kueue {version} (about 5 minutes of processor time the first time)"
        go(what, "install", *flags, f"{path}/cmd/kueue@{version}", env={"GOBIN": str(folder)})

    program = cached("bin", "kueue", digest_of([KUEUE, *flags]), make) / "kueue"
    go_program = find("go") or Path("/usr/local/go/bin/go")
    told = subprocess.run(
        [go_program, "mod", "download", "-json", KUEUE], text=True, capture_output=True, check=True
    ).stdout
    return program, Path(json.loads(told)["Dir"])


def versitygw() -> Path:
    """Return the S3 server's program."""
    return module("versitygw") / "versitygw"


def helm() -> Path:
    """Return the helm program."""
    return module("helm") / "helm"


@functools.cache
def promtool() -> Path:
    """Return Prometheus' promtool, without the service discoveries that rules have no use for."""
    flags = ("-buildvcs=false", "-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w")

    def make(folder: Path) -> None:
        output = str(folder / "promtool")
        go("promtool (about 3 minutes)", "build", *flags, "-o", output, PROMTOOL, cwd=PROMTOOL_SOURCE)

    return cached("bin", "promtool", digest_of([PROMTOOL_SOURCE, *flags]), make) / "promtool"


def control_plane() -> Path:
    """Return a folder with at least etcd and kube-apiserver: `$KUBEBUILDER_ASSETS` if it has them, else our own."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and all((Path(assets) / name).exists() for name in ("etcd", "kube-apiserver")):
        return Path(assets)
    return kubernetes()


def kubectl() -> Path:
    """Return the kubectl program: beside the API server that is used, else our own."""
    beside = control_plane() / "kubectl"
    return beside if beside.exists() else kubernetes() / "kubectl"


def prepare() -> None:
    """Build and install everything, saying what takes how long; a second call takes no time."""
    kubernetes()
    promtool()
    device_plugin()
    for name in MODULES:
        module(name)
