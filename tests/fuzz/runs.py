"""One run of the command line against servers of which one lies, and the check of its end."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from servers.chaos import Rewrite, Rule
from servers.threads import left_behind

from carferry.cli import main
from carferry.io.net.http import Timeouts
from carferry.io.net.retry import Retry
from fuzz.mutations import Broken, names
from fuzz.scenes import SCENES, Command, Stage, environment

# What nobody waits for: all that a run takes when every limit is short.
DEADLINE_S = 30.0
LONGEST_LINE = 2100
MOST_MEMORY_KB = 1_500_000


class Wrong(AssertionError):
    """The run did not end as every run must."""


@dataclass(frozen=True, slots=True)
class Case:
    """The run of one seed."""

    seed: int
    scene: str
    side: str
    rule: Rule
    broken: Broken

    def __str__(self) -> str:
        """Return what is drawn on one line."""
        times = "on" if self.rule.times is None else f"{self.rule.times} times"
        return (
            f"fuzz seed {self.seed}: {self.scene}, {self.side}: {self.broken.name} of "
            f"{self.rule.method} {self.rule.path!r} from number {self.rule.first}, {times}"
        )


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    code: int
    out: str
    err: str
    seconds: float


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    rng = random.Random(f"fuzz {seed}")
    scene = rng.choice(sorted(SCENES))
    side = rng.choice(sorted(SCENES[scene].sides))
    method, path = rng.choice(SCENES[scene].sides[side])
    broken = Broken(rng.choice(names()), rng.randrange(1 << 30))
    first, times = rng.choice((1, 1, 2, 3, rng.randint(1, 15))), rng.choice((1, 1, 2, None))
    return Case(seed, scene, side, Rule(Rewrite(broken.wire), method, path, first, times), broken)


def run(stage: Stage, case: Case) -> Done:
    """Run a case and check how it ended.

    Raises:
        Wrong: Names the case and what is wrong about its end.
    """
    expected = _expected(stage, case.scene)
    stage.ready()
    command = SCENES[case.scene].command(stage)
    stage.calm()
    stage.fronts[case.side].arm([case.rule])
    try:
        done = run_command(command)
    finally:
        stage.calm()
    try:
        # Bytes of S3 are proved by nothing but TLS: an ETag need not be a hash.
        _check(command, done, expected, unproved=case.side == "s3")
    except Wrong as error:
        raise Wrong(f"{case}: {error}\n{done}") from None
    return done


def run_command(command: Command, *, patient: bool = False) -> Done:
    """Run the command line in this process, with short times but for a patient one."""
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    with (
        contextlib.nullcontext() if patient else hurried(),
        mock.patch.dict(os.environ, environment(command.environ), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = main([*command.arguments, *_quiet(command)])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        finally:
            logging.getLogger().handlers.clear()
    return Done(code, out.getvalue(), err.getvalue(), time.monotonic() - started)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Make the times short that the command line has no option for."""
    short = {"base_s": 0.005, "cap_s": 0.05, "asked_cap_s": 0.05}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_defaults(Timeouts, connect_s=1.0, read_s=0.4, commit_s=0.4))
        stack.enter_context(_defaults(Retry, attempts=3, **short))
        import urllib3

        import carferry.cluster.api as api

        stack.enter_context(
            mock.patch.object(api, "_TIMEOUT", urllib3.Timeout(connect=1.0, read=0.4))
        )
        yield


@contextlib.contextmanager
def _defaults(kind: type, **values: float) -> Iterator[None]:
    code = kind.__init__.__code__  # type: ignore[misc]
    before = kind.__init__.__defaults__ or ()  # type: ignore[misc]
    named = code.co_varnames[code.co_argcount - len(before) : code.co_argcount]
    now = tuple(values.get(name, old) for name, old in zip(named, before, strict=True))
    kind.__init__.__defaults__ = now  # type: ignore[misc]
    try:
        yield
    finally:
        kind.__init__.__defaults__ = before  # type: ignore[misc]


def _quiet(command: Command) -> tuple[str, ...]:
    shows = {"build", "seal", "push", "download", "inspect", "plan", "stream"}
    return ("--progress", "none") if command.arguments[0] in shows else ()


_known: dict[str, str] = {}


def _expected(stage: Stage, scene: str) -> str:
    """Return the digest that an undisturbed run tags; "" of one that tags nothing."""
    if scene not in _known:
        stage.calm()
        stage.ready()
        command = SCENES[scene].command(stage)
        stage.calm()
        done = run_command(command)
        assert done.code == 0, f"{scene}: {done.err}{done.out[-300:]}"
        _known[scene] = command.tagged() if command.tagged else ""
    return _known[scene]


def _check(command: Command, done: Done, expected: str, *, unproved: bool) -> None:
    if done.code not in {0, 1, 2, 3}:
        raise Wrong(f"exit code {done.code}")
    if done.seconds > DEADLINE_S:
        raise Wrong(f"took {done.seconds:.1f} s")
    check_words(done)
    tagged = command.tagged() if command.tagged else ""
    if unproved and tagged:
        expected = tagged
    if tagged not in {"", expected} or (done.code == 0 and tagged != expected):
        raise Wrong(f"exit {done.code}, and the tag is {tagged or 'not there'}, not {expected}")
    if command.folder and (parts := [*command.folder.rglob(".part-*")]):
        raise Wrong(f"left behind: {parts}")
    if left := [*Path(tempfile.gettempdir()).glob("carferry-*")]:
        raise Wrong(f"left behind: {left}")
    if left := left_behind():
        raise Wrong(f"threads left: {left}")
    if (peak := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) > MOST_MEMORY_KB:
        raise Wrong(f"{peak} KiB of memory")


def check_words(done: Done) -> None:
    """Refuse words that no user should read, and a failure without a line that says why.

    Raises:
        Wrong: Names them.
    """
    for sign in ("Traceback", "please report it", "object at 0x"):
        if sign in done.err:
            raise Wrong(f"it says {sign!r}")
    lines = done.err.splitlines()
    if done.code and not any(line.startswith("carferry: ") for line in lines) and not done.out:
        raise Wrong("no line says why")
    for line in lines:
        if len(line) > LONGEST_LINE or not line.isprintable():
            raise Wrong(f"a line of {len(line)}, printable: {line.isprintable()}")
