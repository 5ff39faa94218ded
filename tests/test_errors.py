"""Errors say what failed, on which object, why and what next, on one line and without secrets."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Iterator

import pytest

from carferry import errors
from carferry.errors import CarferryError, InputError, TargetError
from carferry.shown import one_line, redact


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
def test_each_kind_of_failure_has_its_exit_code(kind: type[CarferryError]) -> None:
    """2 wrong input, 3 does not fit, 1 failed outside."""
    wrong = 3 if kind is errors.DoesNotFit else 2
    assert kind("a", "b", "c").exit_code == (wrong if issubclass(kind, InputError) else 1)


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
        ("GET https://user:pa/ss@host/x", "pa/ss"),
        ("GET https://us%40er:p%2Fw%3Ax@host:8443/x", "p%2Fw%3Ax"),
        ("GET https://ghp-like-user@host/x", "ghp-like-user"),
        ("see https://auth/?next=https%3A%2F%2Fuser%3Asesame%40host%2Fx", "sesame"),
        ("reach user:hunter2@proxy.corp:3128: refused", "hunter2"),
        ("HTTPS_PROXY=user:hunter2@proxy:3128", "hunter2"),
        ("proxy socks5h://user:hunter2@10.0.0.1:1080", "hunter2"),
        ("s3 endpoint http://AKIAEXAMPLE:hunter2/x+y=@minio:9000", "hunter2/x+y="),
        ("{'Authorization': 'Bearer abc.def-123'}", "abc.def-123"),
        ("Authorization: token 0123456789abcdef", "0123456789abcdef"),
        ("Proxy-Authorization: Basic dTpw", "dTpw"),
        ("authorization=0123456789abcdef", "0123456789abcdef"),
        ("X-Auth-Token: 0123456789abcdef", "0123456789abcdef"),
        ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl from it", "eyJzdWIiOiJ4In0"),
        ("dckr_pat_AbCdEfGhIjKlMnOp is no login", "AbCdEfGhIjKlMnOp"),
        ("dckr_oat_AbCdEfGhIjKlMnOp is no login", "AbCdEfGhIjKlMnOp"),
        ("ghp_0123456789abcdefghij0123456789abcdef", "0123456789abcdef"),
        ("github_pat_11ABCDEFG0123456789_abcdefghij", "0123456789_abcdefghij"),
        ("glpat-0123456789abcdefghij", "0123456789abcdefghij"),
        ("gldt-0123456789abcdefghij", "0123456789abcdefghij"),
        ("AKCp" + "0123456789" * 6, "0123456789"),
        ("nvapi-0123456789abcdefghijklmn", "0123456789abcdefghijklmn"),
        ("sk-proj-" + "a1" * 20, "a1a1a1"),
        ("xoxb-123456789012-abcdef", "123456789012"),
        ("https://sa/x?sv=1&sig=ab%2Fcd%3D&se=2", "ab%2Fcd%3D"),
        ("https://storage/x?X-Goog-Signature=deadbeef&a=b", "deadbeef"),
        ("https://auth/x?client_secret=sesame&a=b", "sesame"),
        ('the answer was {"token": "sesame", "expires_in": 60}', "sesame"),
        ('{"auths": {"h": {"auth": "dTpwdw=="}}}', "dTpwdw=="),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
        ("AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG'", "wJalrXUtnFEMI"),
        ("--set password=sesame", "sesame"),
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


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://quay.io/v2/a/b/blobs/sha256:{'0' * 64}?digest=1 failed",
        f"quay.io/team/model:1@sha256:{'0' * 64}",
        f"docker://127.0.0.1:5000/team/model@sha256:{'0' * 64}",
        f"oci://registry.corp:5000/team/model:v1@sha256:{'0' * 64}",
        f"model:1@sha256:{'0' * 64}",
        "org/name@main", "hf://org/name@0123abc", "https://hub.corp:8443/org/name@main",
        "read org/name@main: no such revision", "s3://bucket/prefix?endpoint=minio:9000",
        "read token HF_TOKEN: not UTF-8 text; put the token there, as plain text",
        "read parameter secret_hub=Bad_Name: a Secret's name", "pull_secret=quay-pull",
        "the basic auth of this registry", "the bearer of it", "Basic or Bearer",
        "no bearer token.",
        "token: expired; log in", "password: missing", "error: 401 Unauthorized",
        "max_tokens=4096 --max-num-seqs=8", "tokenizer.json@main", "sk-learn-like-names-are-fine",
        "gpt-oss-120b", "hf_x", "mailto:me@example.com", "me@example.com", "12:30 at host.corp",
        "error in authorization header", "login as robot$team+ci to quay.io",
        "sha256:abc is not sha256:def", "eyJ.json", "granite-3.1-2b-instruct@v1.0:latest",
        'Bearer realm="https://auth.corp/token",service="r"', "the API key's name",
        "Authorization is asked for",
    ],
)  # fmt: skip
def test_ordinary_words_stay_readable(text: str) -> None:
    assert redact(text) == text
    assert redact(redact(text)) == text


@pytest.mark.parametrize(
    "part",
    [
        "%3A%2F%2F",
        "://a:b",
        "://",
        "a%",
        "eyJaaaaaaaa-",
        "x:y@",
        "password=",
        '"token":',
        "bearer ",
    ],
)
def test_a_long_text_is_searched_in_a_moment(part: str) -> None:
    started = time.process_time()
    redact(part * (200_000 // len(part)))
    assert time.process_time() - started < 5


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
