"""What registries and what stands before them answer to a push or a pull: the answers of a table.

``source`` names where the shape was read; where a product words a refusal differently from release
to release, one wording stands for all. None was measured against a hosted registry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

START, TAG, READ = "start", "tag", "read"
"""When it is answered: to the POST that opens an upload, to the PUT of the tag, to a GET."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer.

    Attributes:
        name: Of the row.
        source: Where the shape was read.
        status: HTTP status.
        body: As it is sent.
        at: When.
    """

    name: str
    source: str
    status: int
    body: bytes
    at: str = START


def oci(code: str, message: str, detail: Any = None) -> bytes:
    """Return an error as the distribution-spec has it."""
    error = {"code": code, "message": message} | ({} if detail is None else {"detail": detail})
    return json.dumps({"errors": [error]}).encode()


def of(**fields: Any) -> bytes:
    """Return any other JSON object."""
    return json.dumps(fields).encode()


def page(title: str, more: str = "") -> bytes:
    """Return a web page."""
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>"
    return f"{head}\r\n<center><h1>{title}</h1></center>{more}</body>\r\n</html>\r\n".encode()


_SPEC = "distribution-spec v1.1, error codes; distribution registry/api/v2/errors.go"
_HARBOR = "goharbor/harbor src/lib/errors/const.go"
_QUAY = "quay/quay endpoints/v2/errors.py"
_ECR = "Amazon ECR"
_GOOGLE = "Google Artifact Registry"
_JFROG = "Artifactory"
_NEXUS = "Nexus Repository 3"
_ACR = "Azure Container Registry"
_GITEA = "go-gitea/gitea services/packages"
_DENIED = "requested access to the resource is denied"
_SHA = "sha256:" + "ab" * 32

ROWS = (
    Row("denied", _SPEC, 403, oci("DENIED", _DENIED)),
    Row(
        "unauthorized",
        _SPEC,
        401,
        oci("UNAUTHORIZED", "authentication required", [{"Type": "repository", "Action": "push"}]),
    ),
    Row(
        "name unknown",
        _SPEC,
        404,
        oci("NAME_UNKNOWN", "repository name not known to registry", {"name": "team/model"}),
    ),
    Row("name invalid", _SPEC, 400, oci("NAME_INVALID", "invalid repository name")),
    Row("size invalid", _SPEC, 400, oci("SIZE_INVALID", "provided length did not match")),
    Row("unsupported", _SPEC, 405, oci("UNSUPPORTED", "The operation is unsupported.")),
    Row("manifest invalid", _SPEC, 400, oci("MANIFEST_INVALID", "manifest invalid", {}), TAG),
    Row("upload invalid", _SPEC, 404, oci("BLOB_UPLOAD_INVALID", "blob upload invalid")),
    Row("too many requests", _SPEC, 429, oci("TOOMANYREQUESTS", "too many requests")),
    Row("unknown error", _SPEC, 500, oci("UNKNOWN", "unknown error", {})),
    Row(
        "disk full",
        "distribution registry/storage/driver/storagedriver.go, Error.MarshalJSON",
        500,
        oci(
            "UNKNOWN",
            "unknown error",
            {"DriverName": "filesystem", "Enclosed": {"Op": "mkdir", "Path": "/data", "Err": 28}},
        ),
    ),
    Row(
        "harbor immutable",
        f"{_HARBOR}; pkg/immutable: NewErrImmutable",
        412,
        oci(
            "PRECONDITION",
            "Failed to process request due to 'team/model:1' configured as immutable.",
        ),
        TAG,
    ),
    Row(
        "harbor quota",
        f"{_HARBOR}; issue 11508",
        403,
        oci(
            "DENIED",
            "adding 2.0 GiB of storage resource, which when updated to current usage of 9.0 GiB "
            "will exceed the configured upper limit of 10.0 GiB.",
        ),
    ),
    Row(
        "harbor quota in a plain sentence",
        "Harbor 1.9, issue 8809",
        412,
        b"quota exceeded: 1 of artifacts\n",
        TAG,
    ),
    Row(
        "harbor without the right",
        _HARBOR,
        401,
        oci("UNAUTHORIZED", "unauthorized to access repository: team/model, action: push"),
    ),
    Row("harbor without the project", _HARBOR, 404, oci("NOT_FOUND", "project team not found")),
    Row(
        "harbor vulnerable",
        f"{_HARBOR}: PROJECTPOLICYVIOLATION",
        412,
        oci(
            "PROJECTPOLICYVIOLATION",
            "current image with 3 vulnerabilities cannot be pulled due to configured policy",
        ),
        READ,
    ),
    Row(
        "harbor unsigned",
        f"{_HARBOR}: PROJECTPOLICYVIOLATION",
        412,
        oci("PROJECTPOLICYVIOLATION", "The image is not signed by cosign."),
        READ,
    ),
    Row(
        "harbor read-only",
        "goharbor/harbor src/server/middleware/readonly",
        403,
        oci("DENIED", "The system is in read only mode. Any modification is prohibited."),
    ),
    Row(
        "harbor proxy",
        "goharbor/harbor src/server/middleware/repoproxy",
        405,
        oci("METHOD_NOT_ALLOWED", "can not push artifact to a proxy project: team"),
    ),
    Row("quay quota", _QUAY, 403, oci("DENIED", "Quota has been exceeded on namespace", {})),
    Row(
        "quay read-only",
        _QUAY,
        405,
        oci("DENIED", "System is currently read-only. Pulls will succeed but writes are suspended"),
    ),
    Row(
        "quay artifact",
        _QUAY,
        400,
        oci("MANIFEST_INVALID", "manifest invalid", {"message": "Unknown media type: a/b"}),
        TAG,
    ),
    Row(
        "quay right",
        _QUAY,
        401,
        oci("UNAUTHORIZED", "access to the requested resource is not authorized", {}),
    ),
    Row(
        "ecr immutable",
        f"{_ECR}; osscontainertools/kaniko pull 204",
        400,
        oci(
            "TAG_INVALID",
            "The image tag '1' already exists in the 'team/model' repository and cannot be "
            "overwritten because the tag is immutable.",
        ),
        TAG,
    ),
    Row(
        "ecr without the repository",
        f"{_ECR}; moby/moby 24473",
        404,
        oci(
            "NAME_UNKNOWN",
            "The repository with name 'team/model' does not exist in the registry with id '1'",
        ),
    ),
    Row(
        "ecr right",
        f"{_ECR}, IAM",
        403,
        oci("DENIED", "User: arn:aws:iam::1:user/ci is not authorized to perform: ecr:PutImage"),
    ),
    Row("ecr rate", _ECR, 429, oci("TOOMANYREQUESTS", "Rate exceeded")),
    Row("ecr expired", _ECR, 403, b"Your authorization token has expired. Reauthenticate."),
    Row(
        "google without the repository",
        _GOOGLE,
        404,
        oci("NAME_UNKNOWN", 'Repository "models" not found'),
    ),
    Row(
        "google right",
        _GOOGLE,
        403,
        oci("DENIED", 'Permission "artifactregistry.repositories.uploadArtifacts" denied'),
    ),
    Row(
        "google name",
        f"{_GOOGLE}; docker/build-push-action 171",
        400,
        oci("NAME_INVALID", "Missing image name. Pushes should be of the form HOST/PROJECT/REPO"),
    ),
    Row(
        "google immutable",
        f"{_GOOGLE}, documentation of immutable tags",
        400,
        oci(
            "MANIFEST_INVALID", 'cannot update tag "1". The repository has enabled tag immutability'
        ),
        TAG,
    ),
    Row(
        "google api",
        "google.rpc.Status as JSON",
        403,
        of(
            error={"code": 403, "message": "The caller lacks permission", "status": "DENIED_BY_IAM"}
        ),
    ),
    Row(
        "docker hub immutable",
        "Docker Hub, as quoted by its users in 2026",
        403,
        oci(
            "DENIED",
            f"{_DENIED} - This tag is already assigned to an image in this repository and cannot "
            "be updated due to immutability settings.",
        ),
        TAG,
    ),
    Row(
        "docker hub rate",
        "Docker Hub, documentation of rate limits",
        429,
        oci("TOOMANYREQUESTS", "You have reached your unauthenticated pull rate limit."),
        READ,
    ),
    Row(
        "github scopes",
        "GitHub Container registry",
        403,
        oci("DENIED", "permission_denied: The token provided does not match expected scopes."),
    ),
    Row(
        "artifactory right",
        f"{_JFROG}: status and message, no code",
        403,
        of(errors=[{"status": 403, "message": "No permission to push to the repository."}]),
    ),
    Row(
        "artifactory overwrite",
        _JFROG,
        403,
        of(
            errors=[
                {
                    "status": 403,
                    "message": "Not enough permissions to overwrite artifact "
                    "'docker:team/model/1/manifest.json' (user 'ci' needs DELETE permission).",
                }
            ]
        ),
        TAG,
    ),
    Row(
        "artifactory full",
        _JFROG,
        413,
        of(
            errors=[
                {
                    "status": 413,
                    "message": "Datastore disk usage is too high. Contact your Artifactory "
                    "administrator to add storage space or change the disk quota limits.",
                }
            ]
        ),
    ),
    Row("artifactory path", _JFROG, 404, of(errors=[{"status": 404, "message": "Not Found"}])),
    Row(
        "artifactory manifest",
        _JFROG,
        400,
        oci("MANIFEST_INVALID", "manifest invalid", {"description": "no such media type: x"}),
        TAG,
    ),
    Row(
        "xray",
        "Artifactory with Xray",
        403,
        of(
            errors=[
                {
                    "status": 403,
                    "message": "Artifact download request rejected: not downloaded due to the "
                    "download blocking policy configured in Xray",
                }
            ]
        ),
        READ,
    ),
    Row(
        "nexus redeploy",
        _NEXUS,
        400,
        oci("UNKNOWN", "Repository does not allow updating assets: models"),
        TAG,
    ),
    Row("nexus group", _NEXUS, 403, oci("DENIED", "Deploying to groups is a PRO-licensed feature")),
    Row("nexus page", _NEXUS, 404, page("404 - Nexus Repository Manager")),
    Row(
        "azure locked",
        _ACR,
        405,
        oci(
            "UNSUPPORTED",
            "The operation is disallowed on this registry, repository or image.",
        ),
        TAG,
    ),
    Row(
        "azure firewall",
        f"{_ACR}, documentation of its firewall",
        403,
        oci("DENIED", "client with IP '192.0.2.1' is not allowed access."),
    ),
    Row("gitea quota", _GITEA, 403, oci("DENIED", "maximum allowed total package size exceeded")),
    Row("gitea", _GITEA, 403, oci("DENIED", "")),
    Row(
        "openshift quota",
        "openshift/image-registry, a project's ResourceQuota",
        403,
        oci("DENIED", _DENIED, "exceeded quota: images, requested: openshift.io/images=1"),
    ),
    Row(
        "kubernetes status",
        "k8s.io/apimachinery metav1.Status",
        403,
        of(kind="Status", status="Failure", reason="Forbidden", message="no update", code=403),
    ),
    Row(
        "tag immutable",
        "Angos, a small registry: 409",
        409,
        oci("TAG_IMMUTABLE", "Tag '1' is immutable"),
        TAG,
    ),
    Row("conflict", "any that says nothing but 409", 409, b"", TAG),
    Row("nginx too large", "nginx", 413, page("413 Request Entity Too Large", "<hr>nginx")),
    Row("nginx bad gateway", "nginx", 502, page("502 Bad Gateway", "<hr>nginx/1.25")),
    Row(
        "openshift router",
        "openshift/router, error-page-503.http",
        503,
        b"<!DOCTYPE html><html><head><style>body {a: 1}</style></head>"
        b"<body><h1>Application is not available</h1></body></html>",
    ),
    Row(
        "squid",
        "squid errors/templates",
        403,
        page("ERROR: The requested URL could not be retrieved"),
    ),
    Row("page without words", "any web server", 400, b"<html><body></body></html>"),
    Row("page of other hosts", "any web server", 405, page("405 Not Allowed")),
    Row(
        "storage",
        "Amazon S3, error responses",
        403,
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>'
        b"<Message>Access Denied</Message></Error>",
        READ,
    ),
    Row("insufficient storage", "RFC 4918", 507, b"Insufficient Storage"),
    Row("oauth", "RFC 6749, section 5.2", 403, of(error="invalid_scope", error_description="no")),
    Row("message only", "many a gateway", 403, of(message="Forbidden by policy 7")),
    Row("error only", "many a gateway", 403, of(error="nobody may")),
    Row("detail only", "pulp_container, problem details", 403, of(detail="You may not.")),
    Row("list of texts", "none known", 403, of(errors=["one", "two"])),
    Row("a text", "none known", 403, b'"no"'),
    Row("empty", "many a gateway", 403, b""),
    Row("null", "none known", 403, b"null"),
    Row("empty errors", "none known", 403, of(errors=[])),
    Row("numbers", "none known", 403, of(errors=[{"code": 7, "message": 8, "detail": 9}])),
    Row("deep", "hostile", 403, b"[" * 60_000),
    Row("deep details", "hostile", 403, b'{"errors":' * 10_000),
    Row(
        "forged lines",
        "hostile",
        403,
        oci("DENIED", "no\ncarferry: tagged 1\x1b[2J\x1b]0;x\x07\u202e\u2028done"),
    ),
    Row("forged page", "hostile", 403, page("a\r\ncarferry: done\x1b[2K&#27;[31m&#10;b")),
    Row("long", "hostile", 403, oci("DENIED", "word " * 10_000)),
    Row("long code", "hostile", 403, oci("A" * 5000, "b")),
    Row("many tags", "hostile", 403, b"<title" * 9000),
    Row("token in words", "hostile", 403, oci("DENIED", "token hf_abcdefghijklmnop is not ours")),
)
