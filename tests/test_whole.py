"""A model that is not whole is refused before a byte moves; what only looks odd is not."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ferrying import REPO, carferry, from_folder, from_hub, left_behind, point_to, to_layout
from gpu.samples import LLAMA, llama_file
from safetensors import SafetensorError, deserialize
from servers.content import Declared
from servers.hub import Hub
from servers.models import declared, header_bytes, sharded, tiny, weights, write

from carferry.assembly.build import stream_share
from carferry.assembly.options import Options
from carferry.errors import BrokenFile, IncompleteModel, SourceError
from carferry.registry.access import Access
from carferry.source.snapshot import Snapshot
from carferry.steps.fit import fit
from carferry.weights.check import check_whole, require_whole
from carferry.weights.safetensors import FIRST_READ
from carferry.weights.whole import ALL_HEADERS_BYTES, Whole, examine

Files = dict[str, bytes]
FIRST, SECOND = "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 4976698672\n" % (b"0" * 64)
XET = b"# xet version 0\nfilesize = 4976698672\nhash = '%b'\n" % (b"0" * 64)
EMPTY = struct.pack("<Q", 8) + b"{}      "
COUNTS_4 = b'{"model_type": "llama", "num_hidden_layers": 4}'
PAGE = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>\n" * 40


def cut(body: bytes, by: int = 100) -> bytes:
    return body[:-by]


def reheaded(body: bytes, change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    """Return a safetensors file with another header over the same tensors."""
    end = header_bytes(body)
    header = json.loads(body[8:end])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body[end:]


def shifted(by: int) -> Callable[[dict[str, dict[str, object]]], None]:
    def change(header: dict[str, dict[str, object]]) -> None:
        header["model.layers.1.bias"]["data_offsets"] = [256 + by, 288 + by]

    return change


def indexed(files: Files, change: Callable[[dict[str, dict[str, object]]], object]) -> Files:
    """Return the files with another index."""
    index = json.loads(files[INDEX])
    change(index)
    return files | {INDEX: json.dumps(index).encode()}


def without(files: Files, *paths: str) -> Files:
    return {path: body for path, body in files.items() if path not in paths}


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr("archive/data.pkl", b"\x80\x02.")
    return made.getvalue()


GOOD = sharded()
PARTS = GOOD[SECOND]
UNINDEXED = without(GOOD, INDEX)
MODULE = "model.layers.{}.attention.{}.weight"


def layered(*numbers: int, stem: str = MODULE) -> bytes:
    return weights({stem.format(n, part): (2, 2) for n in numbers for part in ("q", "k")})


def mistral(params: bytes, *numbers: int) -> Files:
    """Return a model in Mistral's own layout."""
    body = layered(*numbers, stem=MODULE.removeprefix("model."))
    return {"params.json": params, "tekken.json": b"{}", "consolidated.safetensors": body}


