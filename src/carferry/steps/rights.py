"""Step: may this account do what the run will need; asked before any work is done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from carferry.cluster import grants, rights
from carferry.cluster.account import Account
from carferry.cluster.discovery import served
from carferry.cluster.kinds import TEMPLATES, Object, Permission
from carferry.cluster.rights import Need
from carferry.errors import ClusterError, InputError, RightsMissing
from carferry.gpu.inventory.listing import SHARED
from carferry.io.net.retry import Retry
from carferry.serve.platforms import AUTO, PLATFORMS, discover
from carferry.steps.access import patience
from carferry.steps.results import Result

DEPLOY, RENDER, NO = SERVE = ("deploy", "render", "no")
"""What becomes of an image: served, written as objects for GitOps, or only pushed."""
UNCHECKED = "none"
"""GPUs that nobody plans for."""
# Forbidden, unknown, not allowed or not implemented: this server does not answer such questions.
_NO_ANSWER = (403, 404, 405, 501)
_AUTH = "manifests/auth"
_FOLDERS = {"serviceaccounts": _AUTH, "roles": _AUTH, "rolebindings": _AUTH}
_FOLDERS |= {"jobs": "manifests/buildah", "llminferenceservices": "manifests/llm"}
_WARM = "manifests/warm"
_DELETE = "manifests/delete"
_BOUND = "pipeline-runner-dspa"
"""The account that the folders bind: for any other, applying them changes nothing."""
_log = logging.getLogger("carferry")


class RightsApi(rights.Asks, Protocol):
    """A connection that also knows whose it is."""

    def whoami(self) -> str:
        """Return the user name the server knows this connection by."""

    def read(self, path: str) -> Object:
        """Return the JSON object at a path."""


@dataclass(frozen=True, slots=True)
class Rights(Result):
    """What an account was asked about and what it lacks.

    Attributes:
        account: ``PROJECT/NAME`` of a ServiceAccount, or a user; empty if nothing is missing.
        asked: How many permissions the run needs.
        missing: Those that are not held, also the ones a run can do without.
        summary: The same in a few words.
        manifest: YAML that grants what is missing.
        note: Why nothing was checked; empty if it was.
        project: Of a ServiceAccount; empty for a person.
    """

    account: str = ""
    asked: int = 0
    missing: tuple[Need, ...] = ()
    summary: str = ""
    manifest: str = ""
    note: str = ""
    project: str = ""

    @property
    def stops(self) -> tuple[Need, ...]:
        """What the run cannot do without."""
        return tuple(each for each in self.missing if not each.without)

    @property
    def text(self) -> str:
        """The answer in one line."""
        if self.note:
            return f"rights were not checked: {self.note}"
        if not self.missing:
            return f"all {self.asked} rights that this run needs are there"
        lacks = f"{self.account} lacks {len(self.missing)} of {self.asked} rights: {self.summary}"
        spared = [each for each in self.missing if each.without]
        if self.stops:
            return f"{lacks}; it can do without {grants.brief(spared)}" if spared else lacks
        return "; ".join((lacks, *dict.fromkeys(each.without for each in spared)))

    @property
    def markdown(self) -> str:
        """The answer as a section of a report; empty if nothing was asked."""
        if not self.asked and not self.note:
            return ""
        command = "oc apply --server-side -f -"
        grant = f"\nTo grant them, `{command}` this:\n\n```yaml\n{self.manifest}```\n"
        return f"\n## Rights\n\n{self.text}\n{grant if self.missing else ''}"


def check_rights(
    serve: str,
    *,
    namespace: str = "",
    auth: bool = False,
    llm: bool = False,
    platform: str = AUTO,
    gpus: str = "",
    builder: str = "",
    deletes: bool = False,
    warms: bool = False,
    profile: str = "",
    routed: bool = False,
    tests: bool = False,
    connect: Callable[[], RightsApi] | None = None,
    report: Callable[[str], None] = _log.warning,
    retry: Retry | None = None,
) -> Rights:
    """Find out whether this account may do everything a run will need; asks, changes nothing.

    Args:
        serve: ``deploy``, ``render`` (only the YAML is made) or ``no``.
        namespace: Where the model will be served; empty means where this runs.
        auth: The endpoint will ask for a token.
        llm: It will be an LLMInferenceService.
        platform: As for a deployment; not named, it is found.
        gpus: GPUs to plan for; empty reads the cluster's, and asks for the rights to.
        builder: ``job`` if Buildah runs in a Job.
        deletes: A deployment will be removed.
        warms: Its image will be pulled on the nodes first.
        profile: Project of the hardware profile that it will name; empty: none.
        routed: It will be reachable from outside.
        tests: It will be asked, perhaps through the API server's proxy.
        connect: Reaches the cluster; default as kubectl would. Not called if nothing is needed.
        report: Called with what the run has to do without, and the YAML that would change it.
        retry: How often a server that is away is asked again.

    Raises:
        RightsMissing: The run cannot do without what is missing; holds all of it as YAML.
        InputError: ``serve`` is none of the three, or no cluster is at hand.
        ClusterError: The cluster refused the login or does not answer.
    """
    asked = {"namespace": namespace, "gpus": gpus, "builder": builder, "platform": platform}
    asked["profile"] = profile
    how = {"auth": auth, "llm": llm, "deletes": deletes, "warms": warms}
    how |= {"routed": routed, "tests": tests}
    found = find_rights(serve, connect=connect, retry=retry, **how, **asked)  # type: ignore[arg-type]
    if found.note or found.missing:
        report("\n".join(filter(None, (found.text, found.manifest.rstrip()))))
    if found.stops:
        raise _refused(found, plans=serve != NO and not gpus, deletes=deletes and serve == NO)
    return found


def find_rights(
    serve: str,
    *,
    namespace: str = "",
    auth: bool = False,
    llm: bool = False,
    platform: str = AUTO,
    gpus: str = "",
    builder: str = "",
    deletes: bool = False,
    warms: bool = False,
    profile: str = "",
    routed: bool = False,
    tests: bool = False,
    connect: Callable[[], RightsApi] | None = None,
    retry: Retry | None = None,
) -> Rights:
    """As ``check_rights``, but only return what was found.

    Raises:
        InputError: ``serve`` is none of the three, or no cluster is at hand.
        ClusterError: The cluster refused the login or does not answer.
    """
    if serve not in SERVE:
        raise InputError("read serve", repr(serve), "none of " + ", ".join(SERVE))
    plans = serve != NO and not gpus
    if serve != DEPLOY and not plans and not deletes and builder != "job":
        return Rights()
    api = (connect or _connect)()
    place = namespace or api.namespace
    needs: list[Need] = []
    again = retry or patience()
    # What is to be deleted is gone with its project: nothing is there, as at any second try.
    again.call(lambda: _look_at(api, place if serve == DEPLOY or plans else ""))
    try:
        if serve == DEPLOY:
            has_dashboard = again.call(lambda: _has_dashboard(api, platform))
            needs += rights.to_deploy(place, auth=auth, llm=llm, connection=has_dashboard)
            needs += rights.to_warm(place) if warms else []
            extras = rights.to_use_profile(profile) if profile else []
            if has_dashboard and not llm:
                extras += rights.to_use_openshift_ai(again.call(lambda: _shared(api)))
            elif routed and not llm:
                extras += rights.to_find_route(place)
            needs += again.call(lambda: _served(api, extras))
            needs += rights.to_test(place) if tests else []
        needs += rights.to_see_gpus(place) if plans else []
        needs += rights.to_delete(place) if deletes else []
        needs += rights.to_build(api.namespace) if builder == "job" else []
        lacking = again.call(lambda: rights.missing(api, needs, projects=(place, *SHARED)))
    except ClusterError as error:
        if error.status not in _NO_ANSWER:
            raise
        return Rights(note=str(error))
    return _rights(api, len({need.permission for need in needs}), lacking)


def _look_at(api: RightsApi, project: str) -> None:
    """Refuse a project that is not there: an administrator has every right in it all the same."""
    try:
        if project:
            api.read(f"/api/v1/namespaces/{quote(project, safe='')}")
    except ClusterError as error:
        # Who may not look at a project has other rights to be asked about. A proxy says 404 too.
        if f'namespaces "{project}" not found' in str(error):
            remedy = f"make it (oc new-project {project}), or name yours as namespace"
            raise InputError("look at project", project, "it is not there", remedy) from error
        if error.status not in _NO_ANSWER:
            raise


def _has_dashboard(api: RightsApi, platform: str) -> bool:
    """Say whether a connection Secret will be made; if nobody can tell, it may be."""
    if platform in PLATFORMS:
        return PLATFORMS[platform].dashboard
    return discover(api).dashboard


def _shared(api: RightsApi) -> str:
    """Return the project of OpenShift AI's applications whose Templates are open to this login."""
    if not served(api).has(TEMPLATES.group):
        return SHARED[0]
    open_ = (each for each in SHARED if api.may(Permission("list", TEMPLATES, each)))
    return next(open_, SHARED[0])


