"""Pages whose blocks do not run yet: to be made runnable, then struck out here."""

from __future__ import annotations

KNOWN_UNRUN = frozenset(
    {
        "README.md",
        "how-to/behind-a-proxy.md",
        "how-to/buildah-on-openshift.md",
        "how-to/compose-your-own.md",
        "how-to/convert-an-image.md",
        "how-to/deploy.md",
        "how-to/follow-a-run.md",
        "how-to/leave-s3-behind.md",
        "how-to/log-in-to-a-registry.md",
        "how-to/recurring-runs.md",
        "how-to/runtime-image.md",
        "how-to/set-up-a-project.md",
        "how-to/test-an-endpoint.md",
        "how-to/warm-nodes.md",
        "how-to/without-kfp.md",
        "reference/lint.md",
    }
)
