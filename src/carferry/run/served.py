"""Whether a deployment is what a run would make of it: this digest, Ready, and asked for alike."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from carferry import __version__
from carferry.cluster.kinds import KINDS, Object
from carferry.errors import ClusterError
from carferry.serve.notes import ASKED, noted
from carferry.steps.deploy import deploy_or_render
from carferry.steps.endpoint import test_deployed
from carferry.steps.tested import Tested, Untested

if TYPE_CHECKING:
    from carferry.cluster.api import Api
    from carferry.serve.deployed import Deployed
    from carferry.serve.settings import Deployment


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
        service = api.get(KINDS[wanted.kind.resource], wanted.namespace, wanted.name) or {}
        if digest not in json.dumps(service.get("spec")) or not _is_ready(service):
            return False
        return noted(api, wanted.namespace, wanted.name, ASKED) == asked
    except ClusterError as error:
        if error.temporary:
            raise
        return False


def deploy_asked(
    serve: str, image: str, asked: str, test: str, **form: Any
) -> tuple[Deployed, Tested | Untested]:
    """Deploy or render an image, ask it, and keep what was asked for once it has answered.

    Args:
        serve: ``deploy`` or ``render``.
        image: As for ``deploy``.
        asked: As ``asked_of`` gives it; empty keeps nothing.
        test: As for ``test_deployed``.
        **form: Keywords that both take.
    """
    kept: list[Tested | Untested] = []

    def question(live: Deployed) -> str:
        kept.append(test_deployed(live, test))
        return kept[0].headline

    made = deploy_or_render(serve, image, test=question, asked=asked, **form)
    return made, kept[0] if kept else test_deployed(made, test)


def _is_ready(service: Object) -> bool:
    conditions = (service.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
