"""The end of a summary: what a tag names now, and the command that follows, to be pasted."""

from __future__ import annotations

from collections.abc import Sequence

from carferry.io.shell import word
from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.refs import parse_image

NEXT = "next    "
_SHORT_S = 10


def tagged(image: str, before: str = "") -> list[str]:
    """Return the lines that name what was tagged; none for a digest, which no tag names.

    Args:
        image: As it was asked for.
        before: Digest of another image that the tag named; empty if none.
    """
    ref = parse_image(image)
    named = [f"tagged  {ref}"] if ref.push_tag else []
    return [*named, f"before  {before}"] if before else named


def moved_line(
    moved_bytes: int, reused_bytes: int, seconds: float, *, checked_bytes: int = 0, retries: int = 0
) -> str:
    """Return what was done, without what was not.

    Args:
        moved_bytes: Sent.
        reused_bytes: There already.
        seconds: How long all took.
        checked_bytes: Of those that were there, what was read back.
        retries: How often something was sent again.
    """
    read = f" ({human_bytes(checked_bytes)} read back)" if checked_bytes else ""
    parts = [
        human_bytes(moved_bytes) if moved_bytes else "nothing",
        f"{human_bytes(reused_bytes)} reused{read}" if reused_bytes else "",
        f"{retries} retried" if retries else "",
        f"{seconds:.1f} s" if seconds < _SHORT_S else human_seconds(seconds),
        f"{human_bytes(moved_bytes / seconds)}/s" if moved_bytes and seconds else "",
    ]
    return f"moved   {', '.join(filter(None, parts))}"


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
        return f"{NEXT}carferry push {word(reference)} docker://REGISTRY/NAME:TAG"
    if is_served:
        return f"{NEXT}carferry deploy {word(reference)} --namespace PROJECT"
    host = reference.partition("/")[0]
    access = [f" --plain-http {word(host)}"] if host in plain_http else []
    access += [f" --ca {word(ca)}"] if ca else []
    return f"{NEXT}carferry inspect {word(f'docker://{reference}')}{''.join(access)}"


def same_choice(
    include: Sequence[str],
    exclude: Sequence[str],
    *,
    allow_no_weights: bool,
    plain_http: Sequence[str],
    ca: str,
) -> str:
    """Return the options that a following command needs to see the same model; may be empty."""
    named = (("--include", include), ("--exclude", exclude), ("--plain-http", plain_http))
    words = [f"{name} {word(value)}" for name, values in named for value in values]
    words += ["--allow-no-weights"] if allow_no_weights else []
    words += [f"--ca {word(ca)}"] if ca else []
    return "".join(f" {each}" for each in words)


def after_download(folder: str) -> str:
    """Return the command that makes an image of a folder."""
    named = folder if folder.startswith(("/", "./", "../")) else f"./{folder}"
    return f"{NEXT}carferry build {word(named)} docker://REGISTRY/NAME:TAG"
