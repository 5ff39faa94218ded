"""One run and its check: the one right digest, or exactly one clear error and no tag moved."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ferrying import Hurried
from servers.chaos import Answer, Rule
from servers.personal import PERSONALITIES, PersonalRegistry
from servers.registry import Registry
from servers.threads import left_behind
from servers.tokens import SERVICE

from carferry.assembly.build import build, seal_shares, stream_share
from carferry.errors import CarferryError, TargetError
from carferry.io.net.retry import Retry
from carferry.oci.documents import Document
from carferry.registry.target import Target
from faults.draws import MANIFESTS, UPLOADS, Case, Fault
from faults.harness import CALM, TAG, Harness, Place

# A run takes well under a second; this is longer than any user waits.
DEADLINE_S = 30.0
_WORKERS = 2


class Wrong(AssertionError):
    """The run did not end as every run must."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended.

    Attributes:
        digests: Of every image that was announced.
        errors: That were raised.
        seconds: That it took.
    """

    digests: tuple[str, ...]
    errors: tuple[CarferryError, ...]
    seconds: float


def run(harness: Harness, case: Case) -> Outcome:
    """Run a case and check how it ended.

    Raises:
        Wrong: Names the case and what is wrong about its end.
    """
    place = harness.place(case.place)
    repository = harness.repository()
    expected = harness.digest(case.model, "main", case.format)
    calm = place.open(repository, place.access(_retry(case), CALM), direct=True)
    _prepare(harness, case, calm)
    before = _tagged(calm)
    _arm(harness, case, place)
    started = time.monotonic()
    results = _Run(harness, case, place, repository).go()
    outcome = _outcome(results, time.monotonic() - started)
    met = _met(harness, case, place)
    harness.calm()
    _check_end(case, outcome, met, expected, before, _tagged(calm))
    if not outcome.errors:
        _check_image(case, calm, expected)
    return outcome


def _retry(case: Case) -> Retry:
    jitter = random.Random(case.seed).random
    pauses = {"base_s": 0.005, "cap_s": 0.05, "deadline_s": 60 + DEADLINE_S}
    return Retry(attempts=8, **pauses, stop=Hurried(), jitter=jitter)


def _prepare(harness: Harness, case: Case, calm: Target) -> None:
    harness.calm()
    personal = harness.places["personal"].registry
    assert isinstance(personal, PersonalRegistry)
    personal.personality = PERSONALITIES[case.personality]
    if case.before:
        source = harness.source(case.model, "old", _retry(case), direct=True)
        build(source, calm, harness.options(case.format))


def _arm(harness: Harness, case: Case, place: Place) -> None:
    bearer = harness.places["bearer"].registry
    assert isinstance(bearer, Registry)
    realm = bearer.tokens.realm if bearer.tokens else ""
    challenge = f'Bearer realm="{realm}",service="{SERVICE}"'
    for side, front in harness.fronts.items():
        front.arm(case.rules(side))
    place.front.arm([_challenging(rule, challenge) for rule in case.rules("registry")])


def _challenging(rule: Rule, challenge: str) -> Rule:
    if isinstance(rule.action, Answer) and rule.action.status == 401:
        return replace(rule, action=Answer(401, {"WWW-Authenticate": challenge}))
    return rule


class _Run:
    """The flow of one case, through the proxies."""

    def __init__(self, harness: Harness, case: Case, place: Place, repository: str) -> None:
        self.harness, self.case, self.place, self.repository = harness, case, place, repository
        self.options = harness.options(case.format, case.parallel)

    def go(self) -> list[Document | CarferryError]:
        """Return what each of those that make the image ended with."""
        flow = self.case.flow
        if flow == "build":
            return [self.ended(self.build)]
        if flow == "builds race":
            return self.both(self.build)
        failed = [end for end in map(self.stream, range(1, _WORKERS + 1)) if end is not None]
        if failed:
            return [failed[0]]
        if flow == "collected":
            return self.collected()
        return self.both(self.seal) if flow == "sealers race" else [self.ended(self.seal)]

    def build(self) -> Document:
        retry = _retry(self.case)
        access = self.place.access(retry)
        target = self.place.open(self.repository, access)
        source = self.harness.source(self.case.model, "main", retry)
        return build(source, target, self.options, access=access).document

    def stream(self, worker: int) -> CarferryError | None:
        retry = _retry(self.case)
        access = self.place.access(retry)
        target = self.place.open(self.repository, access)
        source = self.harness.source(self.case.model, "main", retry)
        try:
            stream_share(source, target, self.options, worker, _WORKERS, access=access)
        except CarferryError as error:
            return error
        return None

    def seal(self) -> Document:
        retry = _retry(self.case)
        access = self.place.access(retry)
        target = self.place.open(self.repository, access)
        source = self.harness.source(self.case.model, "main", retry)
        return seal_shares(source, target, self.options, access=access).document

    def ended(self, work: Callable[[], Document]) -> Document | CarferryError:
        try:
            return work()
        except CarferryError as error:
            return error

    def both(self, work: Callable[[], Document]) -> list[Document | CarferryError]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.ended, [work, work]))

    def collected(self) -> list[Document | CarferryError]:
        """Lose a layer between the workers and the sealer, then run everything again."""
        lost = self._lose_a_layer()
        refused = self.ended(self.seal)
        if not isinstance(refused, TargetError) or "have not arrived" not in str(refused):
            raise Wrong(f"{self.case}: {lost} was collected, and the sealer said {refused}")
        failed = [end for end in map(self.stream, range(1, _WORKERS + 1)) if end is not None]
        return [failed[0]] if failed else [self.ended(self.seal)]

    def _lose_a_layer(self) -> str:
        access = self.place.access(_retry(self.case), CALM)
        target = self.place.open(self.repository, access, direct=True)
        shards = [target.get_manifest(tag) for tag in target.tags("carferry-shard-")]
        layers = [layer for shard in shards if shard for layer in shard.layers]
        large = sorted(layer.digest for layer in layers if layer.size_bytes > 2)
        lost = str(random.Random(self.case.seed).choice(large))
        registry = self.place.registry
        if isinstance(registry, PersonalRegistry):
            del registry.repository(self.repository).blobs[lost]
        else:
            registry.file(self.repository, lost).unlink()
        return lost


def _outcome(results: list[Document | CarferryError], seconds: float) -> Outcome:
    return Outcome(
        tuple(str(end.digest) for end in results if isinstance(end, Document)),
        tuple(end for end in results if isinstance(end, CarferryError)),
        seconds,
    )


def _met(harness: Harness, case: Case, place: Place) -> list[Fault]:
    """Return the faults that must end the run and were met by it."""
    fronts = harness.fronts | {"registry": place.front}
    taken = {
        side: {id(action) for exchange in list(front.exchanges) for action in exchange.actions}
        for side, front in fronts.items()
    }
    return [
        fault
        for fault in case.faults
        if fault.ends and any(id(rule.action) in taken[fault.side] for rule in fault.rules)
    ]


def _check_end(
    case: Case, outcome: Outcome, met: list[Fault], expected: str, before: str, after: str
) -> None:
    ends = tuple(error for fault in met for error in fault.ends)
    said = "; ".join(f"{type(error).__name__}: {error}" for error in outcome.errors)
    if outcome.seconds > DEADLINE_S:
        raise Wrong(f"{case}: took {outcome.seconds:.1f} s; {said}")
    if set(outcome.digests) - {expected}:
        raise Wrong(f"{case}: digest {outcome.digests}, not {expected}")
    if not ends and outcome.errors:
        raise Wrong(f"{case}: should have coped, but {said}")
    if ends and not outcome.errors:
        raise Wrong(f"{case}: should have ended with {ends}")
    if not all(isinstance(error, ends) for error in outcome.errors):
        raise Wrong(f"{case}: should have ended with {ends}, but {said}")
    if after != (expected if outcome.digests else before):
        raise Wrong(f"{case}: the tag went from {before} to {after}; {said}")
    if left := left_behind():
        raise Wrong(f"{case}: threads left: {left}")


def _tagged(calm: Target) -> str:
    document = calm.get_manifest(TAG)
    return str(document.digest) if document else ""


def _check_image(case: Case, calm: Target, expected: str) -> None:
    """Read every blob back; look for what should have been cleaned up."""
    document = calm.get_manifest(expected)
    if document is None:
        raise Wrong(f"{case}: no manifest {expected}")
    for blob in (document.config, *document.layers):
        hasher = hashlib.sha256()
        for chunk in calm.open_blob(blob.digest):
            hasher.update(chunk)
        if f"sha256:{hasher.hexdigest()}" != str(blob.digest):
            raise Wrong(f"{case}: {blob.digest} holds other bytes")
    cleaning = {MANIFESTS, UPLOADS, "/tags/list", ""}
    hindered = any(rule.path in cleaning for rule in case.rules("registry"))
    if not hindered and (left := calm.tags("carferry-shard-")):
        raise Wrong(f"{case}: shard tags left: {left}")
