"""The image under the model: resolved to a digest, its layers copied or mounted, never re-packed.

KServe's modelcar mode runs ``sh``, ``ls``, ``ln`` and ``sleep`` from it as arguments, so an
ordinary base must have them and no ENTRYPOINT. The embedded base is the exception: one static
program as entrypoint that does the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from carferry.errors import InputError, ManifestMissing, TargetError
from carferry.image.config import flaw_of
from carferry.image.defaults import DEFAULT as DEFAULT
from carferry.image.kinds import kind_of, layers_flaw
from carferry.image.unpack import Budget, NotLookedAt, unpacked
from carferry.io.net.retry import Retry
from carferry.oci.documents import CONFIG, LAYER, Descriptor, Document, Platform
from carferry.refs import Digest, ImageRef, LayoutRef, parse_image
from carferry.registry.blobs import read_small
from carferry.registry.read import absent
from carferry.registry.target import Target

EMBEDDED = "embedded"
SCRATCH = "scratch"
MODELCAR_ENTRYPOINT = ["/bin/link-model-and-wait"]
PROVED_BYTES = 256 * 1024 * 1024
"""Longest compressed layer of a base that is read to prove its diff id."""
_REMEDY = "choose another --base"


@dataclass(frozen=True, slots=True)
class Base:
    """One platform of a base image.

    Attributes:
        name: Reference as asked for; empty for scratch.
        digest: Of the manifest or index that was resolved; None for scratch.
        platform: What the image runs on.
        layers: Its layers, bottom first, as stored.
        config: Its image config.
        home: Where its blobs are read; None for scratch.
    """

    name: str
    digest: Digest | None
    platform: Platform
    layers: tuple[Descriptor, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    home: Target | None = None

    @property
    def diff_ids(self) -> list[str]:
        """Digests of the uncompressed layers."""
        return list((self.config.get("rootfs") or {}).get("diff_ids") or [])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The ``config`` object inside the image config: Env, Entrypoint, Cmd, User."""
        return self.config.get("config") or {}

    @property
    def env(self) -> dict[str, str]:
        """Its environment, in its order."""
        return dict(entry.partition("=")[::2] for entry in self.settings.get("Env") or [])


def open_bases(
    base: str,
    platforms: tuple[Platform, ...],
    open_target: Callable[[ImageRef | LayoutRef], Target],
    retry: Retry | None = None,
    *,
    prove: bool = True,
) -> tuple[Base, ...]:
    """Resolve a base once for each platform.

    Args:
        base: A reference, ``oci:path:tag``, ``embedded`` or ``scratch``.
        platforms: What to resolve an index to.
        open_target: Opens a reference for reading.
        retry: Policy for layers that break off while they are read.
        prove: Read its layers, which costs more than documents; else nothing may be made on it.

    Raises:
        InputError: The embedded base is not installed, a platform is missing, or a document of
            the base is broken.
        ManifestMissing: No such image.
    """
    if base == SCRATCH:
        return tuple(Base("", None, platform) for platform in platforms)
    home = open_target(_locate(base))
    document = home.image()
    if document is None:
        raise ManifestMissing("pull base", base, absent(home.ref), "check --base")
    name = EMBEDDED if base == EMBEDDED else base.removeprefix("docker://")
    found = tuple(_resolve(name, document, platform, home) for platform in platforms)
    for each in found if prove else ():
        _prove_layers(each, home, retry or Retry())
    return found


def check_name(base: str) -> None:
    """Refuse a base that nothing can be named; whether it is there is not looked at.

    Raises:
        InputError: Not a reference.
    """
    if base not in {SCRATCH, EMBEDDED}:
        _locate(base)


def check_apart(bases: Sequence[Base], ref: ImageRef | LayoutRef) -> None:
    """Refuse to tag an image as its own base: the next build would stand on this one's result.

    Args:
        bases: What it stands on.
        ref: Where it goes.

    Raises:
        InputError: One of them is there.
    """
    for base in bases:
        if base.home is not None and _is_same(base.home.ref, ref):
            raise InputError("write", ref, "it is the base itself", "choose another tag")