# What is wrong: the files, and what the line must name.
FAULTS: dict[str, tuple[Files, str]] = {
    "git-lfs pointer": (
        GOOD | {SECOND: LFS}, f"{SECOND}: a git-lfs pointer for a .*run git lfs pull",
    ),
    "git-lfs pointer for a tokenizer": (
        GOOD | {"tokenizer.json": LFS}, r"tokenizer\.json: a git-lfs pointer .*run git lfs pull",
    ),
    "git-lfs pointer for any file": (
        GOOD | {"tokenizer.model": LFS}, r"tokenizer\.model: a git-lfs pointer",
    ),
    "git-lfs pointer for an index": (GOOD | {INDEX: LFS}, f"{INDEX}: a git-lfs pointer"),
    "git-xet pointer": (GOOD | {SECOND: XET}, f"{SECOND}: a git-xet pointer"),
    "cut short": (GOOD | {SECOND: cut(PARTS)}, f"{SECOND}: tensors cover .* cut short"),
    "cut in the header": (GOOD | {SECOND: PARTS[:40]}, f"{SECOND}: claims a header of"),
    "too long": (GOOD | {SECOND: PARTS + b"more"}, f"{SECOND}: tensors cover 288 of 292"),
    "empty weights": (GOOD | {SECOND: b""}, f"{SECOND}: empty"),
    "overlapping tensors": (
        GOOD | {SECOND: reheaded(PARTS, shifted(-32))}, f"{SECOND}: tensor .* starts at 224",
    ),
    "a gap between tensors": (
        GOOD | {SECOND: reheaded(PARTS + bytes(32), shifted(32))}, f"{SECOND}: .* starts at 288",
    ),
    "a tensor out of range": (
        GOOD | {SECOND: reheaded(PARTS, shifted(1 << 40))}, f"{SECOND}: .*starts at 1099",
    ),
    "a web page for weights": (GOOD | {SECOND: PAGE}, f"{SECOND}: an HTML page"),
    "a web page for a tokenizer": (GOOD | {"tokenizer.json": PAGE}, r"tokenizer\.json: an HTML"),
    "a missing shard": (without(GOOD, SECOND), f"{SECOND}: missing: {INDEX} names it"),
    "a missing shard without an index": (
        without(GOOD, SECOND, INDEX), f"{SECOND}: missing: model-00001-of-00003.* there are 3",
    ),
    "a tensor that no file holds": (
        indexed(GOOD, lambda i: i["weight_map"].update({"model.layers.1.gate": SECOND})),
        f"{SECOND}: lacks tensor 'model.layers.1.gate' that {INDEX}",
    ),
    "a tensor in another file": (
        indexed(GOOD, lambda i: i["weight_map"].update({"model.layers.0.bias": SECOND})),
        f"{SECOND}: tensor 'model.layers.0.bias' .* is in model-00001-of-00003",
    ),
    "a total that is not the sum": (
        indexed(GOOD, lambda i: i["metadata"].update(total_size=1 << 40)),
        f"{INDEX}: total_size is 1099511627776, the tensors of its files are 864 bytes",
    ),
    "an index that is none": (GOOD | {INDEX: b"{}"}, f"{INDEX}: it has no weight_map"),
    "an index cut short": (GOOD | {INDEX: cut(GOOD[INDEX])}, f"{INDEX}: not JSON"),
    "fewer layers than the config says": (
        tiny() | {"config.json": b'{"model_type": "llama", "num_hidden_layers": 4}'},
        r"model\.safetensors: its tensors end with layer 2 of the 4",
    ),
    "fewer layers than a nested config says": (
        tiny() | {"config.json": b'{"text_config": {"num_hidden_layers": 4}}'},
        r"model\.safetensors: its tensors end with layer 2 of the 4",
    ),
    "a hole between layers": (
        tiny() | {"config.json": COUNTS_4, "model.safetensors": layered(0, 1, 3)},
        r"model\.safetensors: its tensors lack model\.layers\.2 of the 4 that config\.json",
    ),
    "no layer at all": (
        tiny() | {
            "config.json": COUNTS_4,
            "model.safetensors": weights({"model.embed_tokens.weight": (9, 2)}),
        },
        r"model\.safetensors: its tensors are of no layer of the 4 that config\.json counts",
    ),
    "fewer layers than params.json says": (
        mistral(b'{"n_layers": 5}', 0, 1),
        r"consolidated\.safetensors: its tensors end with layer 2 of the 5 that params\.json cou",
    ),
    "params.json that is a list": (mistral(b"[]", 0), r"params\.json: not a JSON object"),
    "params.json that is a list, over weights by another name": (
        without(tiny(), "config.json") | {"params.json": b"[]"}, r"params\.json: not a JSON object",
    ),
    "weights without a tensor": (
        tiny() | {"model.safetensors": EMPTY}, r"model\.safetensors: holds no tensor",
    ),
    "weights of metadata alone": (
        tiny() | {"model.safetensors": weights({})}, r"model\.safetensors: holds no tensor",
    ),
    "a shard that is another one's copy": (
        UNINDEXED | {SECOND: GOOD[FIRST]}, f"{SECOND}: holds the tensors of {FIRST} again",
    ),
    "a tensor of two shapes": (
        UNINDEXED | {SECOND: weights({"model.layers.0.weight": (8, 8), "b": (2,)})},
        rf"{SECOND}: tensor 'model\.layers\.0\.weight' is \[8, 8\], in {FIRST} \[16, 8\]",
    ),
    "a config cut short": (
        tiny() | {"config.json": cut(tiny()["config.json"])}, r"config\.json: not JSON",
    ),
    "an empty config": (tiny() | {"config.json": b""}, r"config\.json: empty"),
    "a config that is a list": (tiny() | {"config.json": b"[]"}, r"config\.json: not a JSON obj"),
    "a long tokenizer cut short": (
        tiny() | {"tokenizer.json": json.dumps({"words": "a" * 300_000}).encode()[:-1]},
        r"tokenizer\.json: JSON cut short",
    ),
    "a long tokenizer that is none": (
        tiny() | {"tokenizer.json": b"no" * 200_000}, r"tokenizer\.json: not JSON: it begins",
    ),
}  # fmt: skip
COMMANDS: dict[str, tuple[str, ...]] = {
    "build": ("--base", "scratch", "--progress", "none"),
    "plan": ("--base", "scratch"),
    "stream": ("--worker", "1/1", "--base", "scratch", "--progress", "none"),
    "download": ("--progress", "none"),
}