def _served(api: RightsApi, needs: list[Need]) -> list[Need]:
    """Return the permissions to what the cluster serves at all."""
    found = served(api) if needs else None
    return [need for need in needs if found and found.has(need.permission.kind.group)]


def _rights(api: RightsApi, asked: int, lacking: list[Need]) -> Rights:
    if not lacking:
        return Rights(asked=asked)
    account = Account(api.whoami())
    return Rights(
        account=str(account),
        asked=asked,
        missing=tuple(lacking),
        summary=grants.brief(lacking),
        manifest=grants.manifest(account, lacking),
        project=account.namespace,
    )


def _refused(found: Rights, *, plans: bool, deletes: bool) -> RightsMissing:
    apply = "oc apply --server-side"
    remedy = f"{apply} -f - the YAML in the log"
    here = [need.permission for need in found.stops if need.permission.namespace]
    is_bound = found.account == f"{found.project}/{_BOUND}"
    if is_bound and {each.namespace for each in here} == {found.project}:
        folders = [_DELETE] if deletes else [*dict.fromkeys(_folder(each) for each in here)]
        commands = [f"{apply} -k {folder} -n {found.project}" for folder in folders]
        remedy += f", or once for the project: {' and '.join(commands)}"
    if len(here) < len(found.stops):
        remedy += "; nodes take an administrator"
        remedy += ", or name the GPU, as in 'L40S x2'" if plans else ""
    reason = f"{len(found.missing)} of {found.asked} are missing: {found.summary}"
    return RightsMissing(
        "check the rights of", found.account, reason, remedy, manifest=found.manifest
    )


def _folder(permission: Permission) -> str:
    """Return the folder that grants a permission: only warming deletes pods."""
    if permission.resource == "pods" and permission.verb in ("get", "delete", "create"):
        return _WARM
    if permission.verb == "delete" and permission.resource != "jobs":
        return _DELETE
    return _FOLDERS.get(permission.resource, "manifests/")


def _connect() -> RightsApi:
    """Connect to the cluster; importing the client takes 0.3 s, so it waits until it is used."""
    from carferry.cluster import api

    return api.connect()
