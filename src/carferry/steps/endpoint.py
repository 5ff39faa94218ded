"""Step: a served model is asked as its clients will ask it, and perhaps measured."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carferry.endpoint.tasks import NAMES
from carferry.errors import ClusterError, EndpointFailed, InputError
from carferry.form.readers import read_path, read_text
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.addresses import check_address
from carferry.io.net.retry import Retry
from carferry.steps.access import patience
from carferry.steps.cluster import connected
from carferry.steps.lines import teller
from carferry.steps.tested import Tested, Untested

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster
    from carferry.endpoint.run import Wanted
    from carferry.endpoint.tested import Expected
    from carferry.serve.deployed import Deployed
    from carferry.steps.fitted import Fit
else:
    Cluster = Fit = Any  # whoever asks for the types of a function needs the names alone

ANSWER, LOAD = "answer", "load"
NO, SHORT = LOADS = ("no", "short")
"""How much is measured: nothing, or a few seconds each at 1, 4 and 16 streams."""
_log = logging.getLogger("carferry")
_MOST_TOKEN = 64 * 1024
_SETTLING_S = 30.0
_SETTLING = (401, 403, 404, 502, 503, 504)
_PAUSE_S = 1.0


def test_endpoint(
    name: str,
    *,
    namespace: str = "",
    model: str = "",
    task: str = "",
    load: str = NO,
    plan: Fit | str | Path | None = None,
    token_file: str | Path | None = None,
    progress: bool = False,
    kubeconfig: str | Path | None = None,
    context: str = "",
    ca_file: str | Path | None = None,
    connect: Callable[[], Cluster] | None = None,
    retry: Retry | None = None,
) -> Tested:
    """Ask a served model once, by its own task, and measure it under a short load.

    A name is looked up in the cluster; it is asked at its address, in the cluster, or at its
    route, or through the API server's proxy, whichever leads there from here. Its token is read
    from the Secret that ``deploy`` made.

    Args:
        name: Of an InferenceService or LLMInferenceService; or ``http(s)://host[:port][/path]``.
        namespace: Its project; default the pod's own, or the kubeconfig's.
        model: Name that must be served; default the service's, at an address the first there is.
        task: ``chat``, ``completion``, ``embedding``, ``transcription`` or ``score``; default
            what the server takes.
        load: ``no``, or ``short``: 1, 4 and 16 requests at once, five seconds each.
        plan: What it is compared with: of ``carferry.fit``, or a file of ``plan --json``.
        token_file: File with a token for the endpoint.
        progress: True says on stderr what is measured.
        kubeconfig: File with the cluster and the login; default the pod's, or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        ca_file: PEM certificates to trust besides: a file or a folder.
        connect: Reaches the cluster some other way.
        retry: How often what is away for the moment is asked again; default ``patience``.

    Returns:
        What answered, how fast, and the numbers of the load.

    Raises:
        EndpointFailed: It does not answer, or wrongly.
        Unreachable: No way leads there from here.
        InputError: An argument cannot be meant.

    Example:
        >>> import carferry
        >>> carferry.test_endpoint("granite", load="heavy")
        Traceback (most recent call last):
            ...
        carferry.errors.InputError: read load 'heavy': none of no, short
    """
    from carferry.endpoint.load import Load
    from carferry.endpoint.run import probe

    text = read_text("name", name)
    _check(text, task, load)
    expected, token = _expected(plan), _token(token_file)
    laid = Load() if load == SHORT else None
    report = teller(progress)

    def once() -> Tested:
        if "://" in text:
            ways, wanted = _at(text, token, ca_file), _wanted(text, model, task, expected)
        else:
            cluster = connect() if connect else connected(kubeconfig, context, ca_file)
            ways, wanted = _in(cluster, text, namespace, token, ca_file, model, task, expected)
        return Tested(probe(ways, wanted, load=laid, report=report))

    return (retry or patience()).call(once, first=lambda: True)


def test_deployed(made: Deployed, test: str = ANSWER, **more: Any) -> Tested | Untested:
    """Ask what a step has deployed, as its settings wish; what no way leads to is not asked.

    Args:
        made: By ``deploy`` or ``render``.
        test: ``no``, ``answer`` or ``load``.
        **more: Keywords of ``test_endpoint``.

    Raises:
        EndpointFailed: It does not answer, or wrongly.
    """
    if not made.applied:
        return Untested("Not asked: the objects were only written, for somebody else to apply.")
    if not made.ready:
        return Untested("Not asked: nobody waited until it was ready.")
    if test == NO:
        return Untested("Not asked: the settings say test=no.")
    load = SHORT if test == LOAD else NO
    return _if_reached(
        lambda: test_endpoint(made.name, namespace=made.namespace, load=load, **more), _SETTLING_S
    )


def answer_of(
    name: str,
    namespace: str,
    cluster: Cluster,
    ca_file: str | Path | None = None,
    report: Callable[[str], None] = _log.info,
    *,
    within_s: float = _SETTLING_S,
) -> str:
    """Ask what has just become ready once, and return in a line what it answered.

    A route, a token and a proxy may come some seconds after the pod. What no way leads to from
    here may answer its clients all the same: that is reported, and nothing is returned.

    Args:
        name: Of the InferenceService.
        namespace: Its project.
        cluster: Where.
        ca_file: As for ``test_endpoint``.
        report: Called with the answer, or with why there is none.
        within_s: Seconds in which it must answer.

    Raises:
        EndpointFailed: It does not answer, or wrongly.
    """
    from carferry.endpoint.run import probe
    from carferry.endpoint.tested import Expected

    def once() -> Tested:
        ways, wanted = _in(cluster, name, namespace, "", ca_file, "", "", Expected())
        return Tested(probe(ways, wanted))

    found = _if_reached(once, within_s)
    report(found.headline)
    return found.headline if isinstance(found, Tested) else ""


def _if_reached(work: Callable[[], Tested], within_s: float) -> Tested | Untested:
    """Return what a model answers that has just become ready, if a way leads there from here."""
    from carferry.endpoint.run import NoWay

    try:
        return _settled(work, within_s)
    except (NoWay, ClusterError) as error:
        words = f"({error.subject}: {error.reason})"
        return Untested(f"Not asked: no way leads there from here {words}.")


def _settled(work: Callable[[], Tested], within_s: float) -> Tested:
    """Return what a model answers that has just become ready, once it does."""
    until = time.monotonic() + within_s
    while True:
        try:
            return work()
        except EndpointFailed as error:
            if error.status not in _SETTLING or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)


def _check(name: str, task: str, load: str) -> None:
    if not name:
        raise InputError("test", "", "no name given", "pass the name of a deployment, or a URL")
    if task and task not in NAMES:
        raise InputError("read task", repr(task), f"none of {', '.join(NAMES)}")
    if load not in LOADS:
        raise InputError("read load", repr(load), f"none of {', '.join(LOADS)}")


def _at(url: str, token: str, ca_file: str | Path | None) -> list[Any]:
    from carferry.endpoint.door import Direct
    from carferry.io.net.http import Http

    check_address(url, "test")
    place = url.rstrip("/").removesuffix("/v1").rstrip("/")
    return [Direct(place, token, Http(ca_file=read_path("ca_file", ca_file)))]


def _wanted(name: str, model: str, task: str, expected: Expected, **more: Any) -> Wanted:
    from carferry.endpoint.run import Wanted

    return Wanted(name, model, task, expected, **more)


def _in(
    cluster: Cluster,
    name: str,
    namespace: str,
    token: str,
    ca_file: Any,
    model: str,
    task: str,
    expected: Expected,
) -> tuple[Any, Wanted]:
    """Return the ways to a deployment, and what it should serve."""
    from carferry.endpoint.find import doors, find, token_of
    from carferry.endpoint.tested import Expected
    from carferry.io.net.http import Http

    place = read_text("namespace", namespace) or cluster.namespace
    found = find(cluster.api, name, place)
    token = token or (token_of(cluster.api, found) if found.has_auth else "")
    length = found.max_model_len or expected.max_model_len
    wanted = _wanted(
        f"{place}/{name}", model or found.model, task, Expected(length, expected.kv_tokens),
        has_auth=found.has_auth, unready=found.reason,
    )  # fmt: skip
    http = Http(ca_file=read_path("ca_file", ca_file))
    return doors(cluster.api, found, token=token, http=http), wanted


def _expected(plan: Fit | str | Path | None) -> Expected:
    """Return what a plan foresaw.

    Raises:
        InputError: A file that is no plan.
    """
    from carferry.endpoint.tested import Expected

    if plan is None or plan == "":
        return Expected()
    if not isinstance(plan, str | Path):
        return _foreseen(plan.as_json())
    try:
        document = parsed_object(Path(plan).expanduser().read_bytes())
    except (OSError, NotJson) as error:
        raise InputError("read plan", plan, str(error), "write it: carferry plan --json") from error
    fit = document.get("fit", document)
    if not isinstance(fit, Mapping) or "kv_tokens" not in fit:
        remedy = "write it: carferry plan MODEL --gpu 'L40S x2' --json"
        raise InputError("read plan", plan, "it holds no plan for GPUs", remedy)
    return _foreseen(fit)


def _foreseen(fit: Mapping[str, Any]) -> Expected:
    from carferry.endpoint.tested import Expected

    length, tokens = fit.get("max_model_len"), fit.get("kv_tokens")
    return Expected(
        length if isinstance(length, int) else 0, tokens if isinstance(tokens, int) else 0
    )


def _token(file: str | Path | None) -> str:
    """Return the token that a file holds, without a line end.

    Raises:
        InputError: It cannot be read, or holds no token; what it holds is not repeated.
    """
    path = read_path("token_file", file)
    if path is None:
        return ""
    try:
        with path.open("rb") as file_:
            text = file_.read(_MOST_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("read token", path, "no readable text", "write a token into it") from error
    if not text or not text.isprintable() or " " in text:
        raise InputError("read token", path, "no token in it", "one line, nothing else")
    return text