def test_the_model_that_is_spoiled_is_whole_itself() -> None:
    for files in (GOOD, tiny(), sharded(30)):
        assert look(files) == Whole(look(files).headers)


@pytest.mark.parametrize("place", ["folder", "hub"])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_names_the_fault_and_leaves_nothing(
    fault: str, command: str, place: str, hub: Hub, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    files, pattern = FAULTS[fault]
    if place == "hub":
        hub.add(REPO, files)
        point_to(hub, monkeypatch)
    model = REPO if place == "hub" else write(files, tmp_path / "model")
    left = tmp_path / "out"
    target = left if command == "download" else f"oci:{left}:v1"
    outcome = carferry(capsys, command, model, target, *COMMANDS[command])
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    (line,) = outcome.err.splitlines()
    assert re.match(f"carferry: (check|read [a-z ]+) {pattern}", line), line
    assert "; " in line
    assert left_behind(left) == []
    assert [path for path in left.rglob("*") if path.is_file() and path.stat().st_size > 64] == []


def test_all_faults_are_found_at_once_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = {SECOND: cut(PARTS), "tokenizer.json": LFS, "config.json": b"{"}
    model = write(GOOD | spoiled, tmp_path / "model")
    outcome = carferry(capsys, "plan", model, f"oci:{tmp_path / 'out'}:v1", "--base", "scratch")
    named = [line.split(": ")[1].rpartition(" ")[2] for line in outcome.err.splitlines()]
    assert (outcome.code, sorted(named)) == (2, sorted(spoiled))


def test_hundreds_of_faults_are_twenty_lines_and_a_count(tmp_path: Path) -> None:
    model = write(sharded(1) | {f"x{n}.safetensors": LFS for n in range(50)}, tmp_path)
    with pytest.raises(IncompleteModel) as caught:
        check_whole(from_folder(model), from_folder(model).listing())
    assert len(caught.value.faults) == 50
    assert len(caught.value.lines) == 21
    assert caught.value.lines[-1].endswith("30 more files like these")
    assert "\n" not in str(caught.value)


def look(files: Mapping[str, bytes], **changes: object) -> Whole:
    sizes = {path: len(body) for path, body in files.items()}
    given: dict[str, object] = changes
    return examine(sizes, lambda path, start, end: files[path][start:end], **given)  # type: ignore[arg-type]


def noted(body: bytes, *names: str) -> bytes:
    return reheaded(body, lambda h: h["__metadata__"].update(dict.fromkeys(names, "model.other")))


HEAD = {"lm_head.weight": SECOND}
TIED = b'{"num_hidden_layers": 2, "tie_word_embeddings": true}'
# What public repositories hold and servers load.
ODD: dict[str, Files] = {
    "no config": without(GOOD, "config.json"),
    "no index": without(GOOD, INDEX),
    "counted from 0": {f"m-{n}-of-3.safetensors": weights({f"{n}.w": (2,)}) for n in range(3)},
    "not padded": {f"model-{n}-of-2.safetensors": weights({f"{n}.w": (2,)}) for n in (1, 2)},
    "a tied head that is named and not stored": indexed(
        GOOD | {"config.json": TIED}, lambda i: i["weight_map"].update(HEAD)
    ),
    "a name that the converter left out and noted": indexed(
        GOOD | {"config.json": b'{"tie_word_embeddings": false}', SECOND: noted(PARTS, "a.b")},
        lambda i: i["weight_map"].update({"a.b": SECOND}),
    ),
    "a buffer that is computed": indexed(
        GOOD, lambda i: i["weight_map"].update({"l.rotary_emb.inv_freq": SECOND})
    ),
    "no total": indexed(GOOD, lambda i: i.pop("metadata")),
    "more layers than the config says": tiny() | {"config.json": b'{"num_hidden_layers": 1}'},
    "a short decoder beside the encoder": {
        "config.json": b'{"num_hidden_layers": 3}',
        "model.safetensors": weights(
            {f"model.encoder.layers.{n}.w": (2,) for n in range(3)}
            | {"model.decoder.layers.0.w": (2,)}
        ),
    },
    "names without layers": {
        "config.json": b'{"num_hidden_layers": 12}',
        "model.safetensors": weights({"albert_layer_groups.0.albert_layers.0.w": (2,)}),
    },
    "parts of a block that are numbered too, as T5's": {
        "config.json": b'{"num_layers": 4}',
        "model.safetensors": weights(
            {f"encoder.block.{n}.layer.{p}.w": (2,) for n in range(4) for p in range(2)}
        ),
    },
    "a file without a tensor beside others": tiny() | {"extra.safetensors": EMPTY},
    "a file without a tensor beside weights of another format": {
        "model.safetensors": EMPTY, "model.gguf": b"GGUF\x03\0\0\0" + bytes(16),
    },
    "embeddings beside weights of another format, which transformers loads": {
        "config.json": COUNTS_4,
        "embeddings.safetensors": weights({"model.embed_tokens.weight": (9, 2)}),
        "pytorch_model.bin": archive(),
    },
    "a module's file without a tensor": tiny() | {"2_Normalize/model.safetensors": EMPTY},
    "a folder of a module without weights": tiny() | {"2_Normalize/config.json": b"{}"},
    "Mistral's own layout": mistral(b'{"n_layers": 2}', 0, 1),
    "params.json beside config.json, of whatever program": tiny() | {"params.json": b"[]"},
    "an adapter of some layers": {
        "config.json": b'{"num_hidden_layers": 12}',
        "adapter_model.safetensors": weights({"base_model.model.layers.3.lora_A.weight": (2,)}),
    },
    "a dtype of tomorrow": {
        "model.safetensors": weights({"a": (4,)}).replace(b'"BF16"', b'"F3_9"')
    },
    "a config that says nothing": tiny() | {"config.json": b"{}"},
    "JSON that no server reads": tiny() | {"notes.json": b"{", "trainer.json": b""},
    "a byte order mark": tiny() | {"vocab.json": b"\xef\xbb\xbf{}"},
    "a long vocabulary": tiny()
    | {"vocab.json": json.dumps(dict.fromkeys("ab", "c" * 200_000)).encode()},
    "pickles old and new": {"pytorch_model.bin": archive(), "old.pt": b"\x80\x02."},
    "another format than the index names": without(GOOD, *(p for p in GOOD if "-of-" in p))
    | {"model.gguf": b"GGUF\x03\0\0\0" + bytes(16)},
    "an index below": {f"unet/{path}": body for path, body in GOOD.items()} | tiny(),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_public_repositories_hold_is_no_fault(name: str) -> None:
    found = look(ODD[name])
    assert (found.faults, found.remarks) == ((), ())


@pytest.mark.parametrize(
    ("total", "config"),
    [
        (1, b"{}"),  # saved with weights offloaded
        (864 + 512, b"{}"),  # a tied tensor counted twice
        (sum(len(GOOD[p]) for p in GOOD if "-of-" in p), b"{}"),  # lengths of whole files
        (2 * 864, b"{}"),  # of F32, the tensors converted one by one
        (1 << 40, b'{"quantization_config": {"quant_method": "gptq"}}'),  # as it was before
    ],
)
def test_a_total_that_public_writers_get_wrong_is_a_remark(total: int, config: bytes) -> None:
    files = indexed(GOOD, lambda i: i["metadata"].update(total_size=total))
    found = look(files | {"config.json": config})
    assert found.faults == ()
    assert len(found.remarks) == 1
    assert f"total_size is {total}" in found.remarks[0]


@pytest.mark.parametrize("shape", [(1,), ()])
def test_a_tensor_that_two_shards_hold_is_a_remark(shape: tuple[int, ...]) -> None:
    """As vLLM loads both; some writers keep a tied tensor twice."""
    more = {FIRST: weights({"s": (1,), "a": (2,)}), SECOND: weights({"s": shape, "b": (2,)})}
    found = look(UNINDEXED | more)
    assert found.faults == ()
    assert found.remarks == (f"{SECOND}: tensor 's' is in {FIRST} too; servers take the last",)


@pytest.mark.parametrize("folder", ["", "1_Extra/"])
def test_an_empty_generation_config_is_a_remark(folder: str) -> None:
    """Transformers raises OSError for it, and vLLM then makes one from config.json."""
    found = look(tiny() | {f"{folder}generation_config.json": b""})
    assert found.faults == ()
    assert found.remarks == (
        f"{folder}generation_config.json: empty; servers make one from config.json",
    )
    assert look(tiny() | {"generation_config.json": b"{}"}).remarks == ()


@pytest.mark.parametrize("body", [LFS, PAGE, b'{"eos_token_id": [1', b"[]"])
def test_a_generation_config_that_lost_what_it_said_is_a_fault(body: bytes) -> None:
    (fault,) = look(tiny() | {"generation_config.json": body}).faults
    assert fault.subject == "generation_config.json"


@pytest.mark.parametrize(
    "path", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_another_empty_text_that_servers_parse_is_a_fault(path: str) -> None:
    (fault,) = look(tiny() | {path: b""}).faults
    assert (fault.subject, fault.reason) == (path, "empty")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("model.gguf", b"GGML" + bytes(50), "not GGUF: it begins with b'GGML'"),
        ("model.gguf", b"", "empty"),
        ("model.gguf", LFS, "a git-lfs pointer"),
        ("pytorch_model.bin", cut(archive(), 22), "an archive without its directory"),
        ("pytorch_model.bin", b"Repository not found", "not PyTorch's"),
        ("pytorch_model.bin", LFS, "a git-lfs pointer"),
        ("model.onnx", PAGE, "an HTML page"),
        ("flax_model.msgpack", b"", "empty"),
    ],
)
def test_other_formats_are_looked_at_too(path: str, body: bytes, reason: str) -> None:
    (fault,) = look({path: body}).faults
    assert (fault.subject, reason in fault.reason) == (path, True)


@pytest.mark.parametrize("path", ["pytorch_model-00001-of-00002.bin", "m-00001-of-00002.gguf"])
def test_a_shard_of_another_format_that_is_missing_is_named(path: str) -> None:
    body = archive() if path.endswith(".bin") else b"GGUF" + bytes(20)
    (fault,) = look({path: body}).faults
    assert fault.subject == path.replace("00001", "00002")


@pytest.mark.parametrize("seed", range(400))
def test_what_the_safetensors_library_refuses_is_refused_and_nothing_raises(seed: int) -> None:
    draw = random.Random(seed)
    body = bytearray(PARTS)
    end = header_bytes(PARTS)
    for _ in range(draw.choice((1, 1, 2, 20))):
        kind, at = draw.random(), draw.randrange(end)
        if kind < 0.6:
            body[at] = draw.randrange(256)
        elif kind < 0.8:
            del body[at : at + draw.randrange(1, 9)]
        else:
            body[at:at] = draw.choice((b"[", b"9" * 30, b"-", b"\x00", b'"', b"null", b"{"))
    found = look(GOOD | {SECOND: bytes(body)})
    assert all(isinstance(fault, BrokenFile) and "\n" not in str(fault) for fault in found.faults)
    try:
        deserialize(bytes(body))
    except SafetensorError as error:
        # A dtype that this library does not know yet may be a later one's.
        assert found.faults or "unknown variant" in str(error)


def test_headers_of_a_stranger_are_not_read_without_end() -> None:
    header, asked = 30_000_000, list[int]()
    files = {f"model-{n}.safetensors": 10**9 for n in range(40)}

    def read(_: str, start: int, end: int) -> bytes:
        asked.append(end - start if start else 0)
        return struct.pack("<Q", header) + bytes(end - start - 8)

    faults = examine(files, read).faults
    assert sum(asked) <= ALL_HEADERS_BYTES
    assert {"not JSON" in fault.reason or "64" in fault.reason for fault in faults} == {True}
    assert len(faults) == 40


def test_a_byte_that_was_wrong_once_is_read_again() -> None:
    reads = Counter[str]()

    def read(path: str, start: int, end: int) -> bytes:
        reads[path] += 1
        body = GOOD[path][start:end]
        return b"\xff" * len(body) if path == SECOND and reads[path] == 1 else body

    sizes = {path: len(body) for path, body in GOOD.items()}
    assert examine(sizes, read).faults == ()
    assert {path: count for path, count in reads.items() if count > 1} == {SECOND: 2}


def test_a_model_of_thirty_shards_costs_one_request_for_each_file(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, sharded(30))
    point_to(hub, monkeypatch)
    done = carferry(capsys, "plan", REPO, f"oci:{tmp_path / 'out'}:v1", "--base", "scratch")
    assert done.code == 0, done.err
    reads = [e.path for e in hub.log if e.method == "GET" and "/resolve" in e.path]
    assert sum(path.endswith(".safetensors") for path in reads) == 30
    assert len(set(reads)) <= 30 + 8  # indices and texts that servers parse


def test_a_repository_of_thousands_of_short_files_costs_no_thousands_of_requests() -> None:
    reads = Counter[str]()

    def read(path: str, start: int, end: int) -> bytes:
        reads[path] += 1
        return b" " * (end - start)

    assert examine(dict.fromkeys((f"{n}.txt" for n in range(5000)), 200), read).faults == ()
    assert reads.total() == 256


def test_workers_look_at_each_file_once_among_them(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, sharded(6))
    options = Options(base="scratch", large_bytes=300)
    looked: Counter[str] = Counter()
    for worker in (1, 2, 3):
        hub.clear_log()
        target = to_layout(tmp_path / "out")
        stream_share(from_hub(hub), target, options, worker, 3, access=Access(env={}))
        looked += Counter(e.path for e in hub.log if e.method == "GET" and "-of-" in e.path)
    # One request to look, one to move.
    assert (len(looked), set(looked.values())) == (6, {2})


def test_a_worker_names_a_fault_of_its_own_share_only(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, GOOD | {SECOND: cut(PARTS, 1)})
    options = Options(base="scratch", large_bytes=300)
    refused = 0
    for worker in (1, 2, 3):
        try:
            target = to_layout(tmp_path / "out")
            stream_share(from_hub(hub), target, options, worker, 3, access=Access(env={}))
        except IncompleteModel as error:
            refused += 1
            assert [fault.subject for fault in error.faults] == [SECOND]
    assert refused == 1
    assert left_behind(tmp_path / "out") == [] or "v1" not in to_layout(tmp_path / "out").tags()


def test_whoever_downloads_one_shard_by_name_gets_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, GOOD)
    point_to(hub, monkeypatch)
    options = ("--include", f"{SECOND},*.json", "--progress", "none")
    done = carferry(capsys, "download", REPO, tmp_path / "out", *options)
    assert done.code == 0, done.err
    hub.add("org/cut", GOOD | {SECOND: cut(PARTS)})
    refused = carferry(capsys, "download", "org/cut", tmp_path / "two", *options)
    assert (refused.code, SECOND in refused.err) == (2, True)


