"""The files that configure containerd, its pod network and the kubelet of the one-node cluster.

They are the usual ones, less what a bare machine may lack: no cgroup v2, no systemd, no CAP_SYS_RESOURCE, no
iptables, no cluster DNS (pods reach what they need by address).
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab import host, toolchain
from tests.lab.bases import PAUSE_TAG

__all__ = [
    "API_ADDRESS",
    "NODE",
    "NODE_ADDRESS",
    "S3_PORT",
    "SERVICES",
    "write_containerd_files",
    "write_kubelet_config",
]

NODE = "lab-node"
NODE_ADDRESS = "10.99.0.1"
PODS = "10.98.0.0/24"
SERVICES = "10.96.0.0/16"
# The `kubernetes` Service's own address, given to the node itself: pods reach the API where they look for it
# (KUBERNETES_SERVICE_HOST) without kube-proxy and without a packet filter in the kernel.
API_ADDRESS = "10.96.0.1"
S3_PORT = 9000

CONTAINERD = """\
version = 3
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  # Lowering a score takes CAP_SYS_RESOURCE, without which runc would refuse the whole container.
  restrict_oom_score_adj = true
  cdi_spec_dirs = ["{folder}/cdi"]
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = {plugins}
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "{runc}"
"""


def write_containerd_files(folder: Path) -> Path:
    """Write containerd's configuration and its pod network's into `folder`, and return the path of the first."""
    runc = toolchain.find("runc")
    (folder / "containerd").mkdir(exist_ok=True)
    snapshotter = host.snapshotter(folder / "containerd")
    plugins = ["/usr/lib/cni", "/opt/cni/bin", *map(str, filter(None, [toolchain.staged("programs")]))]
    text = CONTAINERD.format(
        folder=folder, pause=PAUSE_TAG, runc=runc, snapshotter=snapshotter, plugins=json.dumps(plugins)
    )
    network = {
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(folder / "cni-state"),
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
    for name in ("cni", "cdi"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "cni" / "10-lab.conflist").write_text(json.dumps(network))
    path = folder / "containerd.toml"
    path.write_text(text)
    return path


def write_kubelet_config(folder: Path, cgroup: str) -> Path:
    """Write the kubelet's configuration into `folder` and return its path; all pods go below `cgroup`."""
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        # It listens inside the cluster's own network namespace only.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "podLogsDir": str(folder / "pod-logs"),
        "resolvConf": "",
        "clusterDNS": ["10.96.0.10"],
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # The defaults (10 s, 5 qps) are a data centre's; a test waits for every one of them.
        "nodeStatusUpdateFrequency": "2s",
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "shutdownGracePeriod": "0s",
    }
    path = folder / "kubelet.json"
    path.write_text(json.dumps(config, indent=1))
    return path
