"""Which layers exist already, read from the annotations of the manifests that list them.

A mapping from content key to digest is only a claim, whoever made it. HEAD must confirm a blob
of that digest and of the layer's exact length; and unless the claim is believed, it is used only
after the blob was read back (``prove``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from carferry.assembly import shards
from carferry.assembly.plan import Claim
from carferry.assembly.trust import Reuse, Trust
from carferry.errors import AuthenticationFailed, CarferryError, InvalidReference
from carferry.image.compose import CONTENT_KEY, file_ids
from carferry.image.layers import Layer
from carferry.io.net.retry import Retry
from carferry.io.parallel import run_parallel
from carferry.oci.documents import LAYER, Descriptor, Document
from carferry.refs import Digest
from carferry.registry.target import ListDenied, Target
from carferry.source.snapshot import ContentId

_THREADS = 16
# Of each kind: neither can hide the other, whatever is pushed.
_OTHER_TAGS = 16
_OTHER_SHARDS = 64
# Signatures and lists of referrers: cosign's tags, and those of the distribution-spec's fallback.
_ABOUT_OTHERS = re.compile(r"sha(?:256|512)-[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Given:
    """An image that a model is read from.

    Attributes:
        home: Where it is.
        manifest: As it was read first; its tag may have moved since.
    """

    home: Target
    manifest: Document


def find_claims(
    target: Target,
    layers: Sequence[Layer],
    origins: Iterable[Target],
    *,
    reuse: Reuse,
    run: str,
    prefix: str,
    retry: Retry,
    shared: bool,
    given: Given | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[Digest, tuple[Claim, ...]]:
    """Return where layers are said to exist already, by content key, best first.

    Args:
        target: Where the image goes.
        layers: Layers that it needs.
        origins: Images of the same registry that layers may be mounted from; each is asked for
            what was not found before.
        reuse: Whose claims are believed.
        run: Secret that signs the shards of the run; empty: none.
        prefix: What tags of this plan's shards start with.
        retry: The targets' own policy, which a signal stops.
        shared: Whether workers share the build, whose tags are guessed where none may be listed.
        given: The image that the model itself is read from.
        note: Told of a place whose tags may not be listed.
    """
    given_layers = _survey_given(target, layers, given, retry) if given else {}
    layers = [layer for layer in layers if layer.content_key not in given_layers]
    every = reuse is Reuse.REPOSITORY
    trust = Trust(named=reuse is not Reuse.NONE, others=every, run=run, prefix=prefix)
    survey = partial(_survey, retry=retry, note=note, shared=shared)
    found = survey(target, layers, target.ref.push_tag, trust)
    # The image that was named is believed with the repository; its neighbours were not named.
    trust = Trust(named=every, others=False, run=run, prefix=prefix)
    for origin in origins:
        wanted = [layer for layer in layers if layer.content_key not in found]
        found |= survey(origin, wanted, origin.ref.reference, trust)
    return {key: tuple(claims) for key, claims in (given_layers | found).items()}


def _survey_given(
    target: Target, layers: Sequence[Layer], given: Given, retry: Retry
) -> dict[Digest, list[Claim]]:
    """Look for layers of the image that is the model: what it holds is what was asked for."""
    found: dict[Digest, list[Claim]] = {}
    for place in (target, given.home):
        wanted = [layer for layer in layers if layer.content_key not in found]
        survey = _Survey(place, wanted, retry)
        survey.note_given(given)
        found |= survey.found
    return found


def _survey(
    target: Target,
    layers: Sequence[Layer],
    named: str,
    trust: Trust,
    *,
    retry: Retry,
    note: Callable[[str], None],
    shared: bool,
) -> dict[Digest, list[Claim]]:
    """Look for layers in one place."""
    survey = _Survey(target, layers, retry)
    if not layers or survey.is_settled:
        return survey.found
    if named:
        survey.read(named, believed=trust.named)
    if not survey.is_settled:
        _survey_tags(survey, _tags(target, trust.prefix, retry, note, shared=shared), named, trust)
    return survey.found


def _tags(
    target: Target, prefix: str, retry: Retry, note: Callable[[str], None], *, shared: bool
) -> list[str]:
    try:
        return target.tags()
    except ListDenied as error:
        note(f"{error.action} {error.subject}: {error.reason}; layers of its other tags move anew")
        return shards.guessed_tags(target, prefix, retry, shared=shared)


def _survey_tags(survey: _Survey, tags: Sequence[str], named: str, trust: Trust) -> None:
    for tag in _starting(tags, trust.prefix):
        if survey.is_settled:
            return
        survey.read_shard(tag, trust)
    if named and not survey.is_settled:
        # Read anew: a sealer that was faster has tagged the image and removed the shards.
        survey.read(named, believed=trust.named)
    for tag in _others(tags, named, trust.prefix):
        if survey.is_settled or (survey.is_complete and not trust.others):
            return
        survey.read(tag, believed=trust.others)


def _starting(tags: Iterable[str], prefix: str) -> list[str]:
    return [tag for tag in tags if tag.startswith(prefix)]


def _others(tags: Sequence[str], named: str, prefix: str) -> Iterator[str]:
    """Yield tags that may know layers of another commit or plan: first shards, then images."""
    left = [tag for tag in reversed(tags) if tag != named and not tag.startswith(prefix)]
    yield from _starting(left, shards.PREFIX)[:_OTHER_SHARDS]
    images = [t for t in left if not t.startswith(shards.PREFIX) and not _ABOUT_OTHERS.match(t)]
    yield from images[:_OTHER_TAGS]


class _Survey:
    """What is known of the wanted layers so far, at one place."""

    def __init__(self, target: Target, layers: Sequence[Layer], retry: Retry) -> None:
        self._target = target
        self._retry = retry
        self._wanted = {layer.content_key: layer for layer in layers}
        self.found: dict[Digest, list[Claim]] = {}
        # A raw layer is found without any manifest: its digest is the file's own.
        known = {
            key: Descriptor(LAYER, digest, layer.size_bytes)
            for key, layer in self._wanted.items()
            if (digest := layer.known_digest)
        }
        self._note(known, "", believed=True)

    @property
    def is_complete(self) -> bool:
        """Whether every layer is said to be somewhere."""
        return self.found.keys() == self._wanted.keys()

    @property
    def is_settled(self) -> bool:
        """Whether every layer is known to be here: nothing more needs to be asked."""
        return self.is_complete and all(map(_is_believed, self.found.values()))

    def read(self, reference: str, *, believed: bool) -> None:
        """Note what the manifest of a tag or digest claims."""
        if document := _manifest(self._target, reference):
            self._note(_claims(document), reference, believed=believed)

    def note_given(self, given: Given) -> None:
        """Note the layers of the image that the model is read from."""
        self._note(_claims(given.manifest), str(given.home.ref), believed=True)

    def read_shard(self, tag: str, trust: Trust) -> None:
        """Note what a tag with the name of this plan's shards claims."""
        if document := _manifest(self._target, tag):
            believed = trust.of_shard(document, tag, shards.SHARD)
            self._note(_claims(document), tag, believed=believed)

    def _note(self, claims: Mapping[Digest, Descriptor], by: str, *, believed: bool) -> None:
        new = {key: each.digest for key, each in claims.items() if self._is_news(key, each.digest)}
        if believed:
            self._believe(claims, by)
        digests = list(new.values())
        found = run_parallel(self._target.blob_size, digests, parallel=_THREADS, retry=self._retry)
        sizes = dict(zip(new, found, strict=True))
        for key, digest in new.items():
            ids = _ids_for(self._wanted[key], claims[key])
            if sizes[key] == self._wanted[key].size_bytes and ids is not None:
                claim = Claim(digest, self._target.ref, by, believed, ids)
                self.found.setdefault(key, []).append(claim)

    def _is_news(self, key: Digest, digest: Digest) -> bool:
        layer = self._wanted.get(key)
        if layer is None or layer.known_digest not in {None, digest}:
            return False
        said = self.found.get(key, ())
        return not any(claim.believed or claim.digest == digest for claim in said)

    def _believe(self, claims: Mapping[Digest, Descriptor], by: str) -> None:
        """Believe what was claimed before by somebody else."""
        for key, said in self.found.items():
            digest = claims[key].digest if key in claims else None
            self.found[key] = [
                replace(claim, by=by, believed=True) if claim.digest == digest else claim
                for claim in said
            ]


