"""The platforms that serve a ModelCar, and what each wants written: one table.

Sources: opendatahub-io/odh-dashboard (inferenceServices.ts of rhoai-2.16 and 2.25, packages/kserve
of rhoai-3.5), opendatahub-io/odh-model-controller, kserve/kserve v0.20 (ingress reconcilers,
inference_service_defaults.go); docs/adr/0042-platforms-are-found.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from carferry.cluster.discovery import Reads, Served, readable, served
from carferry.cluster.kserve import llm_version
from carferry.errors import InputError

AUTO = "auto"
_CLUSTERS = "datasciencecluster.opendatahub.io"
_PROFILES = "infrastructure.opendatahub.io"
_DASHBOARD = "dashboard.opendatahub.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What one platform wants written.

    Attributes:
        name: As ``--platform`` takes it.
        title: As people call it.
        dashboard: It has OpenShift AI's dashboard: labels, titles and a connection Secret.
        standard: Its word for a Deployment of its own; empty: nothing is written.
        knative: Its word for Knative; None: it has no Knative.
        has_protocol: A connection names its protocol.
        links_connection: The InferenceService names its connection.
        has_oci: A connection may hold the login of a registry (``oci-v1``).
        says_open: That no token is asked for is written down.
        profile_on: Object that names a hardware profile.
        fills_profile: Admission adds what a hardware profile says of nodes.
        profile_version: The hardware profile's resourceVersion is noted.
        scoped: A runtime says for whom it is.
        titled_by: Whose title a runtime bears.
        has_wizard: The service says which model type it holds, and what it is for.
        exposed: Value of the visibility label of a service with a route; empty: none is needed.
        hidden: The same of a service without one.
        has_istio: Knative's pods are in OpenShift's service mesh.
        uid: User that the server runs as; None: the platform assigns one per project.
        llm: Version of LLMInferenceService; empty: it has none.
        asks_token: Something stands before the model and asks for a token.
    """

    name: str
    title: str
    dashboard: bool = True
    standard: str = "RawDeployment"
    knative: str | None = "Serverless"
    has_protocol: bool = False
    links_connection: bool = False
    has_oci: bool = False
    says_open: bool = False
    profile_on: Literal["ServingRuntime", "InferenceService"] = "InferenceService"
    fills_profile: bool = True
    profile_version: bool = False
    scoped: bool = True
    titled_by: Literal["deployment", "template"] = "deployment"
    has_wizard: bool = False
    exposed: str = "exposed"
    hidden: str = ""
    has_istio: bool = True
    uid: int | None = None
    llm: str = ""
    asks_token: bool = True


KSERVE = Platform(
    name="kserve",
    title="KServe",
    dashboard=False,
    standard="Standard",
    knative="Knative",
    scoped=False,
    exposed="",
    hidden="cluster-local",
    has_istio=False,
    # The user of the images that carferry builds: where KServe sets no uidModelcar, the server
    # follows a link into a process of that user, which takes the same one.
    uid=1001,
    llm="v1alpha2",
    asks_token=False,
)
OPENSHIFT_AI_2_22 = Platform(
    name="openshift-ai-2.22",
    title="OpenShift AI 2.19 to 2.22",
    profile_on="ServingRuntime",
    fills_profile=False,
)
OPENSHIFT_AI_2_25 = Platform(name="openshift-ai-2.25", title="OpenShift AI 2.23 to 2.25")
OPENSHIFT_AI_3 = Platform(
    name="openshift-ai-3",
    title="OpenShift AI 3",
    standard="",
    knative=None,
    has_protocol=True,
    links_connection=True,
    has_oci=True,
    says_open=True,
    profile_version=True,
    titled_by="template",
    has_wizard=True,
    llm="v1alpha2",
)
ANY = replace(
    OPENSHIFT_AI_3,
    name=AUTO,
    title="any",
    standard="RawDeployment",
    knative="Serverless",
    has_oci=False,
    profile_version=False,
    titled_by="deployment",
)
"""What all understand, for objects that are written without a cluster at hand."""
PLATFORMS = {
    each.name: each for each in (KSERVE, OPENSHIFT_AI_2_22, OPENSHIFT_AI_2_25, OPENSHIFT_AI_3)
}
NAMES = (AUTO, *PLATFORMS)


def platform_named(name: str) -> Platform:
    """Return the platform of a name; ``ANY`` for ``auto``.

    Raises:
        InputError: There is none of that name.
    """
    if name not in NAMES:
        raise InputError("read platform", repr(name), f"none of {', '.join(NAMES)}")
    return PLATFORMS.get(name, ANY)


def discover(api: Reads, *, name: str = AUTO, llm: bool = False) -> Platform:
    """Find out which platform a cluster is, and what of it is installed.

    Args:
        api: The connection.
        name: Take this platform, and find out only what is installed.
        llm: Look for LLMInferenceService, too.

    Returns:
        The table's row, with what this cluster lacks taken out.

    Raises:
        ClusterError: The server refused discovery, or is away.
        Unreachable: No answer.
    """
    found = served(api)
    row = platform_named(name) if name != AUTO else _row(api, found)
    if not found.has("serving.knative.dev"):
        row = replace(row, knative=None)
    if found.has("security.openshift.io") or found.has("route.openshift.io"):
        row = replace(row, uid=None)
    return replace(row, llm=llm_version(api, found)) if llm else row


def _row(api: Reads, found: Served) -> Platform:
    if version := _release(api, found):
        major, minor = version
        if major >= 3:
            return OPENSHIFT_AI_3
        return OPENSHIFT_AI_2_22 if minor <= 22 else OPENSHIFT_AI_2_25
    if found.has(_CLUSTERS, "v2") or (found.has(_PROFILES, "v1") and not found.has(_CLUSTERS)):
        return OPENSHIFT_AI_3
    if found.has(_PROFILES):
        return OPENSHIFT_AI_2_25
    return OPENSHIFT_AI_2_22 if found.has(_CLUSTERS) or found.has(_DASHBOARD) else KSERVE


def _release(api: Reads, found: Served) -> tuple[int, int] | None:
    """Return major and minor of the operator's release, as its own object says it."""
    for version in found.groups.get(_CLUSTERS, ()):
        listed = readable(api, f"/apis/{_CLUSTERS}/{version}/datascienceclusters") or {}
        for item in listed.get("items") or ():
            release = (item.get("status") or {}).get("release") or {}
            if match := re.match(r"(\d+)\.(\d+)", str(release.get("version") or "")):
                return int(match[1]), int(match[2])
    return None
