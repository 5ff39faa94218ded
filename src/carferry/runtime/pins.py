"""What is installed in a runtime image: exact versions, shipped with carferry.

The list is complete, so pip has nothing to resolve: it would judge environment markers by the
Python it runs on, not by the one the image has. A test holds it equal to constraints.txt.
"""

from __future__ import annotations

from importlib.resources import files

LIST = "requirements.txt"


def pins() -> tuple[str, ...]:
    """Return a requirement ``name==version`` for each package, sorted by name.

    kfp stands alone: its executor imports nothing but kfp itself, and what its client and
    compiler need beside it comes in part without wheels.
    """
    text = files(__package__).joinpath(LIST).read_text(encoding="ascii")
    return tuple(text.split())
