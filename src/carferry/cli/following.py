"""The end of a summary: what a tag names now, and the command that follows, to be pasted."""

from __future__ import annotations

from collections.abc import Sequence

from carferry.io.shell import word
from carferry.refs import parse_image


def tagged(image: str) -> list[str]:
    """Return the line that names what was tagged; none for a digest, which no tag names."""
    ref = parse_image(image)
    tag = ref.push_tag
    return [f"tagged  {ref}"] if tag else []


def after_image(
    reference: str, *, is_served: bool, plain_http: Sequence[str] = (), ca: str = ""
) -> str:
    """Return the command that follows an image.

    Args:
        reference: Where it is, by digest; in a layout it has to reach a registry first.
        is_served: Whether KServe's modelcar mode runs it; else it is at least looked at.
        plain_http: As the registry was reached.
        ca: Likewise.
    """
    if "@sha256:" not in reference or reference.startswith("oci:"):
        return f"next    carferry push {word(reference)} docker://REGISTRY/NAME:TAG"
    if is_served:
        return f"next    carferry deploy {word(reference)} --namespace PROJECT"
    host = reference.partition("/")[0]
    access = [f" --plain-http {word(host)}"] if host in plain_http else []
    access += [f" --ca {word(ca)}"] if ca else []
    return f"next    carferry inspect {word(f'docker://{reference}')}{''.join(access)}"


def after_download(folder: str) -> str:
    """Return the command that makes an image of a folder."""
    named = folder if folder.startswith(("/", "./", "../")) else f"./{folder}"
    return f"next    carferry build {word(named)} docker://REGISTRY/NAME:TAG"
