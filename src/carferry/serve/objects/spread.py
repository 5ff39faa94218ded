"""One replica over several nodes: a multi-node InferenceService, without Ray.

KServe makes a head of the runtime's own container and workers of its ``workerSpec``, a pod each,
and tells a worker where the head is. vLLM joins them by itself from 0.11.1 on: each pod says how
many there are, which one it is, and where the first one is. Ray would do, too, but the images of
0.18 and later do not hold it.

Sources: kserve/kserve v0.20 (inference_service_validation.go and servingruntime_webhook.go: what
admission wants; components/predictor.go: ``multinode/executor-backend``, HEAD_SVC, WORKER_SVC;
earlier ones count nodes by the GPUs of a worker and come to the same number), vLLM 0.24
(``entrypoints/cli/serve.py: run_headless``, docs/serving/parallelism_scaling.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.serve.deadline import deadline_s
from carferry.serve.settings import Deployment, Kind, Mode, Mount

WORKER = "worker-container"
"""Name that KServe looks for."""
ADDRESS: Object = {
    "name": "VLLM_HOST_IP",
    "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
}
"""Variable of every pod: its own address, which vLLM tells the others."""
_KNOWN = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")
"""Resources that KServe takes for GPUs; others it refuses unless an annotation names them."""
_TAG = re.compile(r":v?0\.(\d{1,3})\.(\d{1,3})")
_JOINS = (11, 1)
"""Minor and patch of the first vLLM that has ``--nnodes``."""
_PERIOD_S = 10
_JOIN = """\
import os, socket, sys, time

nodes, folder, *args = sys.argv[1:]
own = os.environ["VLLM_HOST_IP"]
family = socket.AF_INET6 if ":" in own else socket.AF_INET

def addresses(service):
    try:
        return sorted({each[4][0] for each in socket.getaddrinfo(service, None, family)})
    except OSError:
        return []

def workers():
    found = addresses(os.environ["WORKER_SVC"])
    return found if len(found) == int(nodes) - 1 and own in found else []

def wait(what, look):
    while not (found := look()):
        print("waiting for", what, flush=True)
        time.sleep(5)
    return found

rank = 1
if int(nodes) > 2:
    if "WORKER_SVC" not in os.environ:
        sys.exit("more than two nodes take KServe 0.20: it names no service of the workers")
    rank += wait("the other workers", workers).index(own)
head = wait("the head", lambda: addresses(os.environ["HEAD_SVC"]))[0]
wait("the model", lambda: os.path.isdir(folder))
place = [f"--nnodes={nodes}", f"--node-rank={rank}", f"--master-addr={head}"]
command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", folder, "--headless"]
os.execv(sys.executable, [*command, *place, *args])
"""
"""Finds out which worker a pod is, by the order of their addresses, and becomes vLLM."""
_LOOK = "import os, socket; socket.create_connection((os.environ['HEAD_SVC'], {port}), 5)"


def check_spread(deployment: Deployment) -> None:
    """Refuse what no replica over several nodes can have.

    Raises:
        InputError: Names it, and what is possible.
    """
    if deployment.nodes < 2:
        return
    for holds, reason, remedy in (*_refused(deployment), *_not_joined(deployment)):
        if holds:
            title = f"{deployment.name} on {deployment.nodes} nodes"
            raise InputError("deploy", title, reason, remedy)


def _refused(deployment: Deployment) -> Iterator[tuple[bool, str, str]]:
    """Yield whether KServe would not serve it, why, and what to do."""
    yield (
        deployment.kind is Kind.LLM,
        "KServe ships no LLMInferenceService for stages of a pipeline on several nodes",
        "leave kind at isvc",
    )
    yield (
        deployment.deployment_mode is not Mode.STANDARD,
        "Knative serves one pod a replica",
        "use deployment_mode Standard",
    )
    yield (
        deployment.mount is Mount.NATIVE,
        "KServe takes a model for several nodes from oci:// and pvc:// alone",
        "leave mount at modelcar",
    )
    yield (
        (deployment.min_replicas, deployment.max_replicas) != (1, 1),
        "KServe scales no service of several nodes",
        "leave min_replicas and max_replicas at 1, and deploy it twice",
    )


def _not_joined(deployment: Deployment) -> Iterator[tuple[bool, str, str]]:
    """Yield whether its servers could not join, why, and what to do."""
    tag = _TAG.search(deployment.runtime_image)
    yield (
        tag is not None and (int(tag[1]), int(tag[2])) < _JOINS,
        "vLLM joins nodes by itself from 0.11.1 on",
        "name a newer runtime_image",
    )
    yield (
        not deployment.gpu_count,
        "gpu_count says how many GPUs each has, and it is 0",
        "write 1 or more",
    )


def spread_notes(deployment: Deployment) -> dict[str, str]:
    """Return the annotations that a service and its runtime's pods bear for it."""
    if deployment.nodes < 2 or deployment.gpu_resource in _KNOWN:
        return {}
    return {"serving.kserve.io/gpu-resource-types": json.dumps([deployment.gpu_resource])}


def head_args(deployment: Deployment) -> list[str]:
    """Return what the head's server is told besides; nothing if it is alone."""
    if deployment.nodes < 2:
        return []
    return [f"--nnodes={deployment.nodes}", "--node-rank=0", "--master-addr=$(VLLM_HOST_IP)"]


def sizes(deployment: Deployment) -> Object:
    """Return the two numbers that KServe counts pods and GPUs by."""
    return {
        "pipelineParallelSize": deployment.nodes,
        "tensorParallelSize": deployment.gpu_count,
    }


def worker(deployment: Deployment, head: Object, port: int) -> Object:
    """Make a worker's container.

    It is started anew when the head's server does not answer: places hold for one start.

    Args:
        deployment: What is wanted.
        head: The head's container.
        port: Of the head's server.
    """
    probe = {"exec": {"command": ["python3", "-c", _LOOK.format(port=port)]}, "timeoutSeconds": 10}
    tries = -(-deadline_s(deployment.model_size_bytes) // _PERIOD_S)
    same = ("image", "env", "securityContext", "volumeMounts")
    made: dict[str, Any] = {key: head[key] for key in same if key in head}
    return {
        "name": WORKER,
        **made,
        "command": ["python3", "-c", _JOIN],
        "args": [str(deployment.nodes), deployment.model_folder],
        "startupProbe": {**probe, "periodSeconds": _PERIOD_S, "failureThreshold": tries},
        "livenessProbe": {**probe, "periodSeconds": _PERIOD_S, "failureThreshold": 3},
    }
