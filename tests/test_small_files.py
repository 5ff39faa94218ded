"""Thousands of small files: one request each, many at once, within a budget of bytes.

Requests are counted and not timed: what a round trip costs is measured by the benchmark.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ferrying import access, ferry, from_folder, from_hub, manifest, model_files, quick, to_layout
from servers.hub import Hub, Reply
from servers.models import tiny, write
from servers.personal import PERSONALITIES, PersonalRegistry
from servers.serving import Exchange

from carferry.assembly import read_ahead
from carferry.assembly.layer_reader import LayerReader
from carferry.assembly.options import Options
from carferry.assembly.planning import plan_build
from carferry.assembly.read_ahead import BUDGET_BYTES, LONGEST_BYTES, ReadAhead
from carferry.assembly.results import BuildResult
from carferry.errors import CarferryError, InputError, SourceChanged, SourceDenied, SourceError
from carferry.image.layers import Format, Layer
from carferry.io.parallel import SMALL_AT_ONCE
from carferry.io.show.progress import Silent
from carferry.refs import ImageRef
from carferry.registry.blobs import check_blobs
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.download import download
from carferry.source.snapshot import ContentId, SourceFile

REPO = "org/tiny"
MODEL = {
    **tiny(),
    **{f"parts/{n:04}.json": b'{"part": %d}' % n for n in range(200)},
    "odd näme + [1].json": b'{"odd": 1}',
}
COUNT = len(MODEL)
# Until the first redirect is known, every reader that has begun meanwhile takes it too.
LEARNERS = SMALL_AT_ONCE
# A plan looks at configs, at what may hold a credential or is as short as a git-lfs pointer.
LOOKED_AT = 80


@pytest.fixture
def far(hub: Hub) -> Hub:
    """A hub with the model that is far enough away for requests to overlap."""
    hub.add(REPO, MODEL)
    hub.latency_s = 0.002
    return hub


def reads(hub: Hub) -> list[str]:
    """Return the paths of small files that were asked for; snapshots ask with HEAD."""
    return [
        e.path
        for e in hub.log
        if "/resolve" in e.path and e.method == "GET" and ".safetensors" not in e.path
    ]


def test_a_bundle_of_small_files_takes_one_request_each_and_many_at_once(
    far: Hub, tmp_path: Path
) -> None:
    done = ferry(from_hub(far), to_layout(tmp_path / "layout"))
    assert COUNT - 1 <= len(reads(far)) <= COUNT + LEARNERS + LOOKED_AT
    assert 1 < far.busiest <= LEARNERS
    there = ferry(from_folder(write(MODEL, tmp_path / "model")), to_layout(tmp_path / "other"))
    digests = [[layer.digest for layer in each.document.layers] for each in (done, there)]
    assert digests[0] == digests[1]


def test_a_download_of_small_files_takes_one_request_each_and_many_at_once(
    far: Hub, tmp_path: Path
) -> None:
    source = from_hub(far)
    snapshot = take(source, Patterns())
    download(source, snapshot, tmp_path, parallel=1, retry=quick(), progress=Silent())
    assert len(reads(far)) <= COUNT + LEARNERS + LOOKED_AT
    assert 1 < far.busiest <= LEARNERS
    assert {path: (tmp_path / path).read_bytes() for path in MODEL} == MODEL


REFUSALS = {
    "not found": Reply(404),
    "forbidden": Reply(403),
    "somewhere else": Reply(302, b"", {"Location": "/login"}),
    "a page": Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
    "another file": Reply(200, b"{}", {"ETag": '"0123"'}),
    "busy": Reply(503),
    "too many": Reply(429),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_hub_that_only_answers_where_it_has_just_redirected_to_is_read_as_it_wants(
    far: Hub, tmp_path: Path, name: str
) -> None:
    """Asking for the cache directly is an attempt; what the hub documents always works."""
    redirected: set[str] = set()
    refused: list[str] = []

    def before(exchange: Exchange) -> Reply | None:
        repository, _, path = exchange.path.partition("?")[0].partition("/resolve/")
        if path:
            redirected.add(path)
            return None
        _, cached, path = repository.partition(f"/api/resolve-cache/models/{REPO}/")
        if not cached or path in redirected:
            return None
        refused.append(path)
        return REFUSALS[name]

    far.before = before
    ferry(from_hub(far), to_layout(tmp_path / "layout"))
    assert model_files(to_layout(tmp_path / "layout")) == {
        path: hashlib.sha256(body).hexdigest() for path, body in MODEL.items()
    }
    tries = COUNT if name in {"busy", "too many"} else 3 + LEARNERS
    assert 3 <= len(refused) <= tries
    assert len(reads(far)) <= 2 * (COUNT + LOOKED_AT) + tries


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_tagged(
    far: Hub, tmp_path: Path
) -> None:
    far.before = lambda exchange: Reply(404) if "/0150.json" in exchange.path else None
    with pytest.raises(SourceError, match=r"parts/0150\.json: the hub answered 404"):
        ferry(from_hub(far), to_layout(tmp_path / "layout"))
    assert to_layout(tmp_path / "layout").tags() == []


def test_a_token_that_is_taken_away_meanwhile_is_an_error_in_words(
    far: Hub, tmp_path: Path
) -> None:
    def before(exchange: Exchange) -> Reply | None:
        return Reply(403) if len(far._front.exchanges) > COUNT // 2 else None

    far.before = before
    with pytest.raises(SourceDenied, match="check HF_TOKEN"):
        ferry(from_hub(far), to_layout(tmp_path / "layout"))


def test_a_hub_that_asks_to_slow_down_is_waited_for(far: Hub, tmp_path: Path) -> None:
    numbers = iter(range(10_000))
    limit = Reply(429, b"", {"RateLimit": '"resolvers";r=0;t=1'})
    far.before = lambda _: limit if next(numbers) % 7 == 6 else None
    ferry(from_hub(far), to_layout(tmp_path / "layout"))
    assert len(model_files(to_layout(tmp_path / "layout"))) == COUNT


@dataclass
class Counting:
    """A source in memory that knows what it has handed out.

    Attributes:
        bodies: Path to bytes; they need not be what the snapshot says.
        given_bytes: Length of all that was read.
        opened: Paths in the order in which they were begun.
    """

    bodies: dict[str, bytes]
    given_bytes: int = 0
    opened: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with self.guard:
            self.opened.append(file.path)
        body = self.bodies[file.path][start:stop]
        for at in range(0, len(body), 1 << 20):
            chunk = body[at : at + (1 << 20)]
            with self.guard:
                self.given_bytes += len(chunk)
            yield chunk


def listed(bodies: dict[str, bytes]) -> tuple[SourceFile, ...]:
    """Return these files as a snapshot has them."""
    return tuple(
        SourceFile(path, len(body), ContentId("sha256", hashlib.sha256(body).hexdigest()))
        for path, body in bodies.items()
    )


def bodies_of(sizes: list[int]) -> dict[str, bytes]:
    """Return files of these sizes with different bytes."""
    draw = random.Random(1)
    return {f"{n:04}.json": draw.randbytes(size) for n, size in enumerate(sizes)}


SIZES = {
    "tiny": [4096] * 300,
    "a MiB": [1 << 20] * 40,
    "the longest": [LONGEST_BYTES] * 6,
    "longer": [LONGEST_BYTES + 1, 5, LONGEST_BYTES + 1],
    "mixed": [0, 3 << 20, 1, 0, 6 << 20, 700_000, 5 << 20, 0, 2 << 20, 9, 4096] * 3,
}


@pytest.mark.parametrize("name", SIZES)
def test_what_is_read_ahead_stays_within_the_budget(name: str) -> None:
    bodies = bodies_of(SIZES[name])
    source, files, taken, most = Counting(bodies), listed(bodies), 0, 0
    with ReadAhead(source, files) as ahead:  # type: ignore[arg-type]
        for file in files:
            for chunk in ahead.read(file):
                most = max(most, source.given_bytes - taken)
                taken += len(chunk)
    # A longer file is read where it is due, a chunk at a time, beside what is held already.
    assert most <= BUDGET_BYTES + (1 << 20)
    assert taken == sum(SIZES[name])


@pytest.mark.parametrize("name", SIZES)
def test_a_layer_is_the_same_from_wherever_it_is_resumed(name: str) -> None:
    bodies = bodies_of(SIZES[name])
    layer = Layer(listed(bodies))
    whole = b"".join(
        piece.data if hasattr(piece, "data") else bodies[piece.file.path] for piece in layer.pieces
    )
    draw = random.Random(2)
    with LayerReader(layer, Counting(bodies)) as reader:  # type: ignore[arg-type]
        for start in [0, *sorted(draw.randrange(len(whole)) for _ in range(8)), len(whole)]:
            assert b"".join(reader.chunks(start)) == whole[start:]
        assert reader.digest().hex == hashlib.sha256(whole).hexdigest()


def test_a_reader_that_is_left_reads_no_further() -> None:
    bodies = bodies_of([1 << 20] * 100)
    source = Counting(bodies)
    with LayerReader(Layer(listed(bodies)), source) as reader:  # type: ignore[arg-type]
        chunks = reader.chunks()
        for _ in range(6):
            next(chunks)
        chunks.close()
        before = len(source.opened)
    assert before <= 3 + BUDGET_BYTES // (1 << 20)
    assert len(source.opened) == before
    assert not [t for t in threading.enumerate() if t.name.startswith("carferry")]


def test_files_come_in_order_and_the_first_wrong_one_is_named() -> None:
    bodies = bodies_of([4096] * 50)
    wrong = bodies | dict.fromkeys(["0020.json", "0030.json"], bytes(4096))
    with LayerReader(Layer(listed(bodies)), Counting(wrong)) as reader:  # type: ignore[arg-type]
        for _ in reader.chunks():
            pass
        with pytest.raises(SourceChanged, match=r"0020\.json"):
            reader.digest()


def test_a_file_alone_in_its_layer_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead.ThreadPoolExecutor, "submit", lambda *_: 1 / 0)
    bodies = bodies_of([4096])
    with LayerReader(Layer(listed(bodies)), Counting(bodies)) as reader:  # type: ignore[arg-type]
        assert len(b"".join(reader.chunks())) == 1024 + 4096 + 1024


@pytest.fixture
def registry_in_memory() -> Iterator[PersonalRegistry]:
    """A registry that logs everything."""
    with PersonalRegistry() as server:
        yield server


def packed(hub: Hub, registry: PersonalRegistry, tag: str = "v1", **options: object) -> BuildResult:
    """Make a ModelPack artifact."""
    target = _target(registry, tag)
    return ferry(from_hub(hub), target, format=Format.MODELPACK, **options)  # type: ignore[arg-type]


def _target(registry: PersonalRegistry, tag: str = "v1") -> Target:
    return access(registry.host).open(ImageRef(registry.host, REPO, tag), write=True)


@pytest.mark.parametrize("name", sorted(PERSONALITIES))
def test_small_blobs_take_two_requests_each_and_many_go_at_once(
    far: Hub, registry_in_memory: PersonalRegistry, name: str
) -> None:
    registry_in_memory.personality = PERSONALITIES[name]
    done = packed(far, registry_in_memory, parallel=1)
    asked = [e.method for e in registry_in_memory.log if "/blobs/uploads/" in e.path]
    # The check of the rights and the artifact's config are the two more.
    assert asked.count("POST") == COUNT + 2
    assert (asked.count("PUT"), asked.count("PATCH")) == (COUNT + 1, 1)
    assert registry_in_memory.busiest > 1
    assert len(reads(far)) <= COUNT + LEARNERS + LOOKED_AT
    held = registry_in_memory.repository(REPO).blobs
    files = {d.annotations["org.cncf.model.filepath"]: d for d in done.document.layers}
    assert {path: held[str(d.digest)] for path, d in files.items()} == MODEL


TWINS = {
    **tiny(),
    "a/same.json": b'{"same": 1}',
    "b/same.json": b'{"same": 1}',
    "c/large.json": bytes(3 << 20),
    "d/large.json": bytes(3 << 20),
}


def test_identical_blobs_are_sent_once(hub: Hub, registry_in_memory: PersonalRegistry) -> None:
    hub.add(REPO, TWINS)
    options = Options(base="scratch", format=Format.MODELPACK)
    plan = plan_build(from_hub(hub), _target(registry_in_memory), options, access())
    registry_in_memory.clear_log()
    done = packed(hub, registry_in_memory)
    posts = [e for e in registry_in_memory.log if e.method == "POST"]
    assert len(posts) == len(TWINS) - 2 + 2
    twins = ("/a/same", "/b/same", "/c/large", "/d/large")
    asked = {path: sum(path in each for each in reads(hub)) for path in twins}
    assert asked["/b/same"] < asked["/a/same"] and asked["/d/large"] < asked["/c/large"]
    assert done.moved_bytes + done.reused_bytes == sum(map(len, TWINS.values()))
    assert done.moved_bytes == plan.bytes_to_move
    assert done.reused_bytes == len(TWINS["a/same.json"]) + (3 << 20)
    assert [result.descriptor for result in done.results] == list(done.document.layers)
    assert len(done.document.layers) == len(TWINS)


def test_a_copy_of_a_file_that_is_there_already_does_not_move(
    hub: Hub, registry_in_memory: PersonalRegistry
) -> None:
    repo = hub.add(REPO, tiny() | {"a/same.json": b'{"same": 1}'})
    packed(hub, registry_in_memory)
    repo.change({"b/same.json": b'{"same": 1}'})
    assert packed(hub, registry_in_memory).moved_bytes == 0


@pytest.mark.parametrize("count", [1, 3])
def test_an_empty_file_is_refused_where_it_would_be_a_layer(
    hub: Hub, registry_in_memory: PersonalRegistry, count: int
) -> None:
    """containerd: "unable to fetch descriptor which reports content size of zero"."""
    empty = {f"part [{n}].json": b"" for n in range(count)}
    hub.add(REPO, tiny() | empty)
    with pytest.raises(InputError, match=r"part \[0\]\.json") as caught:
        packed(hub, registry_in_memory)
    counted = "1 of its files is empty" if count == 1 else f"{count} of its files are empty"
    assert counted in str(caught.value)
    assert not [e for e in registry_in_memory.log if e.method in {"POST", "PUT", "PATCH"}]
    # What it says to do must work.
    said = caught.value.remedy.partition("--exclude '")[2].partition("'")[0]
    chosen = Patterns.parse((), said.split(","))
    assert {file.path for file in take(from_hub(hub), chosen).files} == set(tiny())


def test_a_tar_layer_holds_empty_files(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, tiny() | {"empty.json": b""})
    ferry(from_hub(hub), to_layout(tmp_path / "layout"))
    assert set(model_files(to_layout(tmp_path / "layout"))) == {*tiny(), "empty.json"}


def test_a_small_file_that_stays_wrong_is_given_up_before_it_is_sent(
    hub: Hub, registry_in_memory: PersonalRegistry
) -> None:
    hub.add(REPO, MODEL)
    wrong = Reply(200, b"[]", {"ETag": '"x"'})
    hub.before = lambda exchange: (
        wrong if exchange.method == "GET" and "/resolve" in exchange.path
        and "config.json" in exchange.path else None
    )  # fmt: skip
    with pytest.raises(SourceChanged, match=r"config\.json"):
        packed(hub, registry_in_memory)
    assert not registry_in_memory.uploads
    assert hashlib.sha256(b"[]").hexdigest() not in str(registry_in_memory.repositories)


def test_a_blob_that_is_gone_is_named_before_the_tag_moves(
    far: Hub, registry_in_memory: PersonalRegistry
) -> None:
    done = packed(far, registry_in_memory)
    lost = done.document.layers[150]
    del registry_in_memory.repository(REPO).blobs[str(lost.digest)]
    with pytest.raises(CarferryError, match=f"layer {lost.digest} is missing"):
        check_blobs(_target(registry_in_memory), done.document.layers, quick())
    assert manifest(_target(registry_in_memory)) == done.document
