"""One build as one value, so that its parts travel together."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.assembly.options import Options
from carferry.assembly.plan import Plan
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.source.source import Source


@dataclass(frozen=True, slots=True)
class Job:
    """One build, or one worker's part in it; not a Kubernetes Job.

    Attributes:
        source: The model.
        target: Where the image goes.
        options: How it is made.
        access: How registries are reached.
        progress: Receives everything that moves.
        plan: What will be done, decided from all of these.
    """

    source: Source
    target: Target
    options: Options
    access: Access
    progress: Progress
    plan: Plan

    @property
    def retry(self) -> Retry:
        """The policy of the whole build; its ``stop`` ends every part of it."""
        return self.access.retry
