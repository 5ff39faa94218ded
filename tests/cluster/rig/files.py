"""What the parts of a node read at their start; JSON is YAML too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.rig.certificates import write_certificates
from cluster.rig.settings import NODE, NODE_IP, PODS, USERS, Rig

FOLDERS = ("etc", "log", "run", "etcd", "containerd", "kubelet", "pods", "registry", "cni")
# The kubelet wants these of the kernel and refuses to start otherwise.
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def write_files(rig: Rig, snapshotter: str) -> None:
    """Write everything, for a node that has never run or runs again.

    Args:
        rig: The node.
        snapshotter: How containerd lays layers over each other.
    """
    for name in FOLDERS:
        (rig.folder / name).mkdir(parents=True, exist_ok=True)
    if not (rig.etc / "accounts.key").exists():
        write_certificates(rig.etc)
    tokens = (f'{_token(user)},{who},{user},"{group}"\n' for user, (who, group) in USERS.items())
    (rig.etc / "tokens.csv").write_text("".join(tokens))
    for user in USERS:
        _write(rig.kubeconfig_of(user), _kubeconfig(rig, user))
    _write(rig.etc / "kubelet.yaml", _kubelet(rig))
    _write(rig.folder / "cni/10-rig.conflist", _network())
    _write(rig.etc / "registry.yml", _registry(rig))
    (rig.etc / "resolv.conf").write_text(f"nameserver {NODE_IP}\n")
    (rig.etc / "containerd.toml").write_text(_containerd(rig, snapshotter))
    (rig.etc / "Corefile").write_text(_names(rig))
    for host in (rig.registry_host, rig.registry_of_pods):
        place = rig.etc / "certs.d" / host
        place.mkdir(parents=True, exist_ok=True)
        (place / "hosts.toml").write_text(f'server = "http://{host}"\n')
    for name, value in KERNEL.items():
        path = rig.etc / "kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))


def _token(user: str) -> str:
    return f"{user}-token"


def _kubeconfig(rig: Rig, user: str) -> Any:
    server = f"https://127.0.0.1:{rig.api}"
    cluster = {"server": server, "certificate-authority": str(rig.etc / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "rig",
        "clusters": [{"name": "rig", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": _token(user)}}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": user}}],
    }


def _kubelet(rig: Rig) -> Any:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(rig.etc / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        # In a container nobody may lower these scores (CAP_SYS_RESOURCE).
        "oomScoreAdj": 0,
        "featureGates": {"ImageVolume": True},
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def _network() -> Any:
    ranges = {"type": "host-local", "subnet": PODS, "dataDir": "/run/cni"}
    ipam = ranges | {"routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "1.0.0", "name": "rig", "plugins": plugins}


def _registry(rig: Rig) -> Any:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(rig.folder / "registry")},
            "delete": {"enabled": True},
        },
        # Pods have a loopback of their own: they find it at the node's address.
        "http": {
            "addr": f":{rig.registry}",
            "secret": "of the tests",
            "relativeurls": True,  # it stands behind other names, too
        },
    }


def _containerd(rig: Rig, snapshotter: str) -> str:
    return f"""\
version = 3
root = "{rig.folder}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
tolerate_missing_hugetlb_controller = true
disable_hugetlb_controller = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{rig.folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{rig.programs}/runc"
SystemdCgroup = false
[plugins."io.containerd.cri.v1.images"]
snapshotter = "{snapshotter}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{rig.etc}/certs.d"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{rig.registry_host}/rig/pause:1"
"""


def _names(rig: Rig) -> str:
    return f"""\
.:53 {{
    bind {NODE_IP}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {rig.kubeconfig_of("dns")}
        pods insecure
    }}
    hosts {{
        {NODE_IP} {NODE}
        fallthrough
    }}
}}
"""
