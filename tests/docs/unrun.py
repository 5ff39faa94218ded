"""Pages whose blocks do not run yet: to be made runnable, then struck out here."""

from __future__ import annotations

KNOWN_UNRUN = frozenset(
    {
        "README.md",
        "how-to/behind-a-proxy.md",
        "how-to/calibrate.md",
        "how-to/convert-an-image.md",
        "how-to/leave-s3-behind.md",
        "how-to/log-in-to-a-registry.md",
        "how-to/runtime-image.md",
        "reference/lint.md",
    }
)
