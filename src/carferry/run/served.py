"""Whether a deployment is what a run would make of it: this digest, Ready, and asked for alike.

What was asked is kept as an annotation of the connection Secret once the model serves: KServe hands
the InferenceService's own annotations on to the pods, so that writing one there would restart them.
Source: kserve v0.20.0, pkg/controller/v1beta1/inferenceservice/components/predictor.go.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from carferry import __version__
from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.errors import CarferryError, ClusterError
from carferry.steps.deploy import deploy_or_render

if TYPE_CHECKING:
    from carferry.cluster.api import Api
    from carferry.serve.settings import Deployment
    from carferry.serve.step import Deployed

ASKED = "carferry.dev/asked"
_log = logging.getLogger("carferry")


def asked_of(wishes: dict[str, Any]) -> str:
    """Return an id of what is asked of a deployment, whatever a GPU plan makes of it.

    Args:
        wishes: Plain values. Another version of carferry may make other objects of the same.
    """
    text = json.dumps([__version__, wishes], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def is_served(api: Api, wanted: Deployment, digest: str, asked: str) -> bool:
    """Return whether an image is served, Ready, as this run asks for; False if nobody may say.

    Args:
        api: The cluster.
        wanted: Name and namespace count.
        digest: Of the image.
        asked: As ``asked_of`` gives it.

    Raises:
        CarferryError: The cluster does not answer for the moment.
    """
    try:
        service = _get(api, "InferenceService", wanted.name, wanted.namespace)
        if digest not in json.dumps(service.get("spec")) or not _is_ready(service):
            return False
        secret = _get(api, "Secret", wanted.connection, wanted.namespace)
    except ClusterError as error:
        if error.temporary:
            raise
        return False
    return (secret["metadata"].get("annotations") or {}).get(ASKED) == asked


def deploy_asked(serve: str, image: str, asked: str, **form: Any) -> Deployed:
    """Deploy or render an image, and once it serves keep what was asked for it.

    Args:
        serve: ``deploy`` or ``render``.
        image: As for ``deploy``.
        asked: As ``asked_of`` gives it; empty keeps nothing.
        **form: Keywords that both take.
    """
    made = deploy_or_render(serve, image, **form)
    if made.ready and asked:
        _keep(asked, image, made, form)
    return made


def _keep(asked: str, image: str, made: Deployed, form: dict[str, Any]) -> None:
    """Write the annotation; without it the next run goes all the way, and finds nothing to do."""
    from carferry.cluster.api import connect
    from carferry.serve.form import make_deployment

    wanted = make_deployment(image, name=made.name, namespace=made.namespace)
    right = Permission("patch", KINDS["Secret"], made.namespace)
    body = {"metadata": {"annotations": {ASKED: asked}}}
    try:
        connect(ca_file=form.get("ca_file")).call(
            right,
            wanted.connection,
            method="PATCH",
            body=body,
            content_type="application/merge-patch+json",
        )
    except CarferryError as error:
        _log.warning("the next run will deploy again: %s", error)


def _get(api: Api, kind: str, name: str, namespace: str) -> Object:
    return api.call(Permission("get", KINDS[kind], namespace), name)


def _is_ready(service: Object) -> bool:
    conditions = (service.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
