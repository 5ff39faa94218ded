"""Deployments that are broken in one way each, and what carferry must say of it.

Every state is made by the real scheduler, kubelet, containerd, KServe and admission; what an
autoscaler says is written as it writes it, since none runs here.
"""

# ruff: noqa: E501 - words are quoted as their sources write them

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Change = Callable[[Object], None]
_GPU = {"key": "nvidia.com/gpu", "operator": "Exists"}
SMALL = {"cpu": "10m", "memory": "64Mi", "gpu_count": 0, "tolerations": [_GPU]}
NO_SUCH = "sha256:" + "0" * 64
# Addresses inside the node at which odd_registries.py listens.
PLAIN, SELF_SIGNED, DENYING, LIMITING = (
    "10.99.0.1:5601",
    "10.99.0.1:5602",
    "127.0.0.1:5603",
    "127.0.0.1:5604",
)


@dataclass(frozen=True)
class Broken:
    """One deployment.

    Attributes:
        cause: What ``DeploymentFailed.cause`` must be; empty: it must be waited for; up: it comes up.
        words: What the line must hold.
        form: Of the deployment, beside the small defaults; ``image`` replaces the ModelCar.
        change: Applied to the InferenceService before it is applied.
        place: Objects that its own namespace has from the start, and labels of it.
        seconds: The line must be there by then.
        ident: Name, where one cause has several.
    """

    cause: str
    words: tuple[str, ...]
    form: Mapping[str, Any] = field(default_factory=dict)
    change: Change | None = None
    place: tuple[Object, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 60
    ident: str = ""

    @property
    def name(self) -> str:
        return self.ident or self.cause


def fails(
    cause: str, *words: str, how: str = "", ident: str = "", seconds: float = 60, **form: Any
) -> Broken:
    """Return a deployment whose server fails in a way that images/vllm/vllm/standin knows."""
    env = {"env": {"STANDIN_FAIL": how}} if how else {}
    return Broken(cause, words, {"cpu": "40m", **env, **form}, seconds=seconds, ident=ident)


def predictor(**parts: Any) -> Change:
    def change(service: Object) -> None:
        service["spec"]["predictor"].update(parts)

    return change


def model(**parts: Any) -> Change:
    def change(service: Object) -> None:
        service["spec"]["predictor"]["model"].update(parts)

    return change


def quota(**hard: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": hard},
    }


def _serverless(service: Object) -> None:
    """Ask for Knative, as an object of another cluster may; carferry itself asks here first."""
    service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = "Serverless"
    del service["spec"]["predictor"]["deploymentStrategy"]


def _filling(service: Object) -> None:
    """Let the server write more into a volume than it may hold."""
    predictor(volumes=[{"name": "fill", "emptyDir": {"sizeLimit": "1Mi"}}])(service)
    write = "head -c 9000000 /dev/zero > /fill/x; sleep 999"
    model(volumeMounts=[{"name": "fill", "mountPath": "/fill"}], command=["sh", "-c", write])(
        service
    )


def volume(**source: Any) -> Change:
    """Add a volume to the pod."""

    def change(service: Object) -> None:
        predictor(volumes=[{"name": "more", **source}])(service)
        model(volumeMounts=[{"name": "more", "mountPath": "/more"}])(service)

    return change


BROKEN = (
    # images
    Broken(
        "image-missing",
        ("modelcar-init", "holds no such image"),
        {"image": f"{{registry}}/diag/none@{NO_SUCH}"},
    ),
    Broken(
        "image-missing",
        ("kserve-container", "--runtime-image"),
        {"runtime_image": "{registry}/rig/none:1"},
        ident="runtime-missing",
    ),
    Broken(
        "image-missing",
        ("image volume", "check the ModelCar's reference"),
        {"image": f"{{registry}}/diag/none@{NO_SUCH}", "mount": "native"},
        ident="volume-image-missing",
    ),
    Broken(
        "image-denied",
        ("image volume", "--pull-secret"),
        {"image": f"{DENYING}/x@{NO_SUCH}", "mount": "native"},
        ident="volume-image-denied",
    ),
    Broken(
        "registry-unknown",
        ("registry.onion",),
        {"image": f"registry.onion/x@{NO_SUCH}"},
        seconds=90,
    ),
    Broken(
        "registry-plain-http", ("HTTP response to HTTPS client",), {"image": f"{PLAIN}/x@{NO_SUCH}"}
    ),
    Broken("registry-certificate", ("x509",), {"image": f"{SELF_SIGNED}/x@{NO_SUCH}"}),
    Broken(
        "registry-refuses",
        ("connection refused",),
        {"image": f"10.99.0.1:9/x@{NO_SUCH}"},
        seconds=100,
    ),
    Broken(
        "registry-unreachable",
        ("network is unreachable",),
        {"image": f"192.0.2.1:5000/x@{NO_SUCH}"},
        seconds=90,
    ),
    Broken("image-denied", ("--pull-secret",), {"image": f"{DENYING}/x@{NO_SUCH}"}),
    Broken(
        "pull-secret-missing",
        ("no-such-secret",),
        {"image": f"{DENYING}/x@{NO_SUCH}", "pull_secret": "no-such-secret"},
    ),
    Broken(
        "",
        ("429 Too Many Requests", "limits pulls"),
        {"image": f"{LIMITING}/x@{NO_SUCH}"},
        ident="registry-limit",
    ),
    Broken("image-platform", ("platform",), {"image": "{arm}"}),
    Broken("no-shell", ("--base",), {"image": "{scratch}"}),
    Broken("models-empty", ("/models",), {"image": "{empty}"}),
    Broken(
        "root-user",
        ("USER",),
        {"image": "{rooted}"},
        predictor(securityContext={"runAsNonRoot": True}),
    ),
    Broken(
        "command-missing",
        ("python3", "--runtime-image"),
        {"runtime_image": "{registry}/rig/busybox:1"},
    ),
    # the server, in vLLM's own words: the stand-in fails as it is asked to
    fails("unknown-argument", "--no-such-flag", vllm_args="--no-such-flag"),
    fails("wrong-argument", "--max-num-seqs", vllm_args="--max-num-seqs=many"),
    fails("model-length", "--max-model-len", max_model_len=99_999_999),
    fails("kv-cache", "--max-model-len ", how="kv-cache"),
    fails("kv-cache", "--gpu-count", how="no-cache", ident="no-cache"),
    fails("gpu-in-use", "--gpu-memory-utilization", how="utilization"),
    fails("gpu-memory", "--gpu-count", how="cuda-oom"),
    fails("no-bfloat16", "--dtype=half", how="bf16"),
    fails("architecture", "--runtime-image", how="architecture"),
    fails("crash", "layers.0.mystery.weight", "3 times", how="unknown", seconds=75),
    fails("crash", "exit 7", how="exit:7", ident="exit", seconds=75),
    fails("crash", "exit 0", how="exit:0", ident="exit-0", seconds=75),
    fails("out-of-memory", "--memory", how="memory"),
    fails("", "it runs, and is not ready yet", "vLLM API server version", how="hang", ident="hang"),
    fails("up", how="once", ident="one-restart"),
    Broken(
        "probe",
        ("probe",),
        change=model(
            livenessProbe={
                "exec": {"command": ["sh", "-c", "exit 1"]},
                "periodSeconds": 1,
                "failureThreshold": 1,
                "initialDelaySeconds": 1,
            },
            command=["sh", "-c", "trap 'exit 9' TERM; sleep 999 & wait"],
        ),
        seconds=120,
    ),
    Broken("evicted", ("exceeds the limit",), change=_filling, seconds=120),
    # nodes
    Broken("gpus-too-few", ("no node has more than 8", "--gpu-count 8"), {"gpu_count": 16}),
    Broken(
        "no-gpu",
        ("no node offers habana.ai/gaudi", "nvidia.com/gpu"),
        {"gpu_resource": "habana.ai/gaudi", "gpu_count": 1},
    ),
    Broken(
        "no-node-selected",
        ("no node has the labels zone=mars", "--node-selector"),
        {"node_selector": "zone=mars"},
    ),
    Broken("cpu-too-much", ("--cpu",), {"cpu": "640"}),
    Broken("memory-too-much", ("--memory",), {"memory": "6400Gi"}),
    Broken(
        "taint",
        ("diag-tainted", "dedicated=ml:NoSchedule", "--tolerations"),
        {"gpu_count": 4, "node_selector": "diag=tainted"},
    ),
    Broken(
        "node-unready",
        ("diag-silent",),
        {
            "node_selector": "diag=silent",
            "tolerations": [_GPU, {"key": "diag", "operator": "Exists"}],
        },
        seconds=150,
    ),
    # the project
    Broken(
        "quota",
        ("exceeded quota: team",),
        {"gpu_count": 1},
        place=(quota(**{"requests.nvidia.com/gpu": "0"}),),
    ),
    Broken(
        "limit-range",
        ("minimum memory usage per Container",),
        place=(
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": "team"},
                "spec": {"limits": [{"type": "Container", "min": {"memory": "32Mi"}}]},
            },
        ),
    ),
    Broken(
        "pod-security", ("restricted",), labels={"pod-security.kubernetes.io/enforce": "restricted"}
    ),
    Broken("account-missing", ("no-such",), change=predictor(serviceAccountName="no-such")),
    Broken(
        "volume-missing", ("no-such",), change=volume(secret={"secretName": "no-such"}), seconds=75
    ),
    Broken(
        "config-missing",
        ("no-such",),
        change=model(
            env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no-such", "key": "x"}}}]
        ),
        seconds=100,
    ),
    Broken(
        "claim-missing", ("no-such",), change=volume(persistentVolumeClaim={"claimName": "no-such"})
    ),
    # KServe
    Broken("no-knative", ("--deployment-mode",), change=_serverless),
    Broken("no-runtime", ("ServingRuntime",), change=model(runtime="no-such")),
    Broken("invalid-spec", ("KServe",), change=model(storageUri="ftp://x/y")),
    # who must be waited for
    Broken(
        "",
        ("SchedulingGated", "queue/gate"),
        change=predictor(schedulingGates=[{"name": "queue/gate"}]),
        ident="queued",
    ),
    Broken(
        "",
        ("autoscaler brings", "triggered scale-up"),
        {"node_selector": "grow=up"},
        ident="TriggeredScaleUp",
    ),
    Broken(
        "no-scale-up",
        ("didn't trigger scale-up",),
        {"node_selector": "grow=never"},
        ident="NotTriggerScaleUp",
    ),
)
