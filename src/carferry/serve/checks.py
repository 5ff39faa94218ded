"""What a deployment may not say: each check names the field, and refuses it in one line.

Sources: RFC 1123 names; their limits are those of InferenceService admission (53 characters,
RHOAI 3.2) and of route labels (63, name-namespace); Kubernetes API conventions (labels, resource
names).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from carferry.cluster.names import check_kubernetes_name
from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import LABEL_KEY
from carferry.errors import InputError, InvalidName
from carferry.refs import ImageRef

NAME_LIMIT = 53
ROUTE_LABEL_LIMIT = 63
MOST_NODES = 64
_RESOURCE = re.compile(  # its quota's name, with "requests." before it, has 253 at most
    r"(?=[^/]{1,244}/)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
    r"/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_FOLDER = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
_FIXED_ARGS = {
    "--model": "name a folder of the image with model_path",
    "--port": "",
    "--served-model-name": "name the model with name",
}
_OURS = re.compile(
    r"networking\.k(?:native|serve)\.(?:dev|io)/visibility|kueue\.x-k8s\.io/queue-name"
    r"|opendatahub\.io/dashboard|serving\.kserve\.io/.*|app|component"
)
"""Labels that carferry or KServe sets, and other objects select by."""
_LEAST_MEMORY = 1 << 20  # bytes


def check_image(image: ImageRef) -> None:
    """Refuse an image that is named by a tag alone."""
    if image.digest is None:
        raise InputError(
            "deploy",
            image,
            "a tag can move under a running model",
            "name its digest, host/repository@sha256:..., which carferry inspect -q prints",
        )


def check_names(name: str, namespace: str) -> None:
    """Refuse names that KServe, or the label of a route, cannot hold."""
    check_kubernetes_name(name, kind="InferenceService", limit=NAME_LIMIT)
    if not namespace:
        return
    if not re.fullmatch(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise InvalidName(
            "name namespace",
            repr(namespace),
            "not a DNS-1123 label",
            "name your project as the cluster does: lower-case letters, digits and dashes",
        )
    joined = len(name) + 1 + len(namespace)
    if joined > ROUTE_LABEL_LIMIT:
        raise InvalidName(
            "name InferenceService",
            repr(name),
            f"{name}-{namespace} has {joined} characters, at most {ROUTE_LABEL_LIMIT}",
            "shorten the name",
        )


def check_references(names: Iterable[tuple[str, str]]) -> None:
    """Refuse what cannot be the name of another object.

    Args:
        names: What it is, and its name; an empty one is none.
    """
    for kind, name in names:
        if name:
            check_kubernetes_name(name, kind=kind, limit=63)


def check_resource(resource: str) -> None:
    """Refuse a resource that no device plugin can offer.

    Source: Kubernetes 1.35, pkg/apis/core/v1/helper, IsExtendedResourceName: a qualified name, not
    of kubernetes.io and not a quota's.
    """
    reason = ""
    if not _RESOURCE.fullmatch(resource):
        reason = "not vendor.domain/resource"
    elif "kubernetes.io/" in resource:
        reason = "Kubernetes keeps that domain for itself"
    elif resource.startswith("requests."):
        reason = "that is how a quota counts it"
    if reason:
        examples = "as nodes offer it: nvidia.com/gpu, amd.com/gpu, ibm.com/spyre_pf, ..."
        raise InputError("ask for GPUs", repr(resource), reason, examples)


def check_runtime(image: str) -> None:
    """Refuse a server's image that can move."""
    parsed = ImageRef.parse(image)
    if parsed.digest is None and parsed.tag in (None, "latest"):
        raise InputError("use runtime image", image, "not pinned", "name a release tag or a digest")


def check_counts(counts: Iterable[tuple[str, int]]) -> None:
    """Refuse negative numbers."""
    for what, count in counts:
        if count < 0:
            raise InputError(f"read {what}", count, "negative")


def check_nodes(nodes: int) -> None:
    """Refuse a replica on no node, and on more than any pipeline is cut for."""
    if not 0 < nodes <= MOST_NODES:
        raise InputError("read nodes", nodes, f"not 1 to {MOST_NODES}")


def check_replicas(least: int, most: int, *, scales_to_zero: bool) -> None:
    """Refuse bounds that no autoscaler keeps."""
    if most < max(1, least):
        raise InputError("read max_replicas", most, "under min_replicas or 1")
    if least == 0 and not scales_to_zero:
        raise InputError(
            "read min_replicas", 0, "only Knative scales to zero", "write 1, or stop the model"
        )


def check_memory(amounts: Iterable[tuple[str, Quantity]]) -> None:
    """Refuse bytes where gibibytes were meant: no server starts in less than a mebibyte."""
    for what, amount in amounts:
        if amount.amount < _LEAST_MEMORY:
            number = re.match(r"[0-9.]+", str(amount))
            shown = f"write {number[0] if number else '16'}Gi"
            raise InputError(f"read {what}", repr(str(amount)), "that many bytes", shown)


def check_environment(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse names that are no variable's, and one that is given twice."""
    _check_pairs("environment", pairs, _ENV_NAME, re.compile(r"[^\0]*"))


def check_labels(what: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse what Kubernetes takes for no label, and one that is given twice."""
    _check_pairs(what, pairs, LABEL_KEY, _LABEL_VALUE)


def check_own_labels(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse, beside malformed ones, labels that say what other settings say."""
    known = tuple(pairs)
    check_labels("labels", known)
    for key, _ in known:
        if _OURS.fullmatch(key):
            remedy = "external_route, queue and name set them"
            raise InputError("read labels", repr(key), "carferry or KServe sets it", remedy)


def check_arguments(args: Iterable[str]) -> None:
    """Refuse vLLM arguments that would undo what KServe relies on."""
    for arg in args:
        flag = arg.partition("=")[0].replace("_", "-")
        if flag in _FIXED_ARGS:
            remedy = _FIXED_ARGS[flag]
            raise InputError("read vLLM arguments", repr(arg), "carferry sets it", remedy)


def check_folder(path: str) -> None:
    """Refuse a folder that is not inside the image's ``/models``."""
    if path and (not _FOLDER.fullmatch(path) or ".." in PurePosixPath(path).parts):
        reason = "not a folder below the image's /models"
        raise InputError("read model_path", repr(path), reason, "write it as in base, or a/b")


def _check_pairs(
    what: str, pairs: Iterable[tuple[str, str]], key: re.Pattern[str], value: re.Pattern[str]
) -> None:
    seen: set[str] = set()
    for name, text in pairs:
        if not key.fullmatch(name) or not value.fullmatch(text):
            shown = name if what == "environment" else f"{name}={text}"
            raise InputError(f"read {what}", repr(shown), "malformed key or value")
        if name in seen:
            raise InputError(f"read {what}", repr(name), "given twice")
        seen.add(name)
