"""Pages whose blocks do not run yet: to be made runnable, then struck out here."""

from __future__ import annotations

KNOWN_UNRUN = frozenset(
    {
        "how-to/buildah-on-openshift.md",
        "how-to/compose-your-own.md",
        "how-to/deploy.md",
        "how-to/follow-a-run.md",
        "how-to/recurring-runs.md",
        "how-to/set-up-a-project.md",
        "how-to/test-an-endpoint.md",
        "how-to/warm-nodes.md",
        "how-to/without-kfp.md",
    }
)
