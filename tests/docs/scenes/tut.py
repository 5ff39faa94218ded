"""What the tutorials find already there."""

from __future__ import annotations

from docs.scenes import scene
from docs.world import World

IMAGE = "quay.io/team/smollm2-135m:1"


@scene("tutorials/cluster.md")
def what_the_dashboard_did(world: World) -> None:
    """The run that the reader starts in the dashboard: its image, and what it deployed."""
    world.run(f"carferry build HuggingFaceTB/SmolLM2-135M-Instruct docker://{IMAGE} -q")
    world.run(
        f'carferry deploy "$(carferry inspect -q docker://{IMAGE})" --namespace models --wait-s 240'
    )
