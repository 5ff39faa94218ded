"""What a step reads to choose, to check and to plan, it reads once; then every file moves once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from ferrying import REPO, carferry, point_to
from gpu.samples import LLAMA, llama_file
from servers.hub import Hub
from servers.models import sharded, weights
from servers.personal import PersonalRegistry

from carferry.errors import IncompleteModel
from carferry.run.first import first
from carferry.run.request import Run
from carferry.selection.patterns import Patterns
from carferry.selection.select import choose
from carferry.source.pieces import SHORT_BYTES, Pieces
from carferry.source.snapshot import ContentId, Snapshot, SourceFile
from carferry.weights.check import check_whole

INDEX = "model.safetensors.index.json"
WEIGHTS = llama_file(LLAMA)
NAMES = json.loads(WEIGHTS[8 : 8 + int.from_bytes(WEIGHTS[:8], "little")])


def as_json(value: object, least: int = 0) -> bytes:
    """Return JSON of at least this length: files as short as a git-lfs pointer are looked at."""
    return json.dumps(value).encode().ljust(least)


MISTRAL = {
    "dim": 16, "n_layers": 2, "head_dim": 8, "hidden_dim": 32, "n_heads": 2, "n_kv_heads": 1,
    "vocab_size": 32,
}  # fmt: skip
THEIRS = {
    "tok_embeddings.weight": (32, 16), "norm.weight": (16,), "output.weight": (32, 16),
    **{f"layers.{n}.attention.w{part}.weight": (16, 16) for n in (0, 1) for part in "qkvo"},
}  # fmt: skip
PLAIN = {"config.json": as_json(LLAMA), "model.safetensors": WEIGHTS}
SENTENCE = [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]
MODELS: dict[str, dict[str, bytes]] = {
    "shards": PLAIN | {INDEX: as_json({"weight_map": dict.fromkeys(NAMES, "model.safetensors")})},
    "texts": PLAIN
    | {
        "generation_config.json": as_json({}),
        "tokenizer_config.json": as_json({"chat_template": "a" * 300_000}),
        "tokenizer.json": as_json({"words": "a" * 300_000}),
        "special_tokens_map.json": as_json({}, 150),
        "LICENSE": b"as short as a pointer".ljust(200),
        "vocab.txt": b"a\n" * 100,
    },
    "suspects": PLAIN | {f"extra-{n}.json": as_json({"n": n}, 200) for n in range(40)},
    "code": PLAIN
    | {
        "config.json": as_json(LLAMA | {"auto_map": {"AutoModel": "modeling.X"}}),
        "modeling.py": b"from .layers import A".ljust(200),
        "layers.py": b"A = 1".ljust(200),
    },
    "modules": PLAIN
    | {
        "modules.json": as_json(SENTENCE),
        "sentence_bert_config.json": as_json({"max_seq_length": 512}, 150),
    },
    "quantization beside the config": PLAIN
    | {"hf_quant_config.json": as_json({"quantization": {"quant_algo": None}}, 150)},
    "second models": PLAIN
    | {
        "codec/config.json": as_json({"architectures": ["Codec"]}, 150),
        "codec/m.safetensors": weights({"a": (4,)}),
    },
    "Mistral's layout": {
        "params.json": as_json(MISTRAL),
        "tekken.json": as_json({}, 120),
        "consolidated.safetensors": weights(THEIRS),
    },
}  # fmt: skip
BUILD = ("--base", "scratch", "--progress", "none")
MOVES: dict[str, Callable[[Path], Sequence[object]]] = {
    "build": lambda place: ("build", REPO, f"oci:{place}:v1", *BUILD),
    "stream": lambda place: ("stream", REPO, f"oci:{place}:v1", "--worker", "1/1", *BUILD),
    "download": lambda place: ("download", REPO, place, "--progress", "none"),
}
LOOKS: dict[str, Callable[[Path], Sequence[object]]] = {
    "plan": lambda place: ("plan", REPO, f"oci:{place}:v1", "--base", "scratch"),
    "plan and fit": lambda place: (
        "plan",
        REPO,
        f"oci:{place}:v1",
        "--base",
        "scratch",
        "--gpu",
        "L4",
        "--max-model-len",
        "512",
    ),
    "fit": lambda _: ("plan", REPO, "--gpu", "L4", "--max-model-len", "512"),
}
Reads = Counter[tuple[str, str | None]]


@pytest.fixture(autouse=True)
def pointed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(hub, monkeypatch)


def reads(hub: Hub, capsys: pytest.CaptureFixture[str], *command: object) -> Reads:
    """Run a command and return what of the files was sent for it."""
    hub.clear_log()
    done = carferry(capsys, *command)
    assert done.code == 0, done.err
    return hub.reads()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("command", LOOKS)
def test_a_step_that_only_looks_reads_nothing_twice(
    command: str, model: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, MODELS[model])
    found = reads(hub, capsys, *LOOKS[command](tmp_path / "out"))
    assert found
    assert [each for each, count in found.items() if count > 1] == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("command", MOVES)
def test_a_step_that_moves_reads_what_it_looks_at_once_and_each_file_once_more(
    command: str, model: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, MODELS[model])
    looked = reads(hub, capsys, *LOOKS["plan"](tmp_path / "none"))
    moved = reads(hub, capsys, *MOVES[command](tmp_path / "out"))
    more = moved - Counter(set(looked))
    assert max(more.values()) == 1
    assert all(part is None for _, part in more)


@pytest.fixture
def registry_in_memory() -> Iterator[PersonalRegistry]:
    """A registry that answers on loopback."""
    with PersonalRegistry() as server:
        yield server


@pytest.mark.parametrize("model", MODELS)
def test_the_first_step_of_a_run_reads_nothing_twice(
    model: str, hub: Hub, registry_in_memory: PersonalRegistry
) -> None:
    hub.add(REPO, MODELS[model])
    host = registry_in_memory.host
    run = Run(
        REPO, f"docker://{host}/org/m:1", serve="render", gpus="L4", max_model_len=512, prove=True,
        settings={"base": "scratch", "plain_http": [host]},
    )  # fmt: skip
    assert first(run).sizing["max_model_len"] == 512
    found = hub.reads()
    assert found
    assert [each for each, count in found.items() if count > 1] == []


def test_a_plan_costs_one_request_for_each_file_that_it_looks_at(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, sharded(2))
    found = reads(hub, capsys, *LOOKS["plan"](tmp_path / "out"))
    looked = [path for path in sharded(2) if path.endswith((".json", ".safetensors"))]
    assert found.total() <= len(looked)


class Memory:
    """A source in memory that counts what is read of each file; the first time a byte is wrong."""

    def __init__(self, files: dict[str, bytes], wrong: str = "") -> None:
        self.files, self.wrong = files, wrong
        self.counts: Counter[str] = Counter()

    def listing(self) -> Snapshot:
        return self.snapshot(sorted(self.files))

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        none = ContentId("sha256", "")
        return Snapshot("", "", tuple(SourceFile(p, len(self.files[p]), none) for p in paths))

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        self.counts[file.path] += 1
        body = self.files[file.path][start:stop]
        is_wrong = file.path == self.wrong and self.counts[file.path] == 1
        yield b"\xff" * len(body) if is_wrong else body


def test_a_byte_that_was_wrong_when_the_model_was_chosen_is_read_again_and_no_other() -> None:
    source = Memory(MODELS["texts"], wrong="tokenizer_config.json")
    pieces = Pieces(source)
    selection = choose(source, Patterns(), pieces=pieces)
    check_whole(source, selection.files, pieces=pieces)
    twice = {path for path, count in source.counts.items() if count > 1}
    assert twice == {"tokenizer_config.json", "tokenizer.json"}  # of a long one both ends
    assert pieces.whole("tokenizer_config.json") == MODELS["texts"]["tokenizer_config.json"]


def test_what_stays_wrong_is_a_fault() -> None:
    source = Memory(MODELS["texts"] | {"tokenizer_config.json": b"{".ljust(200)})
    pieces = Pieces(source)
    with pytest.raises(IncompleteModel, match=r"tokenizer_config\.json: not JSON"):
        check_whole(source, choose(source, Patterns(), pieces=pieces).files, pieces=pieces)


def test_no_more_is_kept_than_there_is_room_for() -> None:
    files = {f"{n}.json": b"x" * 1000 for n in range(10)}
    source = Memory(files)
    pieces = Pieces(source, room_bytes=3500)
    for _ in range(2):
        assert {path: pieces.whole(path) for path in files} == files
    assert [path for path in files if pieces.holds(path)] == ["0.json", "1.json", "2.json"]
    assert [source.counts[path] for path in files] == [1] * 3 + [2] * 7
    pieces.forget("1.json")
    assert pieces.whole("9.json") == files["9.json"]
    assert pieces.holds("9.json")


@pytest.mark.parametrize(
    ("size", "parts", "requests"),
    [
        (SHORT_BYTES, [(0, 10), (5, 20), (0, SHORT_BYTES), (SHORT_BYTES - 9, SHORT_BYTES)], 1),
        (SHORT_BYTES + 1, [(0, 10), (5, 20)], 2),
        (SHORT_BYTES + 1, [(0, 10), (0, 10)], 1),
        (SHORT_BYTES + 1, [(9, SHORT_BYTES + 9), (9, SHORT_BYTES + 1)], 1),
        (SHORT_BYTES + 1, [(0, SHORT_BYTES + 1), (5, 20), (0, SHORT_BYTES)], 1),
        (0, [(0, 10), (0, 0)], 1),
    ],
)
def test_a_part_of_a_short_file_brings_the_whole_and_of_a_long_one_only_itself(
    size: int, parts: list[tuple[int, int]], requests: int
) -> None:
    body = bytes(n % 251 for n in range(size))
    source = Memory({"a": body})
    pieces = Pieces(source)
    assert [pieces.read("a", *part) for part in parts] == [body[a:b] for a, b in parts]
    assert source.counts["a"] == requests
