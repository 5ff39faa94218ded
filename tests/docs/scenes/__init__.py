"""What a page finds already there: files, images, commits, that its reader would have.

A module of this folder registers functions that take the page's `World`::

    @scene("how-to/behind-a-proxy.md")
    def behind_a_proxy(world: World) -> None:
        world.private_authority()

One that takes something down again is a context manager's generator: it yields once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docs.world import World

Setting = Callable[["World"], "Iterator[None] | None"]
_SCENES: dict[str, list[Setting]] = {}


def scene(*pages: str) -> Callable[[Any], Any]:
    """Register a set-up of pages, named from ``docs/``; the README by its name."""

    def register(function: Setting) -> Setting:
        for page in pages:
            _SCENES.setdefault(page, []).append(function)
        return function

    return register


def scenes(page: str) -> list[Setting]:
    """Return the set-ups of a page, those of every module here."""
    for module in sorted(Path(__file__).parent.glob("*.py")):
        if module.stem != "__init__":
            import_module(f"docs.scenes.{module.stem}")
    return _SCENES.get(page, [])


def pages() -> set[str]:
    """Return the pages that have a set-up."""
    scenes("")
    return set(_SCENES)
