"""Names, annotations and answers of strangers are shown to a person, never obeyed by a terminal."""

from __future__ import annotations

import io
import json
import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, to_layout
from markdown_it import MarkdownIt
from servers.chaos import Answer, Rule
from servers.images import tar_of, write_layout
from servers.models import tiny, write
from servers.proxy import Proxy

from carferry.cli import _Redacting
from carferry.errors import TargetError
from carferry.image.compose import LAYER_PATH
from carferry.image.inspection import inspect
from carferry.image.provenance import COMMIT, SOURCE
from carferry.io.markup import in_html, in_markdown
from carferry.io.show.terminal import open_progress
from carferry.shown import one_line, printable
from carferry.steps.inspected import Inspected
from carferry.steps.results import Built, Downloaded, Planned, PlannedLayer

HOSTILE = {
    "line break": "a\nBROKEN  all",
    "carriage return": "good\rBROKEN",
    "escape": "\x1b[2J\x1b[1;31mred",
    "operating system command": "\x1b]0;title\x07",
    "one-byte escape": "\x9b31m",
    "backspaces": "evil\x08\x08\x08\x08good",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "form feed": "a\x0cb\x0bc",
    "next line": "a\x85b",
    "line separator": "a\u2028b\u2029c",
    "right to left": "abc\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "mark": "a\u200fb\u061cc",
    "zero width": "pay\u200bpal\u2060\ufeff",
    "soft hyphen": "a\u00adb",
    "odd blank": "a\u00a0b\u3000c",
    "tags": "a\U000e0041b",
    "half of a pair": "a\udc80b",
    "private": "a\ue000b",
}
MARKUP = {
    "cell": "a|b|c",
    "escaped cell": "a\\|b",
    "tag": "<script>alert(1)</script>",
    "image": "![x](http://evil.example/t.png)",
    "link": "[x](javascript:alert(1))",
    "code": "a`b`c",
    "entity": "&lt;script&gt;",
    "reference": "[x]: http://evil.example",
    "attribute": '" onmouseover="alert(1)',
    "heading": "a\n# heading",
    "rule": "a\n\n---\n",
}
EVERY = HOSTILE | MARKUP


def obeyed(text: str) -> list[str]:
    """Return what a terminal would act on, or hide."""
    return [each for each in text if not each.isprintable() and each != "\n"]


@pytest.mark.parametrize("name", HOSTILE)
def test_text_becomes_printable_and_tells_what_it_was(name: str) -> None:
    word = HOSTILE[name]
    shown = printable(word)
    assert shown.isprintable()
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == word
    assert one_line(word) == shown


@pytest.mark.parametrize("word", ["model-00001.safetensors", "模型.json", "é", "🤖", "a b"])
def test_honest_names_stay_as_they_are(word: str) -> None:
    assert printable(word) == word


def test_a_long_text_is_cut() -> None:
    assert len(one_line("\x1b" * 10**6)) < 2100


def image(folder: Path, word: str) -> Path:
    """Write an image whose every text is hostile."""
    name = f"models/{word}".replace("\0", "").encode("utf-8", "surrogateescape")
    said = {SOURCE: word, COMMIT: word, LAYER_PATH: word}
    said = {key: value.replace("\udc80", "") for key, value in said.items()}
    settings = {"User": word.replace("\udc80", ""), "Entrypoint": [word.replace("\udc80", "")]}
    body = tar_of({name.decode("utf-8", "surrogateescape"): b"x"})
    write_layout(folder, [body], "v1", settings=settings, manifest={"annotations": said})
    return folder


