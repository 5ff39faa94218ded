"""What goes wrong in the run of a seed: drawn once, the same every time."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from servers.chaos import (
    Action,
    Answer,
    DropReply,
    DropRequest,
    EditReply,
    FlipByte,
    IgnoreRange,
    ResetDownload,
    ResetUpload,
    Rule,
    StallDownload,
    StallReply,
    StallUpload,
    Truncate,
)
from servers.personal import PERSONALITIES
from servers.registry_programs import KINDS
from servers.wire import Head

from carferry.errors import (
    CarferryError,
    IncompleteModel,
    PushDenied,
    SourceChanged,
    SourceDenied,
    SourceError,
    StorageFull,
    TargetError,
    Unreachable,
)
from carferry.image.layers import Format
from faults.harness import MODELS

UPLOADS = "/blobs/uploads/"
MANIFESTS = "/manifests/"
WEIGHTS = r"^/cdn/"
FILES = "/resolve/"
API = "^/api/"
_BRIEF_S, _LONG_S = 0.05, 0.7
_EDGES = (0, 1, 511, 512, 513, 1024, 1536, -1, -2, -512, -1024, -1025)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: For people.
        side: ``hub``, ``cdn`` or ``registry``.
        rules: For that side's proxy.
        ends: Errors of which one must end the run if it is met; empty if carferry must cope.
    """

    name: str
    side: str
    rules: tuple[Rule, ...]
    ends: tuple[type[CarferryError], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """The run of one seed.

    Attributes:
        seed: Where it comes from.
        model: Number of the model.
        format: ModelCar or ModelPack.
        place: Kind of registry.
        personality: Of the registry in memory.
        flow: ``build``, ``workers``, ``builds race``, ``sealers race`` or ``collected``.
        parallel: Layers at once.
        before: Whether the tag names an image of the branch ``old`` at first.
        faults: What goes wrong.
    """

    seed: int
    model: int
    format: Format
    place: str
    personality: str
    flow: str
    parallel: int
    before: bool
    faults: tuple[Fault, ...]

    def rules(self, side: str) -> list[Rule]:
        """Return the rules of one side's proxy."""
        return [rule for fault in self.faults if fault.side == side for rule in fault.rules]

    def __str__(self) -> str:
        """Return everything but the rules on one line."""
        names = ", ".join(f"{fault.side}: {fault.name}" for fault in self.faults)
        place = self.place if self.place != "personal" else f"{self.personality!r}"
        start = "over an old tag" if self.before else "no tag"
        return (
            f"seed {self.seed}: {self.flow} of model {self.model} as {self.format} to {place}, "
            f"{start}, {self.parallel} at once; {names}"
        )


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    rng = random.Random(seed)
    place = rng.choices(("real", "bearer", "personal"), (5, 1, 4))[0]
    flow = rng.choices(
        ("build", "workers", "builds race", "sealers race", "collected"), (12, 4, 2, 1, 1)
    )[0]
    return Case(
        seed,
        rng.randrange(MODELS),
        rng.choices((Format.MODELCAR, Format.MODELPACK), (3, 1))[0],
        KINDS[seed % len(KINDS)] if place == "real" else place,
        rng.choice(sorted(PERSONALITIES)),
        flow,
        rng.randint(1, 3),
        rng.random() < 0.2,
        _faults(rng, place, mortal=flow != "collected"),
    )


def _faults(rng: random.Random, place: str, *, mortal: bool) -> tuple[Fault, ...]:
    found = [rng.choice(_HEALING)(rng) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.3:
        # Only one of these: a file that is wrong twice is a wrong file.
        found[0] = rng.choice(_WRONG_ONCE)(rng)
    elif mortal and rng.random() < 0.25:
        found[0] = rng.choice(_FATAL)(rng)
    elif place == "bearer":
        found.append(_unauthorized(rng))
    return tuple(found)


def _point(rng: random.Random) -> int:
    return rng.choice((*_EDGES, rng.randrange(900_000), rng.randrange(900_000)))


def _times(rng: random.Random) -> dict[str, int]:
    return {"first": rng.randint(1, 4), "times": rng.randint(1, 2)}


def _upload_broken(rng: random.Random) -> Fault:
    at = _point(rng)
    rule = Rule(ResetUpload(at), "PATCH", UPLOADS, **_times(rng))
    return Fault(f"upload reset at {at}", "registry", (rule,))


def _upload_stalled(rng: random.Random) -> Fault:
    at, pause = _point(rng), rng.choice((_BRIEF_S, _BRIEF_S, _LONG_S))
    point = max(0, at)
    rule = Rule(StallUpload(pause, point), "PATCH", UPLOADS, first=rng.randint(1, 4))
    return Fault(f"upload stalled {pause} s at {point}", "registry", (rule,))


_REQUESTS = (
    ("POST", UPLOADS),
    ("PATCH", UPLOADS),
    ("PUT", UPLOADS),
    ("PUT", UPLOADS),
    ("PUT", MANIFESTS),
    ("GET", MANIFESTS),
    ("GET", "/tags/list"),
    ("HEAD", "/blobs/"),
    ("DELETE", ""),
)


def _request_lost(rng: random.Random) -> Fault:
    method, path = rng.choice(_REQUESTS)
    action: Action = rng.choice((DropRequest(), DropReply(), DropReply(), StallReply(_LONG_S)))
    times = _times(rng)
    if (method, path) == ("GET", MANIFESTS):
        # The first request of all gets two tries: a wrong host name should show at once.
        times = {"first": times["first"] + 2, "times": 1}
    rule = Rule(action, method, path, **times)
    return Fault(f"{method} {path} {action}", "registry", (rule,))


def _refused_for_now(rng: random.Random) -> Fault:
    method, path = rng.choice(_REQUESTS[:-1])
    status = rng.choice((429, 500, 502, 503, 504))
    wait = {"Retry-After": rng.choice(("0", "1", "30"))} if status in (429, 503) else {}
    answer = Answer(status, wait, drain=rng.random() < 0.5)
    rule = Rule(answer, method, path, **_times(rng))
    return Fault(f"{method} {path} answered {status}", "registry", (rule,))


def _done_but_504(rng: random.Random) -> Fault:
    method, path = rng.choice((("PUT", UPLOADS), ("PUT", MANIFESTS), ("PATCH", UPLOADS)))
    rule = Rule(Answer(504, forward=True), method, path, **_times(rng))
    return Fault(f"{method} {path} done, but answered 504", "registry", (rule,))


def _answer_cut(rng: random.Random) -> Fault:
    path, at = rng.choice((MANIFESTS, "/tags/list")), rng.randrange(40)
    action = rng.choice((Truncate(at), ResetDownload(at)))
    rule = Rule(action, "GET", path, **_times(rng))
    return Fault(f"{path} cut off at {at}", "registry", (rule,))


def _range_lies(rng: random.Random) -> Fault:
    said = rng.choice(("0-0", "bytes=0--1", "bytes=0-70000", "0-99999", "0-999999999", "nonsense"))
    rules = (
        Rule(EditReply(_header("Range", said)), "GET|PATCH", UPLOADS, times=None),
        Rule(ResetUpload(_point(rng)), "PATCH", UPLOADS),
    )
    return Fault(f"upload reset and Range says {said}", "registry", rules)


def _location_relative(rng: random.Random) -> Fault:
    rule = Rule(EditReply(_relative), "POST|PATCH|GET", UPLOADS, times=None)
    return Fault("Location without a host", "registry", (rule,))


def _session_lost(rng: random.Random) -> Fault:
    method = rng.choice(("PATCH", "PUT"))
    answer = Answer(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
    rule = Rule(answer, method, UPLOADS, **_times(rng))
    return Fault(f"{method}: the upload is gone", "registry", (rule,))


def _unauthorized(rng: random.Random) -> Fault:
    method, path = rng.choice(_REQUESTS[:-1])
    # Once: a token that is refused right after it was given out is a refused login.
    answer = Answer(401, {"WWW-Authenticate": "@challenge"})
    rule = Rule(answer, method, path, first=rng.randint(1, 4))
    return Fault(f"{method} {path} wants a new token", "registry", (rule,))


def _weights_broken(rng: random.Random) -> Fault:
    at = _point(rng)
    action = rng.choice((ResetDownload(at), Truncate(at)))
    rule = Rule(action, "GET", WEIGHTS, first=rng.randint(1, 4), times=rng.randint(1, 3))
    return Fault(f"weights: {action}", "cdn", (rule,))


def _weights_stalled(rng: random.Random) -> Fault:
    at, pause = max(0, _point(rng)), rng.choice((_BRIEF_S, _LONG_S))
    rule = Rule(StallDownload(pause, at), "GET", WEIGHTS, first=rng.randint(1, 4))
    return Fault(f"weights stalled {pause} s at {at}", "cdn", (rule,))


def _range_ignored(rng: random.Random) -> Fault:
    rules = (
        Rule(ResetDownload(_point(rng)), "GET", WEIGHTS, first=rng.randint(1, 3)),
        Rule(IgnoreRange(), "GET", WEIGHTS, times=None),
    )
    return Fault("weights reset, and a Range is answered with the whole", "cdn", rules)


def _file_trouble(rng: random.Random) -> Fault:
    actions: tuple[Action, ...] = (
        DropRequest(), DropReply(), Answer(429, {"Retry-After": "1"}), Answer(500), Answer(503),
        Answer(504),
    )  # fmt: skip
    action = rng.choice(actions)
    side, path = rng.choice((("cdn", WEIGHTS), ("hub", FILES)))
    rule = Rule(action, "GET", path, first=rng.randint(1, 4), times=rng.randint(1, 2))
    return Fault(f"{path} {action}", side, (rule,))


def _api_trouble(rng: random.Random) -> Fault:
    actions: tuple[Action, ...] = (DropReply(), Answer(503), Answer(429, {"Retry-After": "1"}))
    action = rng.choice(actions)
    rule = Rule(action, "GET|POST|HEAD", API)
    return Fault(f"{API} {action}", "hub", (rule,))


def _wrong_byte(rng: random.Random) -> Fault:
    rule = Rule(FlipByte(rng.choice((0, -1, rng.randrange(200_000)))), "GET", WEIGHTS,
                first=rng.randint(1, 3))  # fmt: skip
    return Fault("one wrong byte, once", "cdn", (rule,))


def _etag_changed(rng: random.Random) -> Fault:
    rules = (Rule(EditReply(_other_etag), "GET", FILES, first=rng.randint(1, 4)),)
    return Fault("another etag, once", "hub", rules)


def _too_large(rng: random.Random) -> Fault:
    rule = Rule(Answer(413, drain=rng.random() < 0.5), "PATCH", UPLOADS, times=None)
    return Fault("413 for every layer", "registry", (rule,), (StorageFull,))


def _denied(rng: random.Random) -> Fault:
    rule = Rule(Answer(403), "PUT", MANIFESTS, times=None)
    return Fault("403 for manifests", "registry", (rule,), (PushDenied,))


def _never_up(rng: random.Random) -> Fault:
    rule = Rule(Answer(503), "PUT", UPLOADS, times=None)
    return Fault("503 for every PUT", "registry", (rule,), (TargetError,))


def _never_begun(rng: random.Random) -> Fault:
    rule = Rule(ResetUpload(0), "PATCH", UPLOADS, times=None)
    return Fault("every upload reset at its start", "registry", (rule,), (Unreachable,))


def _always_wrong(rng: random.Random) -> Fault:
    rule = Rule(FlipByte(rng.choice((0, -1, 777))), "GET", WEIGHTS, times=None)
    return Fault("a wrong byte in all weights", "cdn", (rule,), (IncompleteModel, SourceChanged))


def _forbidden(rng: random.Random) -> Fault:
    rule = Rule(Answer(403), "GET", WEIGHTS, times=None)
    return Fault("403 for all weights", "cdn", (rule,), (SourceDenied,))


def _never_whole(rng: random.Random) -> Fault:
    rule = Rule(Truncate(0), "GET", WEIGHTS, times=None)
    return Fault("weights without a byte", "cdn", (rule,), (SourceError,))


_Draw = Callable[[random.Random], Fault]
_HEALING: tuple[_Draw, ...] = (
    _upload_broken, _upload_broken, _upload_stalled, _request_lost, _request_lost, _refused_for_now,
    _done_but_504, _answer_cut, _range_lies, _location_relative, _session_lost, _weights_broken,
    _weights_broken, _weights_stalled, _range_ignored, _file_trouble, _api_trouble,
)  # fmt: skip
_WRONG_ONCE: tuple[_Draw, ...] = (_wrong_byte, _etag_changed)
_FATAL: tuple[_Draw, ...] = (
    _too_large, _denied, _never_up, _never_begun, _always_wrong, _forbidden, _never_whole,
)  # fmt: skip


def _header(name: str, value: str) -> Callable[[Head], Head]:
    return lambda head: head.with_(name, value) if head.get(name) else head


def _relative(head: Head) -> Head:
    location = head.get("Location")
    return head.with_("Location", re.sub("^http://[^/]+", "", location)) if location else head


def _other_etag(head: Head) -> Head:
    for name in ("ETag", "X-Linked-ETag"):
        head = head.with_(name, '"another"') if head.get(name) else head
    return head
