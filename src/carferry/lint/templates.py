"""The templates of a Workflow that every pipeline shares: drivers, executors, importer.

Written once per Workflow, they cost some 20 KB of its spec whatever the pipeline. Addresses and
images are of the length that OpenShift AI's operator gives them.
Source: addContainerDriverTemplate, addDAGDriverTemplate, addContainerExecutorTemplate and
security_context.go in backend/src/v2/compiler/argocompiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carferry.lint.targets import Backend

Json = dict[str, Any]

DRIVER_IMAGE = "registry.redhat.io/rhoai/odh-ml-pipelines-driver-rhel9@sha256:" + "0" * 64
LAUNCHER_IMAGE = "registry.redhat.io/rhoai/odh-ml-pipelines-launcher-rhel9@sha256:" + "0" * 64
API_SERVER = "ds-pipeline-dspa.data-science-project.svc.cluster.local"
MLMD_SERVER = "ds-pipeline-metadata-grpc-dspa.data-science-project.svc.cluster.local"
POD_METADATA = {
    "annotations": {"pipelines.kubeflow.org/v2_component": "true"},
    "labels": {
        "pipelines.kubeflow.org/v2_component": "true",
        "pipeline/runid": "00000000-0000-0000-0000-000000000000",
    },
}
_ISTIO = {"annotations": {"sidecar.istio.io/inject": "false"}}
_SCRATCH = ("gcs", "s3", "minio", ".local", ".cache", ".config")
_RETRY = ("max-count", "backoff-duration", "backoff-factor", "backoff-max-duration")
_STRATEGY = {
    "limit": "{{inputs.parameters.retry-max-count}}",
    "backoff": {
        "duration": "{{inputs.parameters.retry-backoff-duration}}",
        "factor": "{{inputs.parameters.retry-backoff-factor}}",
        "maxDuration": "{{inputs.parameters.retry-backoff-max-duration}}",
    },
}
_POD_ENV = [
    {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
]
_SERVICE_ENV = [
    {"name": "ML_PIPELINE_SERVICE_HOST", "value": API_SERVER},
    {"name": "ML_PIPELINE_SERVICE_PORT_GRPC", "value": "8887"},
]
_RESOURCES = {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m"}}


def parameters(values: Mapping[str, str]) -> Json:
    """Return arguments of a Workflow or a task."""
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def dag_task(name: str, template: str, values: Mapping[str, str]) -> Json:
    """Return one task of a DAG template."""
    return {"name": name, "template": template, "arguments": parameters(values)}


def dag_template(name: str, inputs: Iterable[str], tasks: list[Json]) -> Json:
    """Return a template that runs tasks."""
    inner = {"parameters": [{"name": given} for given in inputs]} if inputs else {}
    return {
        "name": name,
        "inputs": inner,
        "outputs": {},
        "metadata": _ISTIO,
        "dag": {"tasks": tasks},
    }


def dag_driver(target: Backend) -> Json:
    """Return the template of the driver that opens a DAG or counts a loop."""
    defaults = {"runtime-config": "", "task": "", "task-name": "", "parent-dag-id": "0"}
    defaults |= {"iteration-index": "-1", "driver-type": "DAG"}
    outputs = (("execution-id", None), ("iteration-count", "0"), ("condition", "true"))
    return _driver("system-dag-driver", target, _inputs(target, ("component",), defaults), outputs)


def container_driver(target: Backend) -> Json:
    """Return the template of the driver that writes a step's pod."""
    required = ("component", "task", "container", "task-name", "parent-dag-id")
    inputs = _inputs(target, required, {"iteration-index": "-1", "kubernetes-config": ""})
    outputs = (("pod-spec-patch", ""), ("cached-decision", "false"), ("condition", "true"))
    return _driver("system-container-driver", target, inputs, outputs)


def importer(target: Backend) -> Json:
    """Return the template of the importer."""
    inputs = _inputs(target, ("task", "component", "importer", "parent-dag-id"), {})
    return _driver("system-importer", target, inputs, ())


def executors(target: Backend, prefix: str) -> tuple[Json, Json]:
    """Return the DAG around a step, and the step; ``prefix`` is ``retry-`` if it is retried."""
    retry = [f"retry-{name}" for name in _RETRY] if prefix else []
    impl = f"{prefix}system-container-impl"
    passed: list[str] = ["pod-spec-patch", *retry]
    task = dag_task("executor", impl, {n: f"{{{{inputs.parameters.{n}}}}}" for n in passed})
    task["when"] = "{{inputs.parameters.cached-decision}} != true"
    outer = dag_template(f"{prefix}system-container-executor", (), [task])
    outer["inputs"] = {
        "parameters": [
            {"name": "pod-spec-patch"},
            {"name": "cached-decision", "default": "false"},
            *({"name": name, "default": "0"} for name in retry),
        ]
    }
    return outer, _implementation(target, impl, retry)


def retry_values(policy: Json | None) -> dict[str, str]:
    """Return a task's retry policy as the executor's arguments."""
    if policy is None:
        return {}
    values = {"retry-max-count": policy.get("maxRetryCount", 0)}
    if "backoffDuration" in policy:
        values["retry-backoff-duration"] = str(policy["backoffDuration"]).rstrip("s")
    values["retry-backoff-factor"] = policy.get("backoffFactor", 0)
    if "backoffMaxDuration" in policy:
        values["retry-backoff-max-duration"] = str(policy["backoffMaxDuration"]).rstrip("s")
    return {name: str(value) for name, value in values.items()}


