"""The pod that KServe would make of a deployment, tried on the server: a dry run keeps none.

Quotas, limit ranges and Pod Security look at pods alone, minutes after an InferenceService was
accepted. With KServe's label and annotation its own webhook adds the modelcar containers.

Sources: kserve/kserve v0.20 (pkg/webhook/admission/pod/storage_initializer_injector.go,
pkg/controller/v1beta1/inferenceservice/utils/utils.go: MergeRuntimeContainers).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.cluster.kserve import SERVER, SERVICE_LABEL
from carferry.errors import ClusterError

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

logger = logging.getLogger("carferry")

_FORBIDDEN = 403
_SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
_OF_PODS = ("nodeSelector", "tolerations", "imagePullSecrets", "serviceAccountName")


def refusal(cluster: Cluster, objects: Sequence[Object]) -> str:
    """Return what the server says against the deployment's pod; empty if nothing, or not asked.

    It is no verdict: something may yet change the pod, and quotas are freed again.

    Args:
        cluster: Where.
        objects: Of the deployment.

    Raises:
        Unreachable: No answer.
    """
    made = pod(objects)
    if made is None:
        return ""
    asked = Permission("create", KINDS["Pod"], made["metadata"]["namespace"])
    try:
        cluster.api.call(asked, method="POST", query={"dryRun": "All"}, body=made)
    except ClusterError as error:
        # A right that is missing was told before; other refusals are those of a pod of ours.
        if error.status == _FORBIDDEN and not error.remedy:
            return error.reason
        logger.debug("the pod was not tried: %s", error)
    return ""


def pod(objects: Iterable[Object]) -> Object | None:
    """Return the pod as far as KServe's controller would make it; None without a runtime of ours.

    Args:
        objects: Of a deployment: its ServingRuntime and its InferenceService.
    """
    by_kind = {each["kind"]: each for each in objects}
    runtime, service = by_kind.get("ServingRuntime"), by_kind.get("InferenceService")
    if runtime is None or service is None:
        return None
    predictor, metadata = service["spec"]["predictor"], service["metadata"]
    model = predictor["model"]
    spec: dict[str, Any] = {name: predictor[name] for name in _OF_PODS if name in predictor}
    spec["containers"] = [
        _merged(each, model) if each["name"] == SERVER else each
        for each in runtime["spec"]["containers"]
    ]
    volumes = [*runtime["spec"].get("volumes", ()), *predictor.get("volumes", ())]
    name = metadata["name"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-predictor",
            "namespace": metadata["namespace"],
            "labels": {SERVICE_LABEL: name, "component": "predictor"},
            "annotations": {_SOURCE: model["storageUri"]},
        },
        "spec": spec | {"volumes": volumes},
    }


def _merged(container: Mapping[str, Any], model: Mapping[str, Any]) -> Object:
    lists = {
        key: [*container.get(key, ()), *model.get(key, ())]
        for key in ("args", "env", "volumeMounts")
    }
    merged = {**container, **{key: value for key, value in lists.items() if value}}
    return merged | {key: model[key] for key in ("resources", "securityContext") if key in model}
