"""What a deployment came to: where the model answers, and the objects that it is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment, applied or only rendered.

    Attributes:
        name: Of the InferenceService.
        namespace: Its project; empty if its applier decides.
        url: Where the model answers; empty until KServe says.
        ready: It serves; False without a wait, or if nothing was applied.
        applied: The objects are in the cluster.
        image: ``oci://host/repository@sha256:...`` that is served.
        manifest: The objects as YAML.
        changes: What was changed in the cluster, or would be, a line each.
        answer: What it answered when it was asked once; empty: it was not asked.
    """

    name: str
    namespace: str
    url: str
    ready: bool
    applied: bool
    image: str
    manifest: str
    changes: tuple[str, ...] = ()
    answer: str = ""

    @property
    def markdown(self) -> str:
        """What was deployed, where it answers, and the objects."""
        state = "ready" if self.ready else "applied" if self.applied else "rendered only"
        facts = [f"{self.namespace or 'any project'}: {state}", *([self.url] if self.url else [])]
        lines = "".join(f"- {fact}\n" for fact in facts)
        return f"# {self.name}\n\n{lines}\n```yaml\n{self.manifest}```\n"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)

    def _repr_markdown_(self) -> str:
        return self.markdown
