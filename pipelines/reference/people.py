"""The permissions of people and workbenches, beside those of runs: by what they do."""

from __future__ import annotations

from carferry.cluster.kinds import KINDS, NAMESPACES
from carferry.pipelines.reference.table import table
from carferry.pipelines.runs.cause import WORKFLOWS

_API = "`datasciencepipelinesapplications/api` of `datasciencepipelinesapplications.opendatahub.io`"
_WRITE = "get, create, patch"


def _of(name: str, verbs: str) -> str:
    kind = KINDS[name]
    return f"`{kind.plural}{'.' if kind.group else ''}{kind.group}`: {verbs}"


_ROWS = (
    (
        "import, start, schedule and follow runs, from a terminal or a workbench",
        _API,
        "Role `ds-pipeline-user-access-dspa`, which the pipeline server brings; bind it to the "
        "person, or to the workbench's account",
    ),
    (
        "find the pipeline server's address",
        "`routes.route.openshift.io`: get",
        "`view`",
    ),
    (
        "read, of a run that failed, what the pipeline server does not tell; without them the "
        "cause is told as far as it goes",
        f"`{WORKFLOWS.plural}.{WORKFLOWS.group}`: list; `pods/log`: get",
        "`view` for the log; a Role of your own for the Workflows",
    ),
    (
        "make the Secrets and the ConfigMap of a project",
        f"{_of('Secret', _WRITE)}; `configmaps`: {_WRITE}",
        "`edit`",
    ),
    (
        "apply the folders of `manifests/` to a project",
        f"{_of('Role', _WRITE)}; {_of('RoleBinding', _WRITE)}; and all that they grant, since "
        "nobody may grant what he does not have",
        "`admin`, if it has KServe's kinds; else an administrator of the cluster",
    ),
    (
        "apply the folders that say \"the cluster\"",
        "`clusterroles`, `clusterrolebindings`",
        "an administrator of the cluster",
    ),
    (
        "`carferry deploy`, `delete`, `test`, `warm`, `plan --cluster` with a login of your own",
        "the rows of the table above",
        "`edit` for Kubernetes' own kinds, and for KServe's where the cluster adds them to it; "
        "`auth` takes `admin`; nodes and pods of the cluster an administrator grants",
    ),
    (
        "`oc apply` of what `carferry render` wrote",
        f"{_of('InferenceService', _WRITE)}; {_of('ServingRuntime', _WRITE)}; and the other kinds "
        "in the file",
        "as for `carferry deploy`",
    ),
    (
        "make the project",
        f"`{NAMESPACES.plural}`: create, or `projectrequests.project.openshift.io`: create",
        "OpenShift's `self-provisioner`; else an administrator of the cluster",
    ),
)  # fmt: skip
_HEAD = """
## For people

What a person, or the account of a workbench, needs besides. `view`, `edit` and `admin` are the
roles that every Kubernetes and OpenShift project has. `carferry rights --namespace models` says of
your own login what it lacks to deploy, and prints the Role that grants it.

"""


def section() -> str:
    """Return the section of the page of permissions."""
    return _HEAD + table(("To", "Permissions", "Granted by"), _ROWS)
