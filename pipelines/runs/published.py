"""The logs that the launcher puts into the object store, read by links the server signs.

No credentials of the store are needed. Releases from 3.4 on keep the log of a failed step
only, older ones that of a step that went well. Only OpenShift AI's server knows the paths.

Source: red-hat-data-services/data-science-pipelines, backend/api/v2beta1/artifacts.proto and
backend/src/v2/component/launcher_v2.go: ``.../RUN/TASK/SALT/executor-logs-TRY``.
"""

from __future__ import annotations

from urllib3.exceptions import HTTPError

from carferry.errors import ClusterError
from carferry.io.net.bodies import tail
from carferry.io.net.http import Http, unreachable
from carferry.pipelines.server.answers import objects
from carferry.pipelines.server.requests import LONGEST_BYTES, Server

_LIST = (
    "/apis/v2beta1/artifacts?namespace={namespace}"
    "&max_result_size=100&order_by_field=ID&order_by=desc"
)
_LINK = "/apis/v2beta1/artifacts/{artifact}?view=DOWNLOAD"
_MOST = 8  # logs of one step: the turns of a loop, and its tries
_TAIL_BYTES = 1 << 18


def read(server: Server, run_id: str, task: str) -> str:
    """Return the published logs of a step, the newest last.

    Raises:
        ClusterError: There is none, or the server or the store refused.
        Unreachable: No answer, of the server or of the store.
    """
    listed = objects(server.read(_LIST, namespace=server.endpoint.namespace).get("artifacts"))
    place = f"/{run_id}/{task}/"
    mine = [
        str(each.get("artifact_id"))
        for each in listed
        if place in str(each.get("uri")) and "/executor-logs" in str(each.get("uri"))
    ]
    if not mine:
        raise ClusterError("read log", task, "none was published")
    return "\n".join(_fetched(server, artifact) for artifact in reversed(mine[:_MOST]))


def _fetched(server: Server, artifact: str) -> str:
    link = str(server.read(_LINK, artifact=artifact).get("download_url") or "")
    if not link.startswith(("http://", "https://")):
        raise ClusterError("read log", f"artifact {artifact}", "the server signs no link")
    answer = Http(ca_file=server.endpoint.ca).request("GET", link)
    try:
        if answer.status != 200:
            raise ClusterError("read log", f"artifact {artifact}", f"{answer.status} of the store")
        kept = tail(answer, _TAIL_BYTES, LONGEST_BYTES)
    except (HTTPError, OSError) as error:
        raise unreachable("GET", link, error) from error
    finally:
        answer.close()
    return kept.decode("utf-8", "replace")
