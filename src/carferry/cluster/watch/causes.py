"""Known causes: the words that prove one, what they mean, and the next step.

Each row was met on a real node (tests/cluster/test_diagnosis*.py), or is marked with the source
that writes the words. The first row whose words are found wins, so exact ones come first.

Sources: Kubernetes v1.35 (pkg/kubelet/images, pkg/kubelet/kuberuntime, plugin/pkg/admission,
pod-security-admission), containerd v2.2 (core/remotes/docker), KServe v0.20
(pkg/controller/v1beta1/inferenceservice).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from carferry.cluster.watch.signal import SETTLE_S, State


class Where(Enum):
    """Whose words are read."""

    PULL = "kubelet, about an image"
    CREATE = "kubelet, about a container"
    VOLUME = "kubelet, about a volume or the pod's sandbox"
    REFUSED = "admission, about a pod"
    UNPLACED = "scheduler, about a pod"
    SERVICE = "KServe, about its object"
    LOG = "the server, in its log"


@dataclass(frozen=True, slots=True)
class Cause:
    """One row of the table.

    Attributes:
        name: Short, for programs.
        where: Whose words.
        words: What is found in them; named groups fill ``remedy``.
        means: What that is, in our words.
        remedy: What to do; ``{option}`` names the image, ``{name}`` a named group.
        grace_s: Seconds it must last.
        state: FAILED, or WAITING for what mends by itself.
        is_planned: What the GPU plan had said belongs beside it.
    """

    name: str
    where: Where
    words: re.Pattern[str]
    means: str
    remedy: str = ""
    grace_s: float = SETTLE_S
    state: State = State.FAILED
    is_planned: bool = False

    def advice(self, said: str, more: Mapping[str, str] | None = None) -> str:
        """Return the next step, with what the words and the caller fill in."""
        found = self.words.search(said)
        groups = {k: v for k, v in (found.groupdict() if found else {}).items() if v}
        return self.remedy.format_map(defaultdict(str, {**(more or {}), **groups}))


def cause_of(where: Where, said: str, rows: tuple[Cause, ...] | None = None) -> Cause | None:
    """Return the row whose words are found in what was said; None if none is known."""
    table = CAUSES if rows is None else rows
    return next((row for row in table if row.where is where and row.words.search(said)), None)


def row(name: str, where: Where, words: str, means: str, remedy: str = "", **more: Any) -> Cause:
    """Write one row; the words are a pattern, case does not matter."""
    return Cause(name, where, re.compile(f"(?i){words}"), means, remedy, **more)


_NEVER_MENDS_S = 20.0  # three tries of the kubelet: a name server or a cable may have a hiccup
_A_FEW_TRIES_S = 60.0
_LOGIN = "name a Secret that opens it: --pull-secret"

# knative/serving v1 (revision_lifecycle.go, configuration_lifecycle.go), as KServe hands it on
REVISION = row(
    "revision-failed", Where.SERVICE, r"^Revision(?:Failed|Missing)\b",
    "Knative gave the revision up", "see its words, and: kubectl get revisions",
    grace_s=_A_FEW_TRIES_S,
)  # fmt: skip

CAUSES: tuple[Cause, ...] = (
    row(
        "registry-limit", Where.PULL, r"toomanyrequests|too many requests|\b429\b",
        "the registry limits pulls for now; the kubelet tries again",
        f"wait, or log in for a higher limit: {_LOGIN}", state=State.WAITING,
    ),
    row(
        "image-name", Where.PULL, r"InvalidImageName|couldn't parse image|invalid reference format",
        "the image's name cannot be parsed", "check {option}",
    ),
    row(
        "name-server", Where.PULL,
        r"lookup .*(?:network is unreachable|connection refused|no route to host)",
        "the node's name server does not answer", "see the node's network and /etc/resolv.conf",
        grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "registry-unknown", Where.PULL, r"no such host|no suitable address found",
        "the node's name server does not know the registry's host",
        "check the host's name in {option}, and that the nodes can resolve it",
        grace_s=_NEVER_MENDS_S,
    ),
    row(
        "registry-plain-http", Where.PULL,
        r"server gave HTTP response to HTTPS client|first record does not look like a TLS",
        "the registry speaks HTTP, the node asks by HTTPS",
        "give the registry a certificate, or have the nodes' containerd or CRI-O trust it as "
        "insecure",
    ),
    row(
        "registry-certificate", Where.PULL,
        r"x509:|certificate signed by unknown|tls: failed to verify",
        "the node does not trust the registry's certificate",
        "have the nodes trust its CA (OpenShift: image.config.openshift.io additionalTrustedCA)",
    ),
    row(
        "registry-unreachable", Where.PULL, r"network is unreachable|no route to host",
        "the node has no route to the registry",
        "check the host in {option}, and the nodes' network and proxy", grace_s=_NEVER_MENDS_S,
    ),
    row(
        "registry-refuses", Where.PULL, r"connection refused",
        "nothing listens at the registry's address",
        "check host and port in {option}, and that the registry runs: it is asked from the node",
        grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "image-platform", Where.PULL,
        r"no match for platform|no matching manifest for",
        "the image is not made for the node's platform",
        "build it with --platform of the nodes, or choose nodes: --node-selector "
        "kubernetes.io/arch=...",
    ),
    row(
        "node-disk-full", Where.PULL, r"no space left on device|disk quota exceeded",
        "the node's disk is too small for the image",
        "use nodes with more disk: a pull takes twice the image's size", is_planned=True,
    ),
    row(
        "image-denied", Where.PULL,
        r"unauthorized|authentication required|denied|forbidden|no basic auth|"
        r"authorization failed|\b40[13]\b",
        "the registry does not let the node pull it", _LOGIN,
    ),
    row(
        "image-missing", Where.PULL,
        r"not found|manifest unknown|name unknown|does not exist|\b404\b",
        "the registry holds no such image",
        "check {option}: `carferry inspect` asks the registry for it",
    ),
    row(
        "image-broken", Where.PULL,
        r"failed to unpack|mismatched|unexpected (?:commit )?digest|unsupported media ?type|"
        r"invalid tar header|unexpected EOF.*layer",
        "the node cannot unpack the image", "push it again; for ModelPack images use oci+native://",
        grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "image-never-pulled", Where.PULL, r"ErrImageNeverPull",
        "the pod may not pull it and the node does not have it",
        "set imagePullPolicy to IfNotPresent",
    ),
    row(
        "no-shell", Where.CREATE, r'exec: \\?"sh\\?"|"/bin/sh"|exec /bin/sh',
        "the image has no sh, which KServe's modelcar runs",
        "build it on another base than scratch: carferry build --base",
    ),
    row(
        "image-platform", Where.CREATE, r"exec format error",
        "the image is not made for the node's platform",
        "build it with --platform of the nodes, or choose nodes: "
        "--node-selector kubernetes.io/arch=...",
    ),
    row(
        "command-missing", Where.CREATE,
        r'exec: \\?"(?P<program>[^"\\]+)\\?": (?:executable file not found|stat )|'
        r'no such file or directory',
        "the image lacks the program that the container starts", "check {option}",
    ),
    row(
        "root-user", Where.CREATE, r"runAsNonRoot|non-numeric user",
        "the pod may not run as root and the image names no other user by number",
        "build it with carferry (USER 1001), or with a base that names one",
    ),
    row(
        "config-missing", Where.CREATE,
        r"(?P<kind>secret|configmap) \"(?P<name>[^\"]+)\" not found|couldn't find key",
        "the container's environment names what is not there", 'make the {kind} "{name}"',
        grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "gpu-runtime", Where.CREATE,
        r"nvidia-container|nvml|libcuda|could not select device driver",
        "the node's GPU runtime does not start the container",
        "look at the GPU operator's pods on that node", grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "permission-denied", Where.CREATE, r"permission denied|operation not permitted",
        "the node does not let the container start", "check the pod's securityContext and {option}",
    ),
    row(
        "volume-missing", Where.VOLUME,
        r"(?P<kind>secret|configmap|persistentvolumeclaim) \"(?P<name>[^\"]+)\" not found|"
        r"references non-existent",
        "a volume of the pod is not there", 'make the {kind} "{name}"', grace_s=30.0,
    ),
    row(
        "volume-attached", Where.VOLUME,
        r"Multi-Attach error|already (?:used|exclusively attached)",
        "another node holds the volume", "stop the other pod, or use a ReadWriteMany claim",
        grace_s=180.0,
    ),
    row(
        "sandbox", Where.VOLUME, r"failed to (?:create|setup).*sandbox|network for sandbox|cni",
        "the node cannot make the pod's network", "look at the node's network plugin",
        grace_s=120.0,
    ),
    row(
        "volume", Where.VOLUME, r"MountVolume|AttachVolume|Unable to attach or mount|MapVolume",
        "a volume of the pod cannot be mounted", "look at the claim and its storage class",
        grace_s=120.0,
    ),
    row(
        "quota-unlimited", Where.REFUSED, r"failed quota: (?P<name>[^:]+): must specify",
        "the project's quota asks every container for requests and limits",
        "give the project a LimitRange with defaults (KServe's own containers name some only)",
    ),
    row(
        "quota", Where.REFUSED, r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>[^,]+)",
        "the project's quota does not allow the pod",
        "ask for less (--gpu-count, --cpu, --memory), or for more in ResourceQuota {name}",
        is_planned=True,
    ),
    row(
        "limit-range", Where.REFUSED,
        r"(?:maximum|minimum) (?P<what>[\w./-]+) usage per (?:Container|Pod) is|"
        r"max limit to request ratio",
        "the project's LimitRange does not allow the pod",
        "keep to it with --cpu and --memory (modelcar's own container takes 10m and 15Mi), or "
        "change the LimitRange",
    ),
    row(
        "pod-security", Where.REFUSED, r'violates PodSecurity "(?P<level>[^"]+)"',
        "the project's Pod Security level does not allow the pod",
        "label the project pod-security.kubernetes.io/enforce=baseline, or serve by an image "
        "volume",
    ),
    row(
        "scc", Where.REFUSED, r"unable to validate against any security context constraint",
        "no SecurityContextConstraints of the pod's account allow it",
        "bind the account to one that does: oc adm policy add-scc-to-user",
    ),
    row(
        "account-missing", Where.REFUSED,
        r'serviceaccounts? "(?P<name>[^"]+)" not found|'
        r'error looking up service account (?P<full>[\w./-]+)',
        "the pod's ServiceAccount is not there", "make ServiceAccount {name}{full}",
    ),
    row(
        "webhook-away", Where.REFUSED, r"failed calling webhook",
        "an admission webhook does not answer", "look at its pods", grace_s=_A_FEW_TRIES_S,
    ),
    row(
        "webhook-denied", Where.REFUSED, r"admission webhook .* denied|ValidatingAdmissionPolicy",
        "admission does not allow the pod", "see what the policy asks for",
    ),
    row("pod-refused", Where.REFUSED, r".", "no pod could be made", grace_s=20.0),
    row(
        "claim-missing", Where.UNPLACED, r'persistentvolumeclaim "(?P<name>[^"]+)" not found',
        "the pod's volume claim is not there", "make PersistentVolumeClaim {name}",
    ),
    row(
        "claim-unbound", Where.UNPLACED, r"unbound immediate PersistentVolumeClaims",
        "the pod's volume claim is not bound", "look at the claim: kubectl describe pvc",
        grace_s=120.0,
    ),
    row(
        "no-knative", Where.SERVICE, r"ServerlessModeRejected",
        "Serverless needs Knative, which this cluster does not have",
        "deploy with --deployment-mode RawDeployment",
    ),
    row(
        "no-runtime", Where.SERVICE,
        r"RuntimeNotRecognized|NoSupportingRuntime|RuntimeDisabled|no runtime found|"
        r"no ServingRuntime",
        "KServe finds no ServingRuntime for it", "apply it again: carferry deploy makes its own",
    ),
    row(
        "invalid-spec", Where.SERVICE,
        r"InvalidPredictorSpec|InvalidSpec|not a supported storage|storageURI|StorageURI",
        "KServe refuses the InferenceService",
        "see its words; `carferry render` shows what is applied",
    ),
    REVISION,
    row(
        "reconcile-failed", Where.SERVICE, r"InternalError|fails? to (?:reconcile|create|update)",
        "KServe could not make what the InferenceService needs", "see KServe's words", grace_s=30.0,
    ),
)  # fmt: skip