def test_an_image_without_one_shard_is_refused_whoever_left_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, target = write(GOOD, tmp_path / "model"), f"oci:{tmp_path / 'out'}:v1"
    options = ("--base", "scratch", "--exclude", SECOND)
    refused = carferry(capsys, "build", model, target, *options)
    assert refused.code == 2
    assert f"{SECOND}: missing" in refused.err
    assert "leave out --exclude" in refused.err


def test_fit_asks_the_same_check_and_reads_no_header_twice(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, GOOD | {SECOND: cut(PARTS)})
    point_to(hub, monkeypatch)
    with pytest.raises(IncompleteModel, match=SECOND):
        fit(REPO, gpus="L4")
    hub.add(
        "org/llama",
        {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)},
    )
    hub.clear_log()
    assert fit("org/llama", gpus="L4").verdict == "fits"
    assert [path for path in hub.read_twice() if path.endswith(".safetensors")] == []


@pytest.mark.parametrize("found", ["", "0" * 63, "G" * 64, "A" * 64, "../" + "0" * 61, "0" * 65])
def test_an_id_that_is_no_sha256_is_refused_where_it_is_read(hub: Hub, found: str) -> None:
    hub.add(REPO, tiny() | {"big.safetensors": Declared(5 << 30, found)})
    with pytest.raises(SourceError, match=r"big\.safetensors.*which is no sha256"):
        from_hub(hub).listing()


