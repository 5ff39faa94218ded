"""Which vLLM an image serves with, read from its labels and its environment; nothing is pulled.

Sources: vLLM 0.24 and 0.33, ``docker/Dockerfile``: ``ai.vllm.image.tag``, ``VLLM_IMAGE_TAG``, and
``org.opencontainers.image.version``, which images before them inherit from Ubuntu ("22.04"). Red
Hat's images bear ``name`` and ``version`` of the product, whose releases name a vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from carferry.errors import CarferryError
from carferry.gpu.vllm.version import find_version
from carferry.io.net.retry import Retry
from carferry.refs import ImageRef
from carferry.registry.access import Access
from carferry.shown import one_line

_TRIES = 2
"""Of a registry that does not answer: what it would say has a default."""
# vLLM is not at 1 yet; Ubuntu, CUDA and products count from higher numbers.
_VERSION = re.compile(
    r"(?:^|[:v=_-])v?(0\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:\+[A-Za-z0-9.]{1,40})?)"
    r"(?=$|[-_ ]|\.?(?:rc|post|dev)[0-9])"
)
_NAMED = re.compile(r"(?i)(?:^|[._-])vllm[._-](?:image[._-]|build[._-])?(?:version|tag)$")
_PRODUCT = re.compile(r"(?:rhoai-|v)?([23]\.[0-9]{1,2})(?![0-9])")
_SHORT = re.compile(r"[a-z0-9][a-z0-9_-]*/[^/]+")
"""``organization/image`` as people type it, and as every tool for containers but ours reads it."""
_LABELS = ("ai.vllm.image.tag", "org.opencontainers.image.version", "version")


def is_image(text: str) -> bool:
    """Say whether a text names an image, and not a version."""
    return "/" in text


def check_served(text: str) -> None:
    """Refuse a text that names neither a version of vLLM nor an image.

    Raises:
        InputError: As ``find_version`` or ``ImageRef.parse``.
    """
    if is_image(text):
        _reference(text)
    else:
        find_version(text)


def served_by(text: str, access: Access, default: str) -> tuple[str, str]:
    """Return the version of vLLM to plan for, and what a reader must know of it.

    An image that says nothing, or may not be read, is no failure.

    Args:
        text: A version, or the reference of a serving image.
        access: How its registry is reached.
        default: Version for an image that does not say.

    Raises:
        InputError: No reference.
    """
    if not is_image(text):
        return text, ""
    ref = _reference(text)
    try:
        found, why = version_in(_config(ref, access), ref), f"nothing says which {ref} holds"
    except CarferryError as error:
        found, why = version_in({}, ref), f"{ref} was not read: {one_line(str(error))}"
    if found:
        return found, f"vLLM {found}, as the image {ref} says"
    return default, f"planned as vLLM {default}: {why}"


def version_in(config: Mapping[str, Any], ref: ImageRef) -> str:
    """Return the version of vLLM that an image's config says, else its tag; empty if none does.

    Args:
        config: The ``config`` object of its config.
        ref: Its reference.
    """
    for text in (*_said(config), ref.tag or ""):
        if match := _VERSION.search(text):
            return match[1]
    labels = _texts(config.get("Labels"))
    name, version = labels.get("name", ref.repository), labels.get("version", ref.tag or "")
    product = _PRODUCT.match(version)
    return f"rhoai-{product[1]}" if product and _is_openshift_ai(name, version) else ""


def _reference(text: str) -> ImageRef:
    """Return an image's reference; a short name is Docker Hub's, whose tags name the version."""
    short = _SHORT.fullmatch(text) and not text.startswith("localhost/")
    return ImageRef.parse(f"docker.io/{text}" if short else text)


def _config(ref: ImageRef, access: Access) -> dict[str, Any]:
    # Most plans are for a version, and pay for none of this.
    from carferry.image.kinds import first_image
    from carferry.registry.read import read_config, read_image, read_manifests

    target = replace(access, retry=Retry(attempts=_TRIES)).open(ref)
    top = read_image(target)
    manifest = first_image(read_manifests(target, top), top.manifests if top.is_index else ())
    held = read_config(target, manifest)["config"]
    return held if isinstance(held, dict) else {}


def _said(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an image says of its vLLM, the surest first."""
    labels = _texts(config.get("Labels"))
    env = config.get("Env")
    pairs = [str(each).partition("=") for each in env] if isinstance(env, list) else []
    spoken = {**labels, **{name: value for name, _, value in pairs}}
    yield from (value for name, value in sorted(spoken.items()) if _NAMED.search(name))
    yield from (labels[name] for name in _LABELS if name in labels)


def _texts(labels: object) -> dict[str, str]:
    held = labels if isinstance(labels, dict) else {}
    return {str(name): value for name, value in held.items() if isinstance(value, str)}


def _is_openshift_ai(name: str, version: str) -> bool:
    """Say whether a product's version is that of OpenShift AI: other products count their own."""
    return version.startswith("rhoai-") or name.startswith(("rhoai/", "opendatahub/odh-vllm"))
