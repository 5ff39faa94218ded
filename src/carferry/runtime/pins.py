"""What a runtime image is made of: the base by digest, and packages by exact version.

The list is complete, so pip has nothing to resolve: it would evaluate environment markers for the
Python it runs on, not for the one the image has. A test checks it against constraints.txt, and
constraints-core.txt is made from it.
"""

from __future__ import annotations

from importlib.resources import files

LIST = "requirements.txt"
PYTHON_BASE = (
    "registry.access.redhat.com/ubi9/python-312"
    "@sha256:21739f35258f21e23a7e02e79c763f2a69e605416fedd54b6ec9c5ef68fd1f43"
)
"""The Python image that a runtime image stands on, and that steps without one run on
(docs/adr/0007-runtime-image-by-digest-from-public-files.md)."""


def pins() -> tuple[str, ...]:
    """Return a requirement ``name==version`` for each package, sorted by name.

    kfp stands alone: its executor imports nothing but kfp itself, and what its client and
    compiler need beside it comes in part without wheels.
    """
    text = files(__package__).joinpath(LIST).read_text(encoding="ascii")
    return tuple(text.split())