def pod_security(target: Backend, *, non_root: bool) -> Json:
    """Return the pod's security context, if the backend writes one."""
    if not target.secures_steps:
        return {}
    context: Json = {"seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": context | ({"runAsNonRoot": True} if non_root else {})}


def _container_security(target: Backend, *, non_root: bool) -> Json:
    if not target.secures_steps:
        return {}
    context: Json = {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
    context["seccompProfile"] = {"type": "RuntimeDefault"}
    return {"securityContext": context | ({"runAsNonRoot": True} if non_root else {})}


def _inputs(target: Backend, required: Iterable[str], defaults: Mapping[str, str]) -> Json:
    known = [n for n in (*required, *defaults) if target.names_tasks or n != "task-name"]
    return {
        "parameters": [
            {"name": n, "default": defaults[n]} if n in defaults else {"name": n} for n in known
        ]
    }


def _driver(
    name: str, target: Backend, inputs: Json, outputs: Sequence[tuple[str, str | None]]
) -> Json:
    given = [
        {
            "name": output,
            "valueFrom": {"path": f"/tmp/outputs/{output}"}  # noqa: S108, the driver's own path
            | ({} if default is None else {"default": default}),
        }
        for output, default in outputs
    ]
    for output in given:
        if output["name"] == "cached-decision":
            output["default"] = "false"
    return {
        "name": name,
        "inputs": inputs,
        "outputs": {"parameters": given} if given else {},
        "metadata": _ISTIO,
        "container": {
            "name": "",
            "image": DRIVER_IMAGE,
            "command": ["driver"],
            "args": _driver_arguments(name, inputs, [output for output, _ in outputs]),
            "env": _POD_ENV if target.secures_steps else [*_POD_ENV, *_SERVICE_ENV],
            "resources": _RESOURCES,
            **_container_security(target, non_root=True),
        },
        **pod_security(target, non_root=True),
    }


def _driver_arguments(name: str, inputs: Json, outputs: Iterable[str]) -> list[str]:
    args = ["--type", "CONTAINER" if "container" in name else "{{inputs.parameters.driver-type}}"]
    args += ["--pipeline_name", "pipeline", "--run_id", "{{workflow.uid}}"]
    args += ["--run_name", "{{workflow.name}}", "--run_display_name", ""]
    for given in inputs["parameters"]:
        if given["name"] != "driver-type":
            flag = "dag-execution-id" if given["name"] == "parent-dag-id" else given["name"]
            args += [f"--{flag.replace('-', '_')}", f"{{{{inputs.parameters.{given['name']}}}}}"]
    for output in outputs:
        path = f"{{{{outputs.parameters.{output}.path}}}}"
        args += [f"--{output.replace('-', '_')}_path", path]
    args += ["--http_proxy", "", "--https_proxy", "", "--no_proxy", ""]
    return [*args, *server_arguments()]


def server_arguments() -> list[str]:
    """Return the server addresses as arguments of driver and launcher."""
    return [
        *("--ml_pipeline_server_address", API_SERVER, "--ml_pipeline_server_port", "8887"),
        *("--mlmd_server_address", MLMD_SERVER, "--mlmd_server_port", "8080"),
        *("--metadata_tls_enabled", "--ca_cert_path", "/kfp/certs/ca.crt"),
    ]


def _implementation(target: Backend, name: str, retry: Iterable[str]) -> Json:
    mounts = [{"name": "kfp-launcher", "mountPath": "/kfp-launcher"}]
    scratch = [
        {"name": f"{folder.replace('.', 'dot-')}-scratch", "mountPath": f"/{folder}"}
        for folder in _SCRATCH
    ]
    return {
        "name": name,
        "inputs": {"parameters": [{"name": "pod-spec-patch"}, *({"name": n} for n in retry)]},
        "outputs": {},
        "metadata": _ISTIO,
        "container": _stand_in(target) | {"volumeMounts": [*mounts, *scratch]},
        "volumes": [{"name": m["name"], "emptyDir": {}} for m in (*mounts, *scratch)],
        "initContainers": [_launcher(target, mounts)],
        "podSpecPatch": "{{inputs.parameters.pod-spec-patch}}",
        **pod_security(target, non_root=False),
        **({"retryStrategy": _STRATEGY} if retry else {}),
    }


def _stand_in(target: Backend) -> Json:
    """Return the container that the patch makes into the step's."""
    return {
        "name": "",
        "image": "gcr.io/ml-pipeline/should-be-overridden-during-runtime",
        "command": ["should-be-overridden-during-runtime"],
        "envFrom": [{"configMapRef": {"name": "metadata-grpc-configmap", "optional": True}}],
        "env": _POD_ENV if target.secures_steps else [*_POD_ENV, *_SERVICE_ENV],
        "resources": {},
        **_container_security(target, non_root=False),
    }


def _launcher(target: Backend, mounts: list[Json]) -> Json:
    return {
        "name": "kfp-launcher",
        "image": LAUNCHER_IMAGE,
        "command": ["launcher-v2"],
        "args": ["--copy", "/kfp-launcher/launch"],
        "resources": _RESOURCES,
        "volumeMounts": mounts,
        **_container_security(target, non_root=True),
    }
