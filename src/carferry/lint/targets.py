"""Releases a pipeline may run on, and what their backends know: a frozen table.

Sources, read at the tags and branches named: ``VERSION`` and ``go.mod`` of
red-hat-data-services/data-science-pipelines (branches rhoai-2.22 to rhoai-3.5) and of
kubeflow/pipelines (tags 2.5.0 to 2.17.0); fields from ``api/v2alpha1/pipeline_spec.proto`` and
``kubernetes_platform/proto/kubernetes_executor_config.proto`` there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carferry.errors import InputError

Version = tuple[int, ...]


WORKERS = 16
"""Iterations of a loop over a list that only a run can know, unless another number is given."""


@dataclass(frozen=True, slots=True)
class Span:
    """Upstream versions that know a field: from the first, up to but not including ``until``."""

    since: Version
    until: Version = (99,)


FEATURES: Mapping[str, Span] = MappingProxyType(
    {
        # pipeline_spec.proto, PipelineConfig: the lock fields went when their numbers were reused
        "locks": Span((2, 5), (2, 15)),
        "ttl": Span((2, 5), (2, 17)),
        "workspace": Span((2, 14)),
        "run-ttl": Span((2, 17)),
        # pipeline_spec.proto, ComponentSpec and ParameterSpec
        "task-config": Span((2, 15)),
        "literals": Span((2, 16)),
        "workspace-import": Span((2, 15)),
        # kubernetes_executor_config.proto
        "optional-env": Span((2, 15)),
        "node-affinity-json": Span((2, 14)),
        "security-context": Span((2, 16)),
        "sub-path": Span((2, 16)),
    }
)


@dataclass(frozen=True, slots=True)
class Backend:
    """One release.

    Attributes:
        name: What ``--target`` takes.
        backend: Version of Kubeflow Pipelines it is made of.
        argo: Version of Argo Workflows its controller runs.
        added: Features of later versions that its makers brought in.
        removed: Features they took out.
    """

    name: str
    backend: Version
    argo: Version
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()

    def knows(self, feature: str) -> bool:
        """Return whether its protocol has the fields of a feature."""
        span = FEATURES[feature]
        known = span.since <= self.backend < span.until
        return (known or feature in self.added) and feature not in self.removed

    @property
    def is_rhoai(self) -> bool:
        """Whether it is a release of OpenShift AI, with its dashboard."""
        return self.name.startswith("rhoai-")

    @property
    def refuses_executor_fields(self) -> bool:
        """Whether an unknown field of a step's Kubernetes configuration ends the run at its start.

        Before 2.14 the driver drops it. Source: containerExecutorTask in argocompiler/container.go
        (strict ``protojson.Unmarshal`` from 2.14.0 on), ``util.UnmarshalString`` in the driver.
        """
        return self.backend >= (2, 14)

    @property
    def knows_final_status(self) -> bool:
        """Whether an exit task may take the final status (argocompiler/dag.go, 2.14.0)."""
        return self.backend >= (2, 14)

    @property
    def mounts_workspace(self) -> bool:
        """Whether a workspace is made and mounted (GetWorkspacePVC, from 2.14.0)."""
        return self.backend >= (2, 14)

    @property
    def joins_artifacts(self) -> bool:
        """Whether OneOf works for artifacts (kubeflow/pipelines 13436)."""
        return self.backend >= (2, 17)

    @property
    def secures_steps(self) -> bool:
        """Whether steps get a security context (argocompiler/security_context.go, 2.16.0)."""
        return self.backend >= (2, 16)

    @property
    def names_tasks(self) -> bool:
        """Whether drivers take ``task-name`` (argocompiler/container.go, 2.14.0)."""
        return self.backend >= (2, 14)

    @property
    def names_iterations(self) -> bool:
        """Whether they take it inside loops, too (argocompiler/dag.go, 2.16.0)."""
        return self.backend >= (2, 16)

    @property
    def simplifies_template(self) -> bool:
        """Whether ARGO_TEMPLATE leaves the inputs out, and moves to a ConfigMap if too long.

        Source: workflow/controller/workflowpod.go of Argo 3.6.0 (``simplifiedTmpl``,
        ``offloadEnvVarTemplate``); 3.5.14 has neither.
        """
        return self.argo >= (3, 6)

    @property
    def shape(self) -> tuple[bool, ...]:
        """What the size of a run depends on; targets of one shape make the same object."""
        flags = (self.secures_steps, self.names_tasks, self.names_iterations)
        return (*flags, self.simplifies_template)


_2_22 = frozenset({"workspace"})  # parsed, so that the platform document survives; never mounted
_3_0 = frozenset({"task-config", "optional-env"})
_3_4 = frozenset({"run-ttl"})
_TTL = frozenset({"ttl"})

TARGETS: Mapping[str, Backend] = MappingProxyType(
    {
        target.name: target
        for target in (
            Backend("rhoai-2.22", (2, 5, 0), (3, 5, 14), _2_22),
            Backend("rhoai-2.25", (2, 5, 0), (3, 5, 14), _2_22),
            Backend("rhoai-3.0", (2, 14, 3), (3, 6, 12), _3_0),
            Backend("rhoai-3.3", (2, 14, 3), (3, 6, 12), _3_0),
            Backend("rhoai-3.4", (2, 16, 0), (3, 7, 11), _3_4, _TTL),
            Backend("rhoai-3.5", (2, 16, 1), (3, 7, 14), _3_4, _TTL),
            Backend("kfp-2.5", (2, 5, 0), (3, 5, 14)),
            Backend("kfp-2.14", (2, 14, 3), (3, 6, 7)),
            Backend("kfp-2.15", (2, 15, 0), (3, 7, 3)),
            Backend("kfp-2.16", (2, 16, 1), (3, 7, 3)),
            Backend("kfp-2.17", (2, 17, 0), (4, 0, 5)),
        )
    }
)


def choose(names: Iterable[str]) -> tuple[Backend, ...]:
    """Return targets by name, in the table's order; none named: every OpenShift AI release.

    Raises:
        InputError: A name that is neither in the table nor ``all``.
    """
    wanted = set(names)
    unknown = sorted(wanted - set(TARGETS) - {"all"})
    if unknown:
        listed = ", ".join(TARGETS)
        raise InputError("lint for", unknown[0], "no such target", f"name one of {listed} or all")
    if not wanted:
        return tuple(target for target in TARGETS.values() if target.is_rhoai)
    return tuple(t for t in TARGETS.values() if "all" in wanted or t.name in wanted)
