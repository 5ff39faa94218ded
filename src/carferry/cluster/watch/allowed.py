"""What may not be read is not the same as nothing: the one is None, the other empty."""

from __future__ import annotations

import logging
from collections.abc import Callable

from carferry.cluster.kinds import Object
from carferry.errors import ClusterError

logger = logging.getLogger("carferry")

_CLOSED = (401, 403, 404)


def if_allowed(ask: Callable[[], list[Object]]) -> list[Object] | None:
    """Return what was asked for; None if this user may not see it.

    A pipeline's ServiceAccount may not read everything unless granted; the pods still say that
    something is wrong, events and nodes only add why.

    Raises:
        ClusterError: Any other refusal.
    """
    try:
        return ask()
    except ClusterError as error:
        if error.status not in _CLOSED:
            raise
        logger.debug("%s", error)
        return None
