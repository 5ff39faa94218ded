"""Does it answer: the models that are served, and one request of the model's own task.

A model's task is the server's to know: it refuses what its model cannot do (404 for a route that
is not there, 400 for a model without a chat template), so it is asked one task after the other,
and that costs milliseconds. An error of its own (500) or a model that is not there ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.endpoint.asking import Refused, get, post
from carferry.endpoint.door import Door
from carferry.endpoint.refusals import names_no_model, words
from carferry.endpoint.tasks import TASKS, Misread, Task, of_name
from carferry.errors import EndpointFailed

_ACTION = "ask"
_TOKENS = 16
_NOT_ITS_TASK = (400, 404, 405, 422, 501)
_VLLM = "vllm"


@dataclass(frozen=True, slots=True)
class Served:
    """One model of ``/v1/models``.

    Attributes:
        name: What requests name it by.
        max_model_len: Longest sequence in tokens; 0 if the server does not say.
        owner: Who made the server; ``vllm``.
    """

    name: str
    max_model_len: int
    owner: str

    @property
    def is_vllm(self) -> bool:
        """Whether it takes vLLM's own wishes."""
        return self.owner == _VLLM


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered to one request.

    Attributes:
        model: The one that was asked.
        models: All names that are served.
        task: ``chat``, ``completion``, ``embedding``, ``transcription`` or ``score``.
        said: The answer in a few words.
        seconds: From the request to the whole answer.
    """

    model: Served
    models: tuple[str, ...]
    task: Task
    said: str
    seconds: float


def ask(
    door: Door,
    *,
    model: str = "",
    max_model_len: int = 0,
    task: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Ask a server for its models, and one of them for an answer.

    Args:
        door: How it is asked.
        model: The name that must be served; empty takes the first.
        max_model_len: What it must be served with; 0 does not care.
        task: Of the model; empty finds it out.
        clock: Monotonic seconds.

    Raises:
        EndpointFailed: Something else is served, or what answers is no model.
        ClusterError: The API server does not let this login through.
        Unreachable: Nothing answers.
    """
    served = models(door)
    chosen = _chosen(door, served, model)
    if max_model_len and chosen.max_model_len and chosen.max_model_len != max_model_len:
        reason = (
            f"{chosen.name} is served with max_model_len {chosen.max_model_len}, deployed with "
            f"{max_model_len}"
        )
        remedy = "does an older pod still serve? carferry deploy waits for the new one"
        raise EndpointFailed(_ACTION, door.subject, reason, remedy)
    began = clock()
    found, said = _answered(door, chosen, (of_name(task),) if task else TASKS)
    return Answer(chosen, tuple(each.name for each in served), found, said, clock() - began)


def models(door: Door) -> tuple[Served, ...]:
    """Return what a server says it serves, at least one.

    Raises:
        EndpointFailed: It is no model server, or serves nothing.
        ClusterError: The API server does not let this login through.
        Unreachable: Nothing answers.
    """
    found = tuple(_listed(get(door, _ACTION, "/v1/models")))
    if not found:
        raise EndpointFailed(_ACTION, door.subject, "/v1/models names no model")
    return found


def _listed(document: Mapping[str, Any]) -> Iterator[Served]:
    data = document.get("data")
    for each in data if isinstance(data, list) else ():
        if isinstance(each, dict) and isinstance(name := each.get("id"), str) and name:
            length, owner = each.get("max_model_len"), each.get("owned_by")
            known = isinstance(length, int) and not isinstance(length, bool)
            yield Served(name, int(length or 0) if known else 0, str(owner or ""))


def _chosen(door: Door, served: tuple[Served, ...], model: str) -> Served:
    for each in served:
        if model in ("", each.name):
            return each
    names = ", ".join(each.name for each in served[:10])
    reason = f"no model {model} is served, but {names}"
    raise EndpointFailed(_ACTION, door.subject, reason, "pass --model with one of these names")


def _answered(door: Door, model: Served, tasks: tuple[Task, ...]) -> tuple[Task, str]:
    """Return the first task that is answered, and the answer in words."""
    first: Refused | None = None
    tried = []
    for task in tasks:
        request = task.ask(model.name, "", _TOKENS)
        try:
            answer = post(door, _ACTION, task.path, request.body, content_type=request.content_type)
            return task, task.read(answer)
        except Misread as error:
            reason = f"{task.path} answers with {error}"
            raise EndpointFailed(_ACTION, door.subject, reason) from error
        except Refused as refused:
            if refused.status not in _NOT_ITS_TASK or names_no_model(refused.body):
                raise refused.error from None
            first = first or refused
            tried.append(f"{task.name}: {refused.status} {words(refused.body)}")
    if len(tried) == 1 and first:
        raise first.error
    reason = f"{model.name} takes none of what was asked ({'; '.join(tried)})"
    raise EndpointFailed(_ACTION, door.subject, reason, "pass --task if you know it")
