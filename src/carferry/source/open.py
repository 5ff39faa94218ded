"""From the text that names a model to its source, by the scheme it starts with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from carferry.errors import InputError, InvalidReference
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress
from carferry.refs import ImageRef, LayoutRef, parse_image
from carferry.source.claim import ClaimRef
from carferry.source.folder import FolderSource
from carferry.source.hub.names import parse_model
from carferry.source.offline import cached_source, is_offline
from carferry.source.s3.ref import S3Ref
from carferry.source.snapshot import Snapshot
from carferry.source.source import Source

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PATHS = ("./", "../", "/", "~")


@dataclass(frozen=True, slots=True)
class Reach:
    """How places are reached.

    Attributes:
        retry: The policy of the whole build, so that what stops it also stops reading.
        ca_file: PEM certificates that a server's may be signed by.
        open_image: Opens the image that holds a model. It comes from whoever reaches registries,
            since what an image is builds on what a source is; None: no image can be opened.
        progress: Receives what is read before anything moves.
    """

    retry: Retry | None = None
    ca_file: Path | None = None
    open_image: Callable[[ImageRef | LayoutRef], Source] | None = None
    progress: Progress | None = None


_ALONE = Reach()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of place that models are read from.

    Attributes:
        check: Refuses a text that cannot be meant; asks nobody. Gets text and revision.
        open: Returns the source. Gets text, revision and how places are reached.
        pin: Returns the text that names the same model at the snapshot's commit or digest.
    """

    check: Callable[[str, str], object]
    open: Callable[[str, str, Reach], Source]
    pin: Callable[[str, Snapshot], str]


def open_source(model: str, revision: str = "", reach: Reach = _ALONE) -> Source:
    """Return the source of a model: on the hub, in a bucket, an image, a claim or a folder.

    ``./x``, ``/x``, ``~/x`` and ``file:x`` are folders, and nothing else is: a stray local
    folder must not shadow the hub.

    Args:
        model: The text that names it.
        revision: Used if ``model`` carries none.
        reach: How its place is reached.

    Raises:
        InvalidReference: None of these.
        InputError: An image, and ``reach`` opens none.
        SourceNotFound: ``HF_HUB_OFFLINE`` is set, and the cache does not hold it.
    """
    return _kind(model).open(model, revision, reach)


def check_model(model: str, revision: str = "") -> None:
    """Refuse what cannot name a model, without asking anybody.

    Raises:
        InvalidReference: Says why.
    """
    _kind(model).check(model, revision)


def is_folder(model: str) -> bool:
    """Return whether a model's text names a folder and not a place that others see too."""
    return _scheme(model) == "file"


def claim_of(model: str) -> str:
    """Return the claim that a model lies on; empty if on none.

    Raises:
        InvalidReference: A malformed ``pvc://``.
    """
    return ClaimRef.parse(_url(model)).claim if _scheme(model) == "pvc" else ""


def pinned(model: str, snapshot: Snapshot) -> str:
    """Return the text that names the same model when its branch or tag has moved.

    A folder, a bucket and a claim have no other name.
    """
    return _kind(model).pin(model, snapshot)


def _scheme(model: str) -> str:
    text = model.lstrip()
    if text.startswith(_PATHS) or text[:5].lower() == "file:" or text in {".", ".."}:
        return "file"
    if text.startswith("oci:"):
        return "oci"
    found = _SCHEME.match(text)
    return found[1].lower() if found else "hf"


def _url(model: str) -> str:
    """Return an address as it was meant: pasted with blanks before it, its scheme in capitals."""
    scheme, mark, rest = model.lstrip().partition("://")
    return f"{scheme.lower()}://{rest}" if mark else model.lstrip()


def _kind(model: str) -> Kind:
    kind = _KINDS.get(_scheme(model))
    if kind is None:
        known = ", ".join(f"{scheme}://" for scheme in _KINDS)
        raise InvalidReference(
            "parse model", repr(model), "no place that models are read from", f"known: {known}"
        )
    return kind


