"""Where a build step finds Buildah: on its own machine, or in a Job beside it."""

from __future__ import annotations

from pathlib import Path

from carferry.assembly.buildah import LocalBuildah, Runner, Security
from carferry.errors import InputError
from carferry.steps.settings import BuildSettings


def open_runner(settings: BuildSettings) -> Runner:
    """Return where Buildah runs; nothing is started yet.

    Raises:
        InputError: Names the setting that cannot be meant, or no cluster is at hand.
    """
    if not settings.builder:
        return LocalBuildah()
    if settings.builder != "job":
        raise InputError("use builder", repr(settings.builder), "choose job, or leave it empty")
    return _job(settings)


def _job(settings: BuildSettings) -> Runner:
    """The Kubernetes client costs 0.2 s and 30 MiB to import: only who needs a Job pays."""
    from carferry.assembly.buildah_job import JobBuildah
    from carferry.cluster.api import connect

    settings.check()
    folder = Path(settings.builder_folder)
    if not settings.builder_claim or not folder.is_absolute():
        reason = "a Job needs the claim's name and where this step has it mounted"
        raise InputError("use builder", "job", reason, "give builder claim and builder folder")
    return JobBuildah(
        connect(),
        settings.builder_claim,
        folder,
        image=settings.builder_image,
        account=settings.builder_account,
        security=Security(settings.builder_security),
    )
