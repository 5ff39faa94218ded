"""Pages whose blocks do not run yet: to be made runnable, then struck out here."""

from __future__ import annotations

KNOWN_UNRUN = frozenset({})
