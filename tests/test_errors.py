"""Errors say what failed, on which object, why and what next, on one line and without secrets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from carferry import errors
from carferry.errors import CarferryError, InputError, TargetError, one_line, redact


def family(kind: type[CarferryError]) -> Iterator[type[CarferryError]]:
    """Yield a class and all below it that errors.py defines."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from family(child)


EVERY = sorted(set(family(CarferryError)), key=lambda kind: kind.__name__)


def test_the_message_joins_action_subject_reason_and_remedy() -> None:
    error = CarferryError("push", "quay.io/a/b:1", "it said no", "log in")
    assert str(error) == "push quay.io/a/b:1: it said no; log in"


def test_a_message_without_remedy_ends_with_the_reason() -> None:
    assert str(CarferryError("push", "x", "it said no")) == "push x: it said no"


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_is_one_line_whatever_the_other_side_said(kind: type[CarferryError]) -> None:
    text = str(kind("do", "a\nb", "c\r\n\x1b[31md\u2028e", "f\x00g"))
    assert text == "do a\\nb: c\\r\\n\\x1b[31md\\u2028e; f\\x00g"


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_wrong_input_exits_2_and_what_fails_outside_exits_1(kind: type[CarferryError]) -> None:
    assert kind("a", "b", "c").exit_code == (2 if issubclass(kind, InputError) else 1)


def test_leaves_are_also_the_builtin_a_caller_would_catch() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(errors.DeadlineExceeded, TimeoutError)


def test_the_drawn_tree_is_the_tree() -> None:
    """The drawing on top of the module names every class under its real parent."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for prefix, name in re.findall(r"^([| +-]*)([A-Z]\w+) ", _drawing(), re.MULTILINE):
        depth = len(prefix) // 4
        above = [*above[:depth], name]
        drawn[name] = above[depth - 1] if depth else "Exception"
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in EVERY}
    assert drawn == real


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("token hf_abcdefghijKLMNOP was refused", "hf_abcdefghijKLMNOP"),
        ("Authorization: Bearer eyJhbGciOi.J9.x-_y", "eyJhbGciOi.J9.x-_y"),
        ("authorization: basic ZmVycnk6cGFzcw==", "ZmVycnk6cGFzcw=="),
        ("GET https://user:hunter2@host/x", "hunter2"),
        ("proxy http://user:hun@ter2@host:3128 refused", "ter2"),
        ("token sha256~AbCdEf0123456789_xyz-AbCdEf", "AbCdEf0123456789_xyz-AbCdEf"),
        ("https://cdn/x?Signature=abc123&Expires=1", "abc123"),
        ("https://s3/x?X-Amz-Signature=deadbeef&a=b", "deadbeef"),
        ("https://auth/token?access_token=sesame", "sesame"),
    ],
)
def test_what_looks_like_a_credential_is_replaced(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "***" in redact(text)
    assert secret not in str(CarferryError("read", text, text, text))


def test_a_long_message_is_capped() -> None:
    assert len(one_line("x" * 100_000)) < 3000


def test_fields_survive_for_programs() -> None:
    error = TargetError("push", "x", "y", status=503)
    assert (error.action, error.subject, error.reason, error.status) == ("push", "x", "y", 503)
    assert error.temporary is False


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_says_in_a_sentence_when_it_is_raised(kind: type[CarferryError]) -> None:
    sentence = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
    assert sentence.endswith(".")


def test_digests_and_plain_addresses_stay_readable() -> None:
    text = f"GET https://quay.io/v2/a/b/blobs/sha256:{'0' * 64}?digest=1 failed"
    assert redact(text) == text


def _drawing() -> str:
    return str(errors.__doc__).partition("\n\n")[2]


def test_an_error_keeps_no_secret_that_its_line_hides() -> None:
    """Loggers, tracebacks and pickles show the parts, not the line."""
    error = errors.InputError(
        "parse", "docker://u:letmein@h/a:1", "hf_abcdefghij is refused", "ask"
    )
    for shown in (str(error), repr(error), str(error.args), error.subject, error.reason):
        assert "letmein" not in shown
        assert "hf_abcdefghij" not in shown
