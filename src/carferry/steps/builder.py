"""Where a build step finds Buildah: on its own machine, or in a Job beside it."""

from __future__ import annotations

from pathlib import Path

from carferry.assembly.buildah import LocalBuildah, Runner, Security
from carferry.steps.settings import BuildahJob


def open_runner(job: BuildahJob | None) -> Runner:
    """Return where Buildah runs; nothing is started yet.

    Raises:
        InputError: No cluster is at hand.
    """
    if job is None:
        return LocalBuildah()
    # The Kubernetes client costs 0.2 s and 30 MiB to import: only who needs a Job pays.
    from carferry.assembly.buildah_job import JobBuildah
    from carferry.cluster.api import connect

    return JobBuildah(
        connect(),
        job.claim,
        Path(job.folder),
        image=job.image,
        account=job.account,
        security=Security(job.security),
    )