def test_a_length_that_is_none_is_refused_where_it_is_read(hub: Hub) -> None:
    hub.add(REPO, tiny() | {"big.safetensors": Declared(-1, "0" * 64)})
    with pytest.raises(SourceError, match=r"list of files holds something else.*'size': -1"):
        from_hub(hub).listing()
    record = {"repo": "", "commit": "", "license": "", "files": [["a", -1, f"git:{'0' * 40}"]]}
    with pytest.raises(ValueError, match="fewer than no bytes"):
        Snapshot.from_json(json.dumps(record))


def test_a_file_that_nobody_may_look_at_says_so_itself(tmp_path: Path) -> None:
    model = write(tiny(), tmp_path / "model")
    (model / "vocab.json").symlink_to(model / "absent")
    source = from_folder(model)
    with pytest.raises(Exception, match=r"vocab\.json.*No such file"):
        check_whole(source, source.listing())


def test_an_image_is_asked_the_same_as_a_source() -> None:
    with pytest.raises(IncompleteModel, match=f"check q.io/a/b:1: {SECOND}: tensors cover"):
        require_whole("q.io/a/b:1", look(GOOD | {SECOND: cut(PARTS)}))


def test_headers_are_all_that_is_asked_of_a_model_of_hundreds_of_gigabytes(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = {f"model-{n + 1:05}-of-00191.safetensors": n for n in range(191)}
    hub.add(
        REPO,
        {"config.json": b"{}"} | {name: declared(4_240_000_000, n) for name, n in shards.items()},
    )
    point_to(hub, monkeypatch)
    done = carferry(capsys, "plan", REPO, f"oci:{tmp_path / 'out'}:v1", "--base", "scratch")
    assert done.code == 0, done.err
    assert 191 * FIRST_READ <= hub.body_bytes() < 191 * FIRST_READ + 1000