def _folder_of(model: str) -> Path:
    text = model.lstrip()
    if text[:5].lower() == "file:":
        text = _file_path(model, text[5:])
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - never raises
    # A name may end in a blank; a pasted one rather ends in a line end that is not of it.
    return path if os.path.lexists(path) else Path(os.path.expanduser(text.rstrip()))  # noqa: PTH111


def _file_path(model: str, rest: str) -> str:
    """Return the path behind ``file:``; with two slashes it is a URL (RFC 8089)."""
    if not rest.startswith("//"):
        return rest
    host, slash, path = rest[2:].partition("/")
    if host in {".", "..", "~"}:
        return rest[2:]
    if host.lower() not in {"", "localhost"}:
        reason, remedy = f"a folder of another machine ({host})", "write ./path or file:path"
        raise InvalidReference("parse model", repr(model), reason, remedy)
    plain = slash + path
    return plain if os.path.lexists(plain) else unquote(plain)


def _open_folder(model: str, revision: str, reach: Reach) -> Source:
    return FolderSource(_folder_of(model), progress=reach.progress)


def _open_hub(model: str, revision: str, reach: Reach) -> Source:
    ref = parse_model(model, revision)
    if is_offline():
        return cached_source(ref, reach.progress)
    # The token's reader takes long to import: only who reads from the hub waits for it.
    from carferry.source.hub.source import HubSource

    return HubSource(ref, retry=reach.retry, ca_file=reach.ca_file)


def _bucket(model: str, revision: str) -> S3Ref:
    _check_no(revision, model)
    return S3Ref.parse(_url(model))


def _open_bucket(model: str, revision: str, reach: Reach) -> Source:
    from carferry.source.s3.source import S3Source

    return S3Source(_bucket(model, revision), retry=reach.retry, ca_file=reach.ca_file)


def _claim(model: str, revision: str) -> ClaimRef:
    _check_no(revision, model)
    return ClaimRef.parse(_url(model))


def _open_claim(model: str, revision: str, reach: Reach) -> Source:
    return _claim(model, revision).open(progress=reach.progress)


def _check_no(revision: str, model: str) -> None:
    if revision:
        reason = f"only the hub has a revision {revision!a}"
        raise InvalidReference("parse model", ascii(model[:200]), reason, "leave --revision out")


def _as_it_is(model: str, found: Snapshot) -> str:
    return model


def _at_commit(model: str, found: Snapshot) -> str:
    return f"{found.repo}@{found.commit}" if found.repo else model


def _image(model: str, revision: str) -> ImageRef | LayoutRef:
    _check_no(revision, model)
    url = _url(model)
    # A layout's path keeps its blanks, and its scheme has no slashes.
    return parse_image(url.rstrip() if "://" in url else url)


def _at_digest(model: str, found: Snapshot) -> str:
    if found.image is None:
        return model
    ref = _image(model, "").at(found.image)
    return f"oci://{ref}" if isinstance(ref, ImageRef) else str(ref)


def _open_image(model: str, revision: str, reach: Reach) -> Source:
    ref = _image(model, revision)
    if reach.open_image is None:
        remedy = "carferry download IMAGE DIR, then give ./DIR"
        raise InputError("read", ref, "no image is read here", remedy)
    return reach.open_image(ref)


_HUB = Kind(parse_model, _open_hub, _at_commit)
_IMAGE = Kind(_image, _open_image, _at_digest)
_KINDS: Mapping[str, Kind] = {
    "oci": _IMAGE,
    "docker": _IMAGE,
    "hf": _HUB,
    "https": _HUB,
    "http": _HUB,
    "file": Kind(lambda model, _: _folder_of(model), _open_folder, _as_it_is),
    "s3": Kind(_bucket, _open_bucket, _as_it_is),
    "pvc": Kind(_claim, _open_claim, _as_it_is),
}
