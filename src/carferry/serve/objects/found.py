"""What a cluster holds already that the objects of a deployment follow."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.cluster.kinds import Object


@dataclass(frozen=True, slots=True)
class Template:
    """A live Template of a ServingRuntime.

    Attributes:
        name: Of the Template.
        title: As the dashboard shows it.
        protocol: The API it speaks, as in ``REST``.
        runtime: The ServingRuntime in it.
    """

    name: str
    title: str
    protocol: str
    runtime: Object

    @property
    def version(self) -> str:
        """Of vLLM, as in ``v0.21.0``; empty if it does not say."""
        notes = (self.runtime.get("metadata") or {}).get("annotations") or {}
        return str(notes.get("opendatahub.io/runtime-version") or "")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found; each is empty if there is none, or it may not be read.

    Attributes:
        mode: The deployment mode that the service has, as its annotation writes it.
        template: Where the ServingRuntime is taken from.
        profile_version: resourceVersion of the hardware profile.
        pull_secret: Name of a Secret that holds a login of the image's registry.
    """

    mode: str = ""
    template: Template | None = None
    profile_version: str = ""
    pull_secret: str = ""


NOTHING = Found()
