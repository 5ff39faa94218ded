"""Of each kind of error its cause, its remedy, and a line as it is said, which tests provoke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What the page says of one kind.

    Attributes:
        cause: What leads to it.
        remedy: What to do.
        line: An example; ``...`` stands for what differs from run to run.
    """

    cause: str
    remedy: str
    line: str


KINDS: Mapping[str, Kind] = {
    "CarferryError": Kind(
        "something outside failed that has no kind of its own, such as a file of this machine",
        "as the line says",
        "use .../compiled: Not a directory",
    ),
    "InputError": Kind(
        "an option, a setting or a file that cannot be meant, or two that contradict each other",
        "change what was asked; the line names the option, and often what was meant",
        "build --paralell: no such option; did you mean --parallel? see: carferry build --help",
    ),
    "InvalidReference": Kind(
        "a model, image or layout that is not written as such",
        "write it as the line shows: `org/name`, `docker://host/repository:tag`, `oci:path:tag`",
        "parse image 'docker://quay.io/Team/model:1': repository 'Team/model' is not lower-case "
        "path parts; write host/repository:tag",
    ),
    "InvalidName": Kind(
        "a name that Kubernetes or KServe would refuse",
        "use lower-case letters, digits and dashes, a letter first, at most 53 characters",
        "name InferenceService 'Granite': not a-z, 0-9 and '-', starting with a letter (DNS-1123)",
    ),
    "UnsafePath": Kind(
        "a file whose name or link would leave the model's folder, or that no disk can hold beside "
        "another",
        "leave it out with `--exclude`, or put the file itself there",
        "take file extra.json: a link that leaves the folder; copy it in",
    ),
    "UnsafeWeights": Kind(
        "the model has only pickle-based weights, which run code when they are loaded",
        "use a revision with safetensors, or name the files with `--include` if you trust them",
        "take pytorch_model.bin of ...: pickle-based weights run code when loaded; use a "
        "safetensors revision, or name them: --include '...'",
    ),
    "NothingSelected": Kind(
        "`--include` and `--exclude` leave no file, or there is none",
        "widen the patterns",
        "select files of ...: no file of ... matches *.gguf; widen --include, as in --include "
        "'...'",
    ),
    "BrokenFile": Kind(
        "one file is cut short, a Git LFS pointer, a web page, or contradicted by another; it is "
        "one of the `faults` of an incomplete model",
        "fetch the file again; if the hub has it so, report it there",
        "read safetensors model.safetensors: tensors cover ... of ... bytes: the file was cut "
        "short; download the file again or report it",
    ),
    "IncompleteModel": Kind(
        "files are broken or missing, so that no server could load the model; found before a byte "
        "moves",
        "mend every file that a line names; `--allow-no-weights` takes a model without weights",
        "read safetensors model.safetensors: tensors cover ... of ... bytes: the file was cut "
        "short; download the file again or report it",
    ),
    "SourceNotFound": Kind(
        "no such repository, revision, bucket or folder, or it is private and no token was given",
        "check the name and the revision; for a private model set `HF_TOKEN`",
        "read no/folder: no such folder; for a model on the hub write hf://org/name",
    ),
    "SourceDenied": Kind(
        "the model is gated or private, and the token, or the S3 keys, do not open it",
        "[accept its terms and set a token](../how-to/private-models.md)",
        "read team/gated@main: the repository is gated and no token was given; accept its terms on "
        "the hub and set HF_TOKEN to a token of that account",
    ),
    "ContractViolation": Kind(
        "the image lacks what KServe needs of a ModelCar",
        "build it with `carferry build`, or put a base under it",
        "accept oci:...:1: tools (no sh, ls, ln, sleep, mkdir, ...); build it with carferry build, "
        "on a base",
    ),
    "UnsupportedModel": Kind(
        "the GPU plan does not know the model, and `on_unknown` is `stop`",
        "leave `on_unknown` out, which warns, or name its family",
        "plan ...: unknown architecture 'novel'; pass --family gqa if it is a plain decoder, or "
        "leave on_unknown out",
    ),
    "DoesNotFit": Kind(
        "no GPU that was named, or that the cluster has, can hold the model; `carferry plan` gives "
        "its whole answer instead of this line, with the same exit code",
        "the line names the smallest change: another GPU, more of them, a shorter context",
        "fit ...: weights; add a node with ...: then it fits on ..., up to ... tokens.",
    ),
    "RightsMissing": Kind(
        "the account may not do what the run will need; all of it is asked before anything is done",
        "apply the YAML that is printed, or `manifests/`: [permissions](rbac.md)",
        "check the rights of demo/pipeline-runner-dspa: 16 of 16 are missing: secrets (get, "
        "create, patch), ... in demo; oc apply --server-side -f - the YAML in the log, or once for "
        "the project: oc apply --server-side -k manifests/ -n demo",
    ),
    "SourceError": Kind(
        "the hub, the bucket or the folder failed while it was read",
        "run it again; what has moved does not move twice",
        "read .../LICENSE: No such file or directory",
    ),
    "SourceChanged": Kind(
        "bytes are not what the commit, the listing or the checksum said",
        "run it again; a folder must not change meanwhile",
        "read .../LICENSE: its size changed while it was read; run again",
    ),
    "TargetError": Kind(
        "the registry or the layout refused or failed in another way than those below",
        "see the registry's own words in the line",
        "push .../team/model:v1: the registry said nothing more (400)",
    ),
    "AuthenticationFailed": Kind(
        "no login for that registry was found, or it was refused",
        "[log in to the registry](../how-to/log-in-to-a-registry.md)",
        "log in to ...: the registry said UNAUTHORIZED: authentication required (401); no login "
        "was found: run podman login, or set REGISTRY_AUTH_FILE",
    ),
    "PushDenied": Kind(
        "the registry knows the login, which may not write there; or it takes no push without one",
        "give the account write access, or create the repository where the registry wants that",
        "push .../team/model:v1: the registry said nothing more (403); it needs push rights, and "
        "no login was found: run podman login, or set REGISTRY_AUTH_FILE",
    ),
    "ManifestMissing": Kind(
        "no such tag or digest there",
        "check the reference",
        "read oci:/nothing/here:1: no folder /nothing/here; check the reference",
    ),
    "StorageFull": Kind(
        "the disk is full, or the registry's quota is",
        "free space, or raise the quota",
        "push .../team/model:v1: the registry said nothing more (507); free space there, or raise "
        "the registry's quota",
    ),
    "Unreachable": Kind(
        "nothing answers: a wrong host, a proxy, a firewall, or a certificate that is not trusted",
        "[behind a proxy](../how-to/behind-a-proxy.md); `temporary` is True",
        "reach 127.0.0.1:...: GET failed: Failed to establish a new connection: ... Connection "
        "refused; is the host right?",
    ),
    "ToolFailed": Kind(
        "a program that carferry runs is missing or failed: buildah, pip, a credential helper",
        "install it, or see its own words in the line",
        "run buildah: it is not installed; install buildah, or use --engine stream",
    ),
    "ClusterError": Kind(
        "the Kubernetes API, or the pipeline server, refused or failed",
        "see its own words in the line; `status` has the HTTP status",
        'patch secrets demo/granite-uri: not found (404): namespaces "demo" not found; '
        "make it (oc new-project demo), or name yours as namespace",
    ),
    "DeploymentFailed": Kind(
        "the model will surely not come up; `cause` and `evidence` say why",
        "as the line says; [all causes](diagnosis.md)",
        "deploy demo/granite-31-2b: pod granite-31-2b-predictor-1, container modelcar: the "
        "registry holds no such image: manifest unknown; check the ModelCar's reference: `carferry "
        "inspect` asks the registry for it",
    ),
    "EndpointFailed": Kind(
        "a served model answers wrongly, or something else answers in its place",
        "as the line says; the server's log has more",
        "ask http://127.0.0.1:...: /v1/models names no model",
    ),
    "DeadlineExceeded": Kind(
        "waited as long as asked; the line has the last status",
        "look again, or wait longer with `--wait-s`",
        "wait for demo/granite-31-2b: not ready after 60 s; last status: ...; it may still come "
        "up: look again, or wait longer (--wait-s)",
    ),
}
"""By class name."""
