"""Limits of size: what Argo, Linux, the API server and the dashboard take."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.lint.document import CompiledPipeline
from carferry.lint.gojson import byte_length, size
from carferry.lint.rules import Finding, error, warning
from carferry.lint.sizes import Sizes
from carferry.lint.targets import Backend

WORKFLOW_BYTES = 1024 * 1024
WARN_BYTES = WORKFLOW_BYTES * 97 // 100
"""From here the simulation, which came out up to 3 % below live runs, may be wrong."""
STRING_BYTES = 131_071
UPLOAD_BYTES = 1024 * 1024
PARAMETER_BYTES = 10_000

_SHRINK = "carry less in each step, cut descriptions and retries, or run fewer workers"
_MOVE = "put what is long into an image, a ConfigMap or an artifact"


def check_sizes(sizes: Sizes) -> Iterator[Finding]:
    """Yield what a run of this size breaks."""
    least = "" if sizes.complete else "at least "
    counted = f"MiB with {sizes.workers} workers, of 1"
    found = f"{least}{sizes.unpacked_bytes / WORKFLOW_BYTES:.2f} {counted}"
    if sizes.unpacked_bytes > WORKFLOW_BYTES:
        yield error("workflow-size", "Workflow", f"{found}: no step is shown any more", _SHRINK)
    elif sizes.unpacked_bytes > WARN_BYTES:
        yield warning("workflow-size", "Workflow", f"{found}: within 3 % of it", _SHRINK)
    if sizes.packed_bytes > WORKFLOW_BYTES:
        found = f"{least}{sizes.packed_bytes / WORKFLOW_BYTES:.2f} {counted}, packed"
        yield error("workflow-packed", "Workflow", f"{found}: Argo refuses the run", _SHRINK)
    if sizes.environment_bytes > STRING_BYTES:
        why = f"a string of {sizes.environment_bytes / 1024:.0f} KiB, of 128"
        yield error("environment-string", sizes.environment_at, why, _MOVE)
    if sizes.argument_bytes > STRING_BYTES:
        why = f"an argument of {sizes.argument_bytes / 1024:.0f} KiB, of 128"
        yield error("argument-length", sizes.argument_at, why, _MOVE)


def check_upload(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    """Yield what the upload and the start of a run refuse for its size."""
    uploaded = byte_length(document.text)
    if target.is_rhoai and uploaded > UPLOAD_BYTES:
        why = f"{uploaded:,} bytes, of {UPLOAD_BYTES:,}"
        yield error("upload-size", "the file", why, "carry less, or upload by the API")
    given = size(document.run_values())
    if given > PARAMETER_BYTES:
        why = f"defaults of {given:,} bytes, of {PARAMETER_BYTES:,}"
        yield error("parameters-size", "root", why, "shorten the parameters' defaults")
