"""Whether the Deployment is the one that was asked for, or still that of before the change.

KServe needs a moment to see a change; until then the old Deployment is available and the
InferenceService is ready. So the server's container is compared with what the service and its
ServingRuntime ask for, as KServe merges them.

Source: kserve/kserve v0.20 (pkg/controller/v1beta1/inferenceservice/utils/utils.go:
MergeRuntimeContainers, MergePodSpec, ReplacePlaceholders, UpdateImageTag).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from carferry.cluster.kinds import Object
from carferry.cluster.kserve import MODELCARS
from carferry.cluster.quantity import Quantity
from carferry.cluster.watch.look import container, image_volumes, is_over, name_of
from carferry.cluster.watch.observe import Observation
from carferry.errors import InputError

_PLACEHOLDER = re.compile(r"\{\{-? *\.(Name|Namespace) *-?\}\}")
# KServe's own (pkg/constants/constants.go).
_ADDED = {"INFERENCE_SERVICE_NAME", "MODEL_INIT_MODE"}
_OF_PODS = ("nodeSelector", "tolerations", "volumes")


def behind(seen: Observation) -> str:
    """Return what of the wish the Deployment or its pods do not have yet; empty if nothing."""
    have = _template(seen)
    if server := _named(have.get("containers"), seen.server):
        for what, lacks in _lacking(seen, have, server):
            if lacks:
                return f"the Deployment does not have the new {what} yet"
    return _wrong_image(seen)


def is_doubtful(seen: Observation) -> bool:
    """Return whether the Deployment has more than was asked for.

    It may be what was taken away and KServe has not seen yet, or something that KServe or a
    webhook adds: only time tells.
    """
    server = _named(_template(seen).get("containers"), seen.server)
    if not server or seen.runtime is None:
        return False
    names = {each["name"] for each in server.get("env") or ()}
    wanted = {each["name"] for part in _parts(seen) for each in part.get("env") or ()}
    return bool(names - wanted - _ADDED) or list(server.get("args") or ()) != _args(seen)


def _lacking(seen: Observation, have: Object, server: Object) -> Iterator[tuple[str, bool]]:
    runtime, model = _parts(seen)
    yield "arguments", not _is_within(_args(seen), server.get("args") or ())
    for part in ("env", "resources"):
        wanted = _merged(runtime.get(part), model.get(part))
        yield part, not holds(server.get(part), wanted)
    yield "runtime image", _is_other(str(server.get("image", "")), str(runtime.get("image", "")))
    spec = seen.service.get("spec") or {}
    for part in _OF_PODS:
        yield part, not holds(have.get(part), (spec.get("predictor") or {}).get(part))


def holds(have: Any, wanted: Any) -> bool:
    """Return whether everything wanted is there; more may be. Amounts count as numbers.

    Args:
        have: As the server wrote it, with its defaults.
        wanted: Any JSON; lists of named parts are compared by name.
    """
    if not wanted:
        return True
    if isinstance(wanted, dict):
        return isinstance(have, dict) and all(holds(have.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return all(any(holds(one, each) for one in have or ()) for each in wanted)
    return str(have) == str(wanted) or _amount(have) == _amount(wanted) != ""


def _merged(runtime: Any, model: Any) -> Any:
    """Return parts of a container as KServe merges them: the model's over the runtime's."""
    if isinstance(runtime, dict) and isinstance(model, dict):
        return {k: _merged(runtime.get(k), model.get(k)) for k in {**runtime, **model}}
    if isinstance(runtime, list) and isinstance(model, list):
        names = {each.get("name") for each in model}
        return [*(each for each in runtime if each.get("name") not in names), *model]
    return model or runtime


def _args(seen: Observation) -> list[str]:
    about = seen.service["metadata"]
    facts = {"Name": about.get("name", ""), "Namespace": about.get("namespace", "")}
    runtime, model = _parts(seen)
    filled = [
        _PLACEHOLDER.sub(lambda found: str(facts[found[1]]), str(each))
        for each in runtime.get("args") or ()
    ]
    return [*filled, *map(str, model.get("args") or ())]


def _is_within(wanted: Sequence[str], have: Sequence[str]) -> bool:
    """Return whether arguments are there in their order; those with other placeholders anyhow."""
    left = iter(have)
    return all(each in left for each in wanted if "{{" not in each)


def _is_other(have: str, wanted: str) -> bool:
    # A tag is made another by KServe for some servers (-gpu, -cpu); a digest never is.
    return "@sha256:" in wanted and have != wanted


def _wrong_image(seen: Observation) -> str:
    model = _model(seen)
    image = str(model.get("storageUri") or model.get("uri") or "").partition("://")[2]
    for pod in (each for each in seen.current if not is_over(each)):
        if image and (served := _mounted(pod)) and image not in served:
            return f"pod {name_of(pod)} still serves {served[0]}"
    return ""


def _mounted(pod: Object) -> list[str]:
    """Return the model images of a pod: of KServe's sidecar, or of image volumes."""
    sidecar = str(container(pod, MODELCARS[0]).get("image", ""))
    return [each for each in (sidecar, *image_volumes(pod).values()) if each]


def _parts(seen: Observation) -> tuple[Object, Object]:
    """Return the server's container of the ServingRuntime, and what the service says of it."""
    spec = (seen.runtime or {}).get("spec") or {}
    return _named(spec.get("containers"), seen.server), _model(seen)


def _template(seen: Observation) -> Object:
    template = ((seen.deployment or {}).get("spec") or {}).get("template") or {}
    spec: Object = template.get("spec") or {}
    return spec


def _named(every: Any, name: str) -> Object:
    return next((each for each in every or () if each.get("name") == name), {})


def _model(seen: Observation) -> Object:
    spec = seen.service.get("spec") or {}
    model: Object = (spec.get("predictor") or spec).get("model") or {}
    return model


def _amount(text: Any) -> str:
    try:
        return str(Quantity.of(text).amount.normalize())
    except InputError:
        return ""
