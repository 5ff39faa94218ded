"""The rules: what each refuses, why, and the source.

``docs/reference/lint.md`` lists the same; a test keeps the two equal, another breaks every rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carferry.shown import one_line, redact


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: What a finding carries.
        what: What breaks it.
        why: What happens then.
        source: File or document that shows it.
    """

    name: str
    what: str
    why: str
    source: str


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """A rule broken at one place.

    Attributes:
        rule: The rule's name.
        is_error: Whether the pipeline must change; a warning may stay.
        where: The executor, task, parameter or line.
        why: What is wrong there, with its figures.
        remedy: What to do.
    """

    rule: str
    is_error: bool
    where: str
    why: str
    remedy: str


_KFP = "kubeflow/pipelines, backend/src/"
_RULES = (
    Rule(
        "workflow-size",
        "the Workflow of a finished run is over 1 MiB; warns from 3 % below",
        "Argo packs status.nodes and the pipelines API cannot read them: no step is shown",
        "argo-workflows, workflow/packer/packer.go; run live",
    ),
    Rule(
        "workflow-packed",
        "it is over 1 MiB even with its nodes packed",
        "Argo refuses to store it and the run fails without a reason",
        "argo-workflows, workflow/packer/packer.go; run live",
    ),
    Rule(
        "environment-string",
        "a pod's environment string is over 131,071 bytes, ARGO_TEMPLATE above all",
        "Argo 3.5 pods fail with 'argument list too long'; later ones want a ConfigMap that "
        "OpenShift AI's controller may not create",
        "Linux, MAX_ARG_STRLEN; argo-workflows, workflow/controller/workflowpod.go; "
        "data-science-pipelines-operator, workflow-controller/role.yaml.tmpl",
    ),
    Rule(
        "argument-length",
        "one argument of a step or of its driver is over 131,071 bytes",
        "the pod fails with 'argument list too long'",
        "Linux, MAX_ARG_STRLEN; kubeflow/pipelines issue 12453",
    ),
    Rule(
        "upload-size",
        "the file is over 1 MiB",
        "OpenShift AI's dashboard does not import it",
        "odh-dashboard, concepts/pipelines/content/const.ts",
    ),
    Rule(
        "parameters-size",
        "the defaults of all parameters are over 10,000 bytes",
        "the API server refuses the run",
        _KFP + "common/util/consts.go (MaxParameterBytes)",
    ),
    Rule(
        "not-ascii",
        "a character outside ASCII; an error outside the basic plane, as emoji are",
        "the specification lands in MySQL columns whose utf8 has three bytes a character",
        "kubeflow/pipelines-components, CONTRIBUTING",
    ),
    Rule(
        "pipeline-name",
        "a name with other than a-z, 0-9, - and ., or over 128 characters",
        "the upload is refused, or the Workflow's name is",
        _KFP + "apiserver/template/v2_template.go, apiserver/validation/length.go",
    ),
    Rule(
        "text-length",
        "a display name or description of the pipeline or of a parameter over 255 characters",
        "the dashboard's form takes no more, and parameters' texts are copied into every pod",
        "odh-dashboard, concepts/pipelines",
    ),
    Rule(
        "credential",
        "a text that looks like a token or password, or a default of a parameter named for one",
        "whoever may read the pipeline, its runs or its logs has it",
        "the patterns by which carferry keeps credentials out of its own output",
    ),
    Rule(
        "field-refused",
        "a field of the pipeline, or from 2.14 on of a step's Kubernetes configuration, that the "
        "release does not know",
        "the upload fails, or every run at its start",
        _KFP + "apiserver/template/v2_template.go, v2/compiler/argocompiler/container.go",
    ),
    Rule(
        "field-dropped",
        "a field of an executor, or before 2.14 of a step's Kubernetes configuration, that the "
        "release does not know",
        "it is dropped without a word: no mount, no limit, no security context",
        _KFP + "v2/compiler/visitor.go, common/util/json.go",
    ),
    Rule(
        "platform-dropped",
        "an unknown field of the platform document outside the executors",
        "the whole document is dropped without a word: no Secret, no volume",
        _KFP + "apiserver/template/v2_template.go (IsPlatformSpecWithKubernetesConfig)",
    ),
    Rule(
        "compile-refused",
        "what the release's compiler does not do: loops over artifacts, conditions on importers, "
        "resolvers, custom jobs, and before 2.14 the final status of a task",
        "every run fails at its start",
        _KFP + "v2/compiler/argocompiler/dag.go",
    ),
    Rule(
        "workspace-unmounted",
        "a workspace on a release that parses it and mounts nothing",
        "steps write to a path of their own pod and the next finds nothing",
        _KFP + "v2/compiler/argocompiler/argo.go (GetWorkspacePVC, from 2.14)",
    ),
    Rule(
        "artifact-oneof",
        "one of several artifacts as a pipeline's output, before 2.17 (a warning)",
        "the consumer may get none",
        "kubeflow/pipelines pull request 13436",
    ),
    Rule(
        "cached-side-effect",
        "caching left on for a step that mounts a Secret or claim, or makes one; warns for one "
        "that mounts a ConfigMap, reads a Secret or ConfigMap as variable, or gives no output",
        "the next run skips it: what it did outside, or on a new volume, is missing",
        _KFP + "v2/driver/cache.go: names of volumes enter the fingerprint from 2.14 on only",
    ),
    Rule(
        "retry-duration",
        "retries with no maximum duration, or with 0 s; warns up to 3,600 s, kfp's default",
        "Argo stops retrying at first start plus that duration, and kills the retry that runs then",
        "argo-workflows, workflow/controller/operator.go (processNodeRetries); run live",
    ),
    Rule(
        "image-unpinned",
        "an image without a tag, or with latest",
        "two runs of the same file run different code",
        "OCI distribution specification: a tag moves, a digest does not",
    ),
    Rule(
        "image-tag",
        "an image with a tag and no digest (a warning)",
        "a tag can be moved",
        "OCI distribution specification",
    ),
    Rule(
        "volume-name",
        "a mounted Secret, ConfigMap or claim whose name is no DNS label, or twice in a step",
        "the name becomes the volume's: Kubernetes refuses the pod",
        _KFP + "v2/driver/k8s.go (extendPodSpecPatch)",
    ),
    Rule(
        "empty-name",
        "a Secret, ConfigMap or claim whose name is empty, by constant or by a parameter's default",
        "the driver fails: 'Expected a non-empty string'",
        _KFP + "v2/driver/k8s.go; run live",
    ),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _RULES})


def error(rule: str, where: str, why: str, remedy: str) -> Finding:
    """Return a finding that the pipeline must change for."""
    return _finding(rule, True, where, why, remedy)


def warning(rule: str, where: str, why: str, remedy: str) -> Finding:
    """Return a finding that may stay."""
    return _finding(rule, False, where, why, remedy)


def _finding(rule: str, is_error: bool, where: str, why: str, remedy: str) -> Finding:
    """Return a finding that holds no credential and no control character of the document."""
    return Finding(
        RULES[rule].name, is_error, one_line(redact(where)), one_line(redact(why)), remedy
    )