@pytest.mark.parametrize("name", EVERY)
def test_inspect_shows_an_image_of_hostile_words(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = image(tmp_path / "image", EVERY[name])
    calm = carferry(capsys, "inspect", f"oci:{image(tmp_path / 'calm', 'calm')}:v1")
    done = carferry(capsys, "inspect", f"oci:{folder}:v1")
    assert (obeyed(done.out), done.err, done.code) == ([], "", 2)
    assert len(done.out.splitlines()) == len(calm.out.splitlines())
    made = carferry(capsys, "inspect", f"oci:{folder}:v1", "--json").out
    assert obeyed(made) == []
    json.loads(made)
    found = Inspected.of(inspect(to_layout(folder)), to_layout(folder))
    with pytest.raises(Exception, match="accept") as caught:
        found.require()
    assert obeyed(str(caught.value) + "\n".join(map(str, [caught.value]))) == []
    harmless(found.markdown, rows=_rows(found))


def _rows(found: Inspected) -> int:
    return len(found.rules) + len(found.layers) + len(found.files)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


ALLOWED = {"h1", "ul", "li", "p", "table", "thead", "tbody", "tr", "th", "td", "strong"}


def harmless(markdown: str, rows: int | None = None) -> None:
    """Render it as a notebook does, and find nothing but our own markup."""
    assert obeyed(markdown) == []
    tags = _Tags()
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    tags.feed(html)
    assert set(tags.found) <= ALLOWED
    assert html.count("<h1>") == 1
    if rows is not None:
        assert tags.found.count("tr") - tags.found.count("thead") == rows


@pytest.mark.parametrize("name", EVERY)
def test_markdown_of_every_result_is_harmless(name: str) -> None:
    word = EVERY[name]
    layer = PlannedLayer(word, 1, "move", 1)
    planned = Planned(word, word, word, word, 1, 1, 1, 1, 1, 1.0, (layer,))
    built = Built(word, word, word, word, 1, 1, 1, 1, 0, 1.0)
    harmless(planned.markdown, rows=1)
    harmless(built.markdown)
    harmless(Downloaded(word, word, word, 1, 1, 1).markdown)


@pytest.mark.parametrize(("workers", "said"), [(1, "by 1 worker,"), (2, "by 2 workers,")])
def test_one_worker_is_no_workers(workers: int, said: str) -> None:
    planned = Planned("m", "i", "", "", 1, 1, 1, 1, workers, 1.0, ())
    assert said in planned.markdown


@pytest.mark.parametrize("name", EVERY)
def test_markup_keeps_the_words(name: str) -> None:
    word = printable(EVERY[name])
    html = MarkdownIt("commonmark").renderInline(f"x{in_markdown(EVERY[name])}")
    text = re.sub(r"&(amp|lt|gt|quot);", lambda m: ENTITIES[m[1]], html)
    assert text == f"x{word}"
    assert not set("<>\"'") & set(in_html(EVERY[name]))


ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"null"}))
def test_plan_and_build_show_a_folder_of_hostile_names(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder may be refused for such a name; it is shown in either case."""
    word = EVERY[name].replace("/", ":")
    folder = write(tiny(), tmp_path / "model")
    (folder / f"{word}.json").write_bytes(b"{}")
    for command in ("plan", "build"):
        done = carferry(capsys, command, folder, f"oci:{tmp_path / 'out'}:1", "--base", "scratch")
        assert obeyed(done.out + done.err) == []
        assert len(done.out.splitlines()) in {0, 4, 5, 6}


@pytest.mark.parametrize("style", ["bars", "lines", "json"])
@pytest.mark.parametrize("name", HOSTILE)
def test_progress_shows_hostile_names(style: str, name: str) -> None:
    word, out = HOSTILE[name], io.StringIO()
    shown = open_progress(style, out)
    shown.begin(word, 10)
    shown.advance(word, 5)
    shown.note(word)
    shown.end(word, "move")
    ours = re.sub(r"\x1b\[\d*[FJ]", "", out.getvalue())
    assert obeyed(ours) == []
    if style != "json":
        assert ours.count("\n") == out.getvalue().count("\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_registry_says_is_shown(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = HOSTILE[name].replace("\udc80", "")
    body = json.dumps({"errors": [{"code": "X", "message": said}]}).encode()
    with Proxy("http://127.0.0.1:9", [Rule(Answer(400, body=body), times=None)]) as proxy:
        image = f"docker://{proxy.host}/a/b:1"
        done = carferry(capsys, "inspect", image, "--plain-http", proxy.host)
    assert (done.code, len(done.err.splitlines()), obeyed(done.err)) == (1, 1, [])


@pytest.mark.parametrize("name", HOSTILE)
def test_errors_and_logs_show_it(name: str) -> None:
    error = TargetError(HOSTILE[name], HOSTILE[name], HOSTILE[name], HOSTILE[name])
    assert obeyed(str(error)) == []
    assert "\n" not in str(error)
    record: Any = logging.LogRecord("x", 10, "x", 1, HOSTILE[name], None, None)
    assert obeyed(_Redacting("%(message)s").format(record)) == []