def _is_believed(claims: Iterable[Claim]) -> bool:
    return any(claim.believed for claim in claims)


def _manifest(target: Target, reference: str) -> Document | None:
    """Return a manifest, of an index its first; None if no tool could read it."""
    try:
        document = target.get_manifest(reference)
        if document is not None and document.is_index and document.manifests:
            document = target.get_manifest(str(document.manifests[0].digest))
    except CarferryError as error:
        if error.temporary or isinstance(error, AuthenticationFailed):
            raise
        return None
    return document


def _ids_for(layer: Layer, claim: Descriptor) -> tuple[ContentId, ...] | None:
    """Return the ids that only a claim has, one for each of a layer's files; None if it lacks them.

    A layer whose source has ids needs none.
    """
    if layer.is_provable:
        return ()
    try:
        ids = file_ids(claim)
    except InvalidReference:
        return None
    is_right = len(ids) == len(layer.files) and all(each.is_provable for each in ids)
    return ids if is_right else None


def _claims(document: Document) -> dict[Digest, Descriptor]:
    """Return what a manifest claims; one of some other tool simply claims nothing."""
    try:
        return {
            Digest.parse(str(layer.annotations[CONTENT_KEY])): layer
            for layer in document.layers
            if CONTENT_KEY in layer.annotations
        }
    except CarferryError:
        return {}
