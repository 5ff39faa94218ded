"""The parts of a node: which program each is, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping

from servers.tools import find

from cluster.rig.settings import NODE, NODE_IP, PODS, SERVICES, Rig

_ETCD = "http://127.0.0.1:2379"


def commands(rig: Rig) -> Mapping[str, list[str]]:
    """Return the command of each part, by name, in the order in which they start."""
    node = str(rig.programs / "node")
    return {
        "etcd": [node, "etcd", *_etcd(rig)],
        "registry": [find("docker-registry"), "serve", str(rig.etc / "registry.yml")],
        "containerd": [
            str(rig.programs / "containerd"),
            *("--config", str(rig.etc / "containerd.toml")),
        ],
        "kube-apiserver": [node, "kube-apiserver", *_api_server(rig)],
        "kube-controller-manager": [node, "kube-controller-manager", *_controllers(rig)],
        "kube-scheduler": [node, "kube-scheduler", *_local(rig, "scheduler")],
        "kube-proxy": [node, "kube-proxy", *_proxy(rig)],
        "kubelet": [*_with_settings(rig), node, "kubelet", *_kubelet(rig)],
        "coredns": [str(rig.programs / "coredns"), "-conf", str(rig.etc / "Corefile")],
    }


def _with_settings(rig: Rig) -> list[str]:
    """Return what shows the next program the kernel settings that it wants.

    The machine keeps its own, and so does everything else in the node: the kernel lets no user
    namespace mount a /proc where something is mounted in this one.
    """
    script = """
        mount --make-private /proc
        cd "$0"
        find . -type f | while read -r name; do mount --bind "$name" "/proc/sys/$name"; done
        exec "$@"
    """
    apart = ["unshare", "--mount", "--propagation", "unchanged"]
    return [*apart, "sh", "-ec", script, str(rig.etc / "kernel")]


def _etcd(rig: Rig) -> list[str]:
    return [
        f"--data-dir={rig.folder}/etcd",
        "--unsafe-no-fsync",
        "--log-level=error",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]


def _api_server(rig: Rig) -> list[str]:
    etc = rig.etc
    return [
        f"--etcd-servers={_ETCD}",
        f"--secure-port={rig.api}",
        f"--advertise-address={NODE_IP}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--tls-cert-file={etc}/api.crt",
        f"--tls-private-key-file={etc}/api.key",
        f"--token-auth-file={etc}/tokens.csv",
        f"--client-ca-file={etc}/ca.crt",
        "--authorization-mode=Node,RBAC",
        # The latter lets a namespace say what its pods tolerate.
        "--enable-admission-plugins=NodeRestriction,PodTolerationRestriction",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={etc}/accounts.key",
        f"--service-account-key-file={etc}/accounts.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        "--feature-gates=ImageVolume=true",
        # One client at a time needs no fairness, and it costs a tenth of a small machine.
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]


def _controllers(rig: Rig) -> list[str]:
    return [
        *_local(rig, "controller-manager"),
        f"--service-account-private-key-file={rig.etc}/accounts.key",
        f"--root-ca-file={rig.etc}/ca.crt",
        f"--cluster-signing-cert-file={rig.etc}/ca.crt",
        f"--cluster-signing-key-file={rig.etc}/ca.key",
        "--use-service-account-credentials=true",
    ]


def _local(rig: Rig, user: str) -> list[str]:
    return [
        f"--kubeconfig={rig.kubeconfig_of(user)}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def _proxy(rig: Rig) -> list[str]:
    return [
        f"--kubeconfig={rig.kubeconfig_of('proxy')}",
        f"--hostname-override={NODE}",
        "--bind-address=127.0.0.1",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS}",
        # These settings belong to the machine, not to a namespace of it.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]


def _kubelet(rig: Rig) -> list[str]:
    return [
        f"--config={rig.etc}/kubelet.yaml",
        f"--kubeconfig={rig.kubeconfig_of('kubelet')}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_IP}",
        "--root-dir=/var/lib/kubelet",
        "--v=2",
    ]
