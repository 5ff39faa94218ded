"""What registries do differently, in one table; everything else follows the specification.

Each fact was read in the registry's source or documentation, as named; none was measured
against a hosted registry. Distribution 2.8 and 3 and olareg are measured by the tests
(``tests/test_registries_breaks.py``): they need no entry, since what they do differently shows
when they are asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class RegistryQuirks:
    """What one kind of registry does differently.

    Attributes:
        name: For messages.
        hosts: Globs over the host name.
        proves_offset: Whether GET on a broken upload tells how much of it is there. A registry
            of unknown kind is asked: distribution 3 and olareg answer truly, zot has dropped the
            upload and distribution 2.8 takes no more of it (both say 404), and the digest
            reveals a wrong answer.
        largest_blob_bytes: Limit for one layer; 0 if none is known.
        source: Where the facts come from.
    """

    name: str
    hosts: tuple[str, ...]
    proves_offset: bool
    largest_blob_bytes: int
    source: str


GENERIC = RegistryQuirks(
    "OCI registry", (), True, 0, "distribution-spec v1.1; distribution 2.8 and 3, olareg"
)
KNOWN = (
    RegistryQuirks(
        "OpenShift", ("image-registry.openshift-image-registry.svc*", "default-route-openshift-*"),
        True, 0, "openshift/image-registry is distribution 3: GET tells the true offset",
    ),
    RegistryQuirks(
        "Harbor", ("harbor.*", "harbor-*"), True, 0,
        "distribution inside; its nginx sets no body limit (goharbor/harbor, make/photon)",
    ),
    RegistryQuirks(
        "zot", ("zot.*", "zot-*"), False, 0,
        "zot pkg/api/routes.go, PatchBlobUpload: a broken PATCH removes the upload",
    ),
    RegistryQuirks(
        "Quay", ("quay.io", "*.quay.io", "quay.*", "quay-*"), False, 0,
        "quay endpoints/v2/blob.py: a failed PATCH commits nothing, GET's Range is one too high; "
        "MAXIMUM_LAYER_SIZE (20G by default) is the operator's",
    ),
    RegistryQuirks(
        "GitHub", ("ghcr.io",), False, 10 * _GIB,
        "GitHub's documentation, Working with the Container registry: 10 GB for each layer",
    ),
    RegistryQuirks(
        "Amazon ECR", ("*.dkr.ecr.*.amazonaws.com", "public.ecr.aws"), False, 52_000 * 1024**2,
        "AWS service quotas; PATCH Range does not advance (aws/containers-roadmap 2831)",
    ),
    RegistryQuirks(
        "Artifactory", ("*.jfrog.io",), False, 0,
        "uploads are tied to one node; one request per blob",
    ),
    RegistryQuirks(
        "Google Artifact Registry", ("*-docker.pkg.dev", "gcr.io", "*.gcr.io"), False, 0,
        "one PATCH per upload, as its own client sends it",
    ),
)  # fmt: skip


def quirks_of(host: str) -> RegistryQuirks:
    """Return the first entry whose globs match the host, without its port."""
    name = host.partition(":")[0]
    for quirks in KNOWN:
        if any(fnmatchcase(name, glob) for glob in quirks.hosts):
            return quirks
    return GENERIC
