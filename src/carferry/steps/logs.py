"""Where the log of a start of vLLM comes from: a file, a stream, or a pod of the cluster."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from carferry.cluster.kinds import KINDS, Object, Permission, ResourceKind
from carferry.errors import CarferryError, InputError
from carferry.gpu.inventory.labels import product_of
from carferry.gpu.inventory.resources import GPU
from carferry.io.files import failed

POD = "pod/"
MOST_BYTES = 1 << 30
"""Of a file; a start stands at its beginning."""

_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LINE = 1 << 16
_OF_POD = 32 * 1024 * 1024  # bytes; the kubelet keeps 10 MiB of a log unless told otherwise
_NODE = ResourceKind("", "v1", "nodes")
_SERVERS = ("kserve-container", "vllm", "main")


class Reads(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def call(self, permission: Permission, name: str = "") -> Object:
        """Send one request and return the object the server answers with."""

    def text(self, permission: Permission, name: str, query: dict[str, str]) -> str:
        """Return a text that is no JSON object: a log."""


@dataclass(frozen=True, slots=True)
class Log:
    """Lines, and what stands beside them in the cluster.

    Attributes:
        image: That served; empty if the log is a file.
        gpu: What the node's label says; empty likewise.
    """

    name: str
    lines: Iterator[bytes]
    image: str = ""
    gpu: str = ""


def open_log(log: str | Path, namespace: str, reach: Callable[[], Any]) -> Log:
    """Open a log.

    Args:
        log: A file, ``-`` for stdin, or ``pod/NAME``.
        namespace: Of the pod; empty means the connection's.
        reach: Connects to the cluster.

    Raises:
        InputError: No such file, or a name that cannot be one.
        ClusterError: The pod or its log may not be read.
    """
    name = str(log)
    if name.startswith(POD):
        pod = name.removeprefix(POD)
        if not _POD.fullmatch(pod):
            raise InputError("read the log", name, "no name of a pod", "write pod/NAME")
        return _of_pod(reach(), namespace, pod)
    if name == "-":
        return Log("stdin", lines_of(sys.stdin.buffer))
    try:
        stream = Path(name).open("rb")  # noqa: SIM115 - read while it is parsed, closed by its reader
    except OSError as error:
        reason = failed("read the log", name, error).reason
        raise InputError("read the log", name, reason, "name a file, - or pod/NAME") from error
    return Log(name, _closing(stream))


def lines_of(stream: BinaryIO, most: int = MOST_BYTES) -> Iterator[bytes]:
    """Yield the lines of a stream, each cut at 64 KiB, until so many bytes were read."""
    read, is_rest = 0, False
    while read < most and (line := stream.readline(_LINE)):
        read += len(line)
        if not is_rest:
            yield line
        is_rest = not line.endswith(b"\n")


def _closing(stream: BinaryIO) -> Iterator[bytes]:
    try:
        with stream:
            yield from lines_of(stream)
    except OSError as error:
        name = getattr(stream, "name", "the log")
        raise InputError("read the log", name, error.strerror or str(error)) from error


def _of_pod(api: Reads, namespace: str, name: str) -> Log:
    where = namespace or api.namespace
    pod = api.call(Permission("get", KINDS["Pod"], where), name)
    container = _server(pod.get("spec") or {}, f"{POD}{name}")
    query = {"container": str(container.get("name")), "limitBytes": str(_OF_POD)}
    text = api.text(Permission("get", KINDS["Pod"], where, "log"), name, query)
    lines = iter(text.encode("utf-8", "replace").splitlines(keepends=True))
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    gpu = _product(api, node, _resource(container))
    return Log(f"{POD}{name}", lines, str(container.get("image") or ""), gpu)


def _resource(container: Object) -> str:
    """Return the extended resource that a container has; the usual one if it names none."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return next((str(name) for name in limits if "/" in str(name)), GPU)


def _server(spec: Object, name: str) -> Object:
    """Return the container that serves: by its name, else the first."""
    found = spec.get("containers")
    containers = [each for each in found if isinstance(each, dict)] if found else []
    if not containers:
        raise InputError("read the log", name, "the pod has no container")
    by_name = {each.get("name"): each for each in reversed(containers)}
    return next((by_name[each] for each in _SERVERS if each in by_name), containers[0])


def _product(api: Reads, node: str, resource: str) -> str:
    """Return the GPU that a node's label names; nothing if nodes may not be read."""
    with suppress(CarferryError):
        found = api.call(Permission("get", _NODE, ""), node) if node else {}
        labels = (found.get("metadata") or {}).get("labels") or {}
        return product_of(labels, resource)
    return ""
