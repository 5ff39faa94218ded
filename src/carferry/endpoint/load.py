"""A short load: so many streams at once for so many seconds, and what each of them waited for.

It says whether a deployment does its work, and finds a wrong GPU or a forgotten setting; it is
no benchmark (docs/adr/0044-how-an-endpoint-is-measured.md). Each prompt begins with words of its
own, since a server answers what it has seen from its cache.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from carferry.endpoint.answer import Answer
from carferry.endpoint.asking import Refused, opened, post
from carferry.endpoint.door import Door
from carferry.endpoint.events import CutOff, events
from carferry.endpoint.numbers import Spread
from carferry.endpoint.tasks import answered_tokens, piece, streamed
from carferry.errors import CarferryError

LEVELS = (1, 4, 16)
SECONDS = 5.0
TOKENS = 64
_ACTION = "measure"
_GRACE_S = 30.0
_MOST_FAILURES = 20
_PAUSE_S = 0.2
_PROMPT = "Number {number}. Count up from one, in words, a line for each number:"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the load.

    Attributes:
        seconds: From the request to the end of the answer.
        first_s: To the first token; None if the answer does not stream.
        tokens: That were answered.
        failure: What went wrong; empty if nothing did.
    """

    seconds: float
    first_s: float | None = None
    tokens: int = 0
    failure: str = ""

    @property
    def rate(self) -> float | None:
        """Tokens per second after the first."""
        if self.first_s is None or self.tokens < 2 or self.seconds <= self.first_s:
            return None
        return (self.tokens - 1) / (self.seconds - self.first_s)


@dataclass(frozen=True, slots=True)
class Level:
    """What so many streams at once measured.

    Attributes:
        streams: At once.
        requests: That were answered.
        failures: That were not.
        failure: The first of these, in words; empty if there is none.
        seconds: The level took.
        first: To the first token, seconds; None if answers do not stream.
        whole: To the end of an answer, seconds.
        stream_rate: Tokens per second of one stream, the median; None likewise.
        tokens_per_s: Of all streams together.
        requests_per_s: Answered.
    """

    streams: int
    requests: int
    failures: int
    failure: str
    seconds: float
    first: Spread | None
    whole: Spread | None
    stream_rate: float | None
    tokens_per_s: float
    requests_per_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """How a load is laid on.

    Attributes:
        levels: Streams at once, one level after the other.
        seconds: Of each level, in which requests begin; those that run may end after it.
        tokens: Most to answer to one request.
        grace_s: That a request may go on after the level's time, and a server be silent.
        clock: Monotonic seconds.
        stop: Set it to end early.
    """

    levels: Sequence[int] = LEVELS
    seconds: float = SECONDS
    tokens: int = TOKENS
    grace_s: float = _GRACE_S
    clock: Callable[[], float] = time.monotonic
    stop: threading.Event = field(default_factory=threading.Event)


def measure(
    door: Door, answer: Answer, load: Load, report: Callable[[str], None]
) -> Iterator[Level]:
    """Yield what each level of a load measured; one that nothing answers is the last.

    Args:
        door: How the model is asked.
        answer: What it answered to one request: its name and its task.
        load: How much.
        report: Called before each level.
    """
    for streams in load.levels:
        report(f"{streams} at once for {load.seconds:g} s")
        level = _level(door, answer, load, streams)
        yield level
        if not level.requests:
            return


def _level(door: Door, answer: Answer, load: Load, streams: int) -> Level:
    samples: list[Sample] = []
    began = load.clock()
    threads = [
        threading.Thread(
            target=_stream,
            args=(door, answer, load, began + load.seconds, samples),
            name=f"carferry-load-{number}",
            daemon=True,
        )
        for number in range(streams)
    ]
    for each in threads:
        each.start()
    try:
        for each in threads:
            each.join()
    except BaseException:
        load.stop.set()  # whoever waits for a byte is a daemon, and ends with its time
        raise
    return summed(streams, samples, load.clock() - began)


def summed(streams: int, samples: Sequence[Sample], seconds: float) -> Level:
    """Return what the requests of a level say together."""
    good = [each for each in samples if not each.failure]
    failures = [each.failure for each in samples if each.failure]
    rate = Spread.of(each.rate for each in good if each.rate is not None)
    lasted = max(seconds, 1e-9)
    return Level(
        streams=streams,
        requests=len(good),
        failures=len(failures),
        failure=failures[0] if failures else "",
        seconds=seconds,
        first=Spread.of(each.first_s for each in good if each.first_s is not None),
        whole=Spread.of(each.seconds for each in good),
        stream_rate=rate.median if rate else None,
        tokens_per_s=sum(each.tokens for each in good) / lasted,
        requests_per_s=len(good) / lasted,
    )


def _stream(door: Door, answer: Answer, load: Load, end: float, samples: list[Sample]) -> None:
    """Send one request after the other until the level's time is over."""
    failures = itertools.count(1)
    while load.clock() < end and not load.stop.is_set():
        sample = _sample(door, answer, load, end + load.grace_s)
        samples.append(sample)
        if sample.failure and (next(failures) >= _MOST_FAILURES or load.stop.wait(_PAUSE_S)):
            return


def _sample(door: Door, answer: Answer, load: Load, until: float) -> Sample:
    began = load.clock()
    try:
        if answer.task.streams:
            return _streamed(door, answer, load, began, until)
        request = answer.task.ask(answer.model.name, _prompt(), load.tokens)
        post(
            door, _ACTION, answer.task.path, request.body,
            content_type=request.content_type, read_s=load.grace_s,
        )  # fmt: skip
        return Sample(load.clock() - began)
    except Refused as refused:
        return Sample(load.clock() - began, failure=_words(refused.error))
    except CarferryError as error:
        return Sample(load.clock() - began, failure=_words(error))


def _streamed(door: Door, answer: Answer, load: Load, began: float, until: float) -> Sample:
    model = answer.model
    tokens = min(load.tokens, model.max_model_len // 4 or load.tokens)
    request = streamed(answer.task, model.name, _prompt(), tokens, fixed=model.is_vllm)
    response = opened(
        door, _ACTION, "POST", answer.task.path, body=request.body, read_s=load.grace_s
    )
    first_s: float | None = None
    last_s, pieces, counted = 0.0, 0, 0
    try:
        for event in events(door, _ACTION, response, until=until, clock=load.clock):
            counted = max(counted, answered_tokens(event))
            if piece(event):
                last_s, pieces = load.clock() - began, pieces + 1
                first_s = last_s if first_s is None else first_s
    except CutOff:
        return Sample(load.clock() - began, failure=f"no end within {load.grace_s:g} s more")
    if not (counted or pieces):
        return Sample(load.clock() - began, failure="a stream without a token")
    ended_s = load.clock() - began
    return Sample(last_s or ended_s, first_s or ended_s, counted or pieces)


def _prompt() -> str:
    return _PROMPT.format(number=secrets.randbelow(10**9))


def _words(error: CarferryError) -> str:
    return error.reason