def embedded_layout() -> LayoutRef:
    """Return the OCI layout that PyPI's modelcar-base-image carries.

    Raises:
        InputError: The package is not installed.
    """
    try:
        import modelcar_base_image
    except ImportError as error:
        raise InputError(
            "use base",
            EMBEDDED,
            "the package modelcar-base-image is not installed",
            "pip install modelcar-base-image==0.1.0, or name another base",
        ) from error
    folder = Path(str(modelcar_base_image.__file__)).parent
    return LayoutRef(folder / "embedded_oci_layout", "latest")


def _is_same(first: ImageRef | LayoutRef, second: ImageRef | LayoutRef) -> bool:
    if isinstance(first, LayoutRef) and isinstance(second, LayoutRef):
        same_tag = first.reference == second.reference
        return same_tag and second.path.exists() and first.path.samefile(second.path)
    if isinstance(first, ImageRef) and isinstance(second, ImageRef):
        return (first.name, first.reference) == (second.name, second.reference)
    return False


def _locate(base: str) -> ImageRef | LayoutRef:
    if base == EMBEDDED:
        return embedded_layout()
    if base.startswith(("oci:", "docker://")):
        return parse_image(base)
    return ImageRef.parse(base)


def _resolve(name: str, document: Document, platform: Platform, home: Target) -> Base:
    manifest = _pick(name, document, platform, home) if document.is_index else document
    with _blaming(name, "manifest"):
        kind = kind_of(manifest)
        descriptor, layers = (manifest.config, _layers(manifest)) if not kind else (None, ())
    if descriptor is None:
        raise InputError("use base", name, f"it is {kind}, not an image", _REMEDY)
    if flaw := layers_flaw(layers):
        raise InputError("use base", name, f"runtimes cannot unpack it: {flaw}", _REMEDY)
    with _blaming(name, "config"):
        config = Document(CONFIG, read_small(home, descriptor)).json
    if flaw := flaw_of(config, layers):
        raise InputError("use base", name, f"its config is broken: {flaw}", _REMEDY)
    found = Platform(str(config.get("architecture", "")), str(config.get("os", "")))
    if found != platform:
        raise InputError("use base", name, f"it is for {found}, not {platform}", "see --platform")
    return Base(name, document.digest, platform, layers, config, home)


def _prove_layers(base: Base, home: Target, retry: Retry) -> None:
    """Read compressed layers that are not too long, and compare them with the config.

    Only a node would find the difference, after everything else has moved (docs/adr/0025).
    """
    for layer, diff_id in zip(base.layers, base.diff_ids, strict=True):
        if layer.media_type == LAYER or not diff_id.startswith("sha256:"):
            continue
        found = retry.call(partial(_diff_id, base.name, home, layer))
        if found not in {diff_id, ""}:
            reason = f"its config is broken: rootfs.diff_ids has {diff_id} for layer "
            reason += f"{layer.digest}, whose content is {found}"
            raise InputError("use base", base.name, reason, _REMEDY)


def _diff_id(name: str, home: Target, layer: Descriptor) -> str:
    """Return the digest of a layer's content; empty if that is too long to read."""
    try:
        budget = Budget(packed_bytes=PROVED_BYTES)
        with _blaming(name, f"layer {layer.digest}"), unpacked(home, layer, budget) as raw:
            return str(raw.finish())
    except NotLookedAt:
        return ""


def _layers(manifest: Document) -> tuple[Descriptor, ...]:
    """Return a manifest's layers; without a list of them it is no base."""
    if not isinstance(manifest.json.get("layers"), list):
        raise TargetError("read manifest", manifest.digest, "its layers are not a list")
    return manifest.layers


@contextmanager
def _blaming(name: str, part: str) -> Iterator[None]:
    """Name the base in the error of a broken document."""
    try:
        yield
    except TargetError as error:
        if error.temporary or isinstance(error, NotLookedAt):
            raise
        reason = f"its {part} is broken: {error.reason}"
        raise InputError("use base", name, reason, _REMEDY) from error


def _pick(name: str, index: Document, platform: Platform, home: Target) -> Document:
    with _blaming(name, "index"):
        offers = index.manifests
    for descriptor in offers:
        if descriptor.platform == platform:
            manifest = home.get_manifest(str(descriptor.digest))
            if manifest is None:
                raise ManifestMissing("pull base", name, f"its index lists a missing {platform}")
            return manifest
    offered = ", ".join(str(d.platform) for d in offers if d.platform)
    raise InputError("use base", name, f"no {platform}; it has {offered}", "see --platform")
