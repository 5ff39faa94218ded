"""Whatever a registry, or what stands before it, refuses with becomes one line with a remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import Outcome, access, carferry, ferry, from_folder, quick, to_layout
from registry_answers import READ, ROWS, START, TAG, Row
from servers.chaos import Answer, Rule
from servers.models import tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.errors import CarferryError
from carferry.io.show.progress import Silent
from carferry.refs import Digest, ImageRef
from carferry.registry.answers import read_answer
from carferry.registry.copy import copy_image

LINES: dict[str, str] = json.loads(
    (Path(__file__).parent / "data" / "registry_answers.json").read_text()
)
REQUESTS = {
    START: ("POST", "/blobs/uploads/"),
    TAG: ("PUT", "/manifests/1$"),
    READ: ("GET", "/manifests/"),
}
PASSING = {408, 429, 500, 502, 503, 504}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image in a layout."""
    folder = write(tiny(), tmp_path_factory.mktemp("model"))
    layout = tmp_path_factory.mktemp("built") / "layout"
    ferry(from_folder(folder), to_layout(layout))
    return f"oci:{layout}:v1"


def test_the_table_is_whole() -> None:
    assert [row.name for row in ROWS] == list(LINES)
    assert len(ROWS) >= 50
    assert all(row.source for row in ROWS)


@pytest.mark.parametrize("row", [r for r in ROWS if r.status not in PASSING], ids=lambda r: r.name)
def test_a_refusal_is_one_line_that_says_what_to_do(
    row: Row, shared: Registry, built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(row, shared) as proxy:
        image = f"docker://{proxy.host}/{repository(row)}:1"
        what = ["inspect", image] if row.at == READ else ["push", built, image]
        done = carferry(capsys, *what, "--plain-http", proxy.host)
    last = done.err.splitlines()[-1]
    assert said(last.removeprefix("carferry: "), row, proxy) == LINES[row.name]
    assert done.code == 1
    check_harmless(done)
    assert shared.tags(repository(row)) == {}


@pytest.mark.parametrize("row", [r for r in ROWS if r.status in PASSING], ids=lambda r: r.name)
def test_a_passing_refusal_says_the_same_when_tries_are_used_up(
    row: Row, shared: Registry, built: str
) -> None:
    with answering(row, shared) as proxy, pytest.raises(CarferryError) as caught:
        given = access(proxy.host, retry=quick(attempts=2))
        image = given.open(ImageRef.parse(f"{proxy.host}/{repository(row)}:1"), write=True)
        layout = to_layout(Path(built.split(":")[1]))
        origin, target = (image, layout) if row.at == READ else (layout, image)
        copy_image(origin, target, parallel=1, retry=given.retry, progress=Silent())
    assert said(str(caught.value), row, proxy) == LINES[row.name]


DIGESTS = [f"sha256:{digit * 64}" for digit in "ab"]
LACKING = {
    "distribution 2.8 and 3, one error for each": (
        [
            {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": each}
            for each in DIGESTS
        ],
        DIGESTS,
    ),
    "an object": (
        [{"code": "MANIFEST_BLOB_UNKNOWN", "detail": {"digest": DIGESTS[0]}}],
        DIGESTS[:1],
    ),
    "a list": (
        [{"code": "BLOB_UNKNOWN", "detail": [{"Digest": each} for each in DIGESTS]}],
        DIGESTS,
    ),
    "in the message": (
        [{"code": "MANIFEST_INVALID", "message": f"manifest invalid: unknown blob {DIGESTS[1]}"}],
        DIGESTS[1:],
    ),
    "in words of the detail": (
        [
            {
                "code": "MANIFEST_INVALID",
                "message": "manifest invalid",
                "detail": {"message": f"Layer {DIGESTS[0]} does not exist"},
            }
        ],
        DIGESTS[:1],
    ),
    "unnamed": ([{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}], []),
    "other errors beside it": (
        [
            {"code": "DENIED", "message": DIGESTS[1]},
            {"code": "BLOB_UNKNOWN", "message": DIGESTS[0]},
        ],
        DIGESTS[:1],
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_blobs_that_a_manifest_lacks_are_read_from_every_shape(name: str) -> None:
    errors, digests = LACKING[name]
    found = read_answer(json.dumps({"errors": errors}))
    assert found.lacks_blobs
    assert found.digests == tuple(map(Digest.parse, digests))


@pytest.mark.parametrize(
    "error",
    [
        {"code": "MANIFEST_INVALID", "message": "manifest invalid", "detail": DIGESTS[0]},
        {"code": "DENIED", "message": f"blob {DIGESTS[0]} is not found"},
        {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"},
    ],
)
def test_other_refusals_lack_no_blobs(error: dict[str, str]) -> None:
    assert not read_answer(json.dumps({"errors": [error]})).lacks_blobs


def answering(row: Row, registry: Registry) -> Proxy:
    """Return a proxy that gives a row's answer whenever it is its turn."""
    method, path = REQUESTS[row.at]
    asked = {"WWW-Authenticate": 'Basic realm="here"'} if row.status == 401 else {}
    answer = Answer(row.status, asked, row.body)
    return Proxy(registry.url, [Rule(answer, method, path, times=None)])


def repository(row: Row) -> str:
    """Return a repository of that row."""
    return f"team/row{ROWS.index(row)}"


def said(line: str, row: Row, proxy: Proxy) -> str:
    """Return a line without what differs from run to run."""
    return line.replace(proxy.host, "HOST").replace(repository(row), "team/model")


def check_harmless(done: Outcome) -> None:
    """No answer makes lines of its own, and none is long."""
    lines = [line for line in done.err.splitlines() if line.startswith("carferry")]
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert len(lines[0]) < 700
