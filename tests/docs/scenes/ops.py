"""What the pages on operating find already there."""

from __future__ import annotations

from docs.scenes import scene
from docs.world import World

PUSHED = "HuggingFaceTB/SmolLM2-135M-Instruct docker://quay.io/team/smollm2:1"


@scene("how-to/gitops.md", "how-to/ci.md", "how-to/roll-back.md")
def author(world: World) -> None:
    """Commits want to know who makes them."""
    world.run("git config --global user.name me; git config --global user.email me@example.com")
