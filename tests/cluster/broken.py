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
SMALL = {"cpu": "25m", "memory": "64Mi", "gpu_count": 0}
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
        cause: What ``DeploymentFailed.cause`` must be; empty: it must be waited for.
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


def says(*lines: str, code: int = 1, sleep: float = 0) -> Change:
    """Let the server say something and end."""
    script = "".join(
        f"echo '{line}' >&2\n" for line in (line.replace("'", "'\\''") for line in lines)
    )

    def change(service: Object) -> None:
        model = service["spec"]["predictor"]["model"]
        model["command"] = ["sh", "-c", f"{script}sleep {sleep}\nexit {code}", "sh"]

    return change


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


_HUGE = "Model architectures ['NoSuchModel'] are not supported for now. Supported architectures: dict_keys(['LlamaForCausalLM'])"
_KV = (
    "ValueError: To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (4.85 GiB). Based on the available memory, the estimated "
    "maximum model length is 39728. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`"
)
_LAST = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)


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
    # the server, in vLLM's own words
    Broken("unknown-argument", ("--no-such-flag",), {"vllm_args": "--no-such-flag", "cpu": "100m"}),
    Broken("kv-cache", ("--max-model-len 39728",), change=says(_KV, _LAST)),
    Broken(
        "gpu-memory",
        ("--gpu-count",),
        change=says(
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", _LAST
        ),
    ),
    Broken("architecture", ("NoSuchModel", "--runtime-image"), change=says(_HUGE)),
    Broken(
        "no-bfloat16",
        ("--dtype=half",),
        change=says(
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5.",
            _LAST,
        ),
    ),
    Broken(
        "crash",
        ("something else", "3 times"),
        change=says("RuntimeError: something else", "bye"),
        seconds=75,
    ),
    Broken("out-of-memory", ("--memory",), {"vllm_args": "--fail oom", "cpu": "200m"}),
    Broken(
        "",
        ("it runs, and is not ready yet",),
        {"vllm_args": "--fail hang", "cpu": "100m"},
        ident="hang",
    ),
    Broken(
        "probe",
        ("probe",),
        change=model(
            livenessProbe={
                "exec": {"command": ["false"]},
                "periodSeconds": 1,
                "failureThreshold": 1,
                "initialDelaySeconds": 1,
            },
            command=["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.2; done"],
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
        {"node_selector": "diag=silent", "tolerations": [{"key": "diag", "operator": "Exists"}]},
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
    Broken("no-knative", ("--deployment-mode",), {"deployment_mode": "Serverless"}),
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
