"""The generated numbers of the page of waiting: tries, pauses and what one request may take."""

from __future__ import annotations

from pathlib import Path

from carferry.io.net.http import Timeouts
from carferry.io.net.retry import Retry
from carferry.pipelines.reference.table import renewed, table
from carferry.steps.access import patience

PAGE = Path("docs/reference/waiting.md")
_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def page(text: str) -> str:
    """Return the page with its numbers renewed; the rest is written by hand."""
    return renewed(text, "tries", _tries())


def _tries() -> str:
    here, pod = patience({}), patience(_POD)
    rows = [
        ("tries before anything has answered", str(here.first_tries), str(pod.first_tries)),
        ("tries after that", str(here.attempts), str(pod.attempts)),
        ("pauses", _pauses(here), _same(_pauses(here), _pauses(pod))),
        (
            "longest pause that a host is granted",
            _granted(here),
            _same(_granted(here), _granted(pod)),
        ),
        *((name, text, "the same") for name, text in _limits()),
    ]
    return table(("", "at a terminal", "in a pod"), rows)


def _pauses(retry: Retry) -> str:
    return f"{retry.base_s:g} s, doubled up to {retry.cap_s:g} s, each between half and all of it"


def _granted(retry: Retry) -> str:
    return f"{retry.asked_cap_s / 60:g} minutes, for every thread"


def _limits() -> list[tuple[str, str]]:
    limits = Timeouts()
    more_s = limits.committing(1_000_000_000).read_s - limits.read_s
    closing = f"{limits.read_s:g} s and {more_s:g} s for each GB"
    closing += f", at most {limits.commit_s / 60:g} minutes"
    return [
        ("a connection may take", f"{limits.connect_s:g} s"),
        ("the next byte may take", f"{limits.read_s:g} s"),
        ("closing an upload may take", closing),
    ]


def _same(here: str, there: str) -> str:
    return "the same" if here == there else there
