"""Layers have a known length and a known order before a byte of the model is read."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.models import ODD

from carferry.assembly.layer_reader import LayerReader
from carferry.errors import SourceChanged
from carferry.image.layers import LARGE_BYTES, MOST_LAYERS, SMALL_BYTES, Layer, arrange
from carferry.source.snapshot import ContentId, SourceFile


class Memory:
    """A source whose files are bytes at hand, given in chunks of an odd size."""

    def __init__(self, contents: dict[str, bytes], chunk: int = 1000) -> None:
        self.contents, self.chunk = contents, chunk

    def snapshot(self, patterns: object) -> object:
        raise NotImplementedError

    def read(self, file: SourceFile, start: int = 0) -> Iterator[bytes]:
        body = self.contents[file.path]
        for at in range(start, len(body), self.chunk):
            yield body[at : at + self.chunk]


def layer_of(contents: dict[str, bytes]) -> Layer:
    return Layer(
        tuple(
            SourceFile(path, len(body), ContentId("sha256", hashlib.sha256(body).hexdigest()))
            for path, body in sorted(contents.items(), key=lambda item: item[0].encode())
        )
    )


def large(path: str, size: int = LARGE_BYTES) -> SourceFile:
    return SourceFile(path, size, ContentId("sha256", hashlib.sha256(path.encode()).hexdigest()))


CONTENTS = {
    "plain": {"config.json": b"{}"},
    "empty file": {"empty.json": b""},
    "only empty files": {"a.json": b"", "b/c.json": b""},
    "block edges": {f"{size}.json": os.urandom(size) for size in (511, 512, 513, 10240)},
    "odd names": dict.fromkeys(ODD.values(), b"x" * 700),
    "deep": {"a/b/c/d/e/f.json": b"1", "a/b/x.json": b"2", "z.json": b"3"},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_length_is_known_before_the_bytes_are_read(name: str) -> None:
    layer = layer_of(CONTENTS[name])
    data = whole(layer, Memory(CONTENTS[name]))
    assert layer.size_bytes == len(data)
    assert len(data) % 512 == 0


@pytest.mark.parametrize("name", CONTENTS)
def test_python_reads_back_every_file(name: str) -> None:
    data = whole(layer_of(CONTENTS[name]), Memory(CONTENTS[name]))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]
    assert found == {f"models/{path}": body for path, body in CONTENTS[name].items()}


@pytest.mark.parametrize("name", CONTENTS)
def test_gnu_tar_unpacks_every_file(name: str, tmp_path: Path) -> None:
    data = whole(layer_of(CONTENTS[name]), Memory(CONTENTS[name]))
    done = subprocess.run(
        ["tar", "-xf", "-", "-C", str(tmp_path)], input=data, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    root = tmp_path / "models"
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found == CONTENTS[name]


def test_every_directory_comes_before_what_it_holds() -> None:
    layer = layer_of(CONTENTS["deep"])
    data = whole(layer, Memory(CONTENTS["deep"]))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    for number, name in enumerate(names):
        above = name.rpartition("/")[0]
        assert not above or above in names[:number]


@pytest.mark.parametrize("name", CONTENTS)
def test_a_pass_resumed_anywhere_ends_in_the_same_digest(name: str) -> None:
    """A broken upload is resumed or sent again; each byte counts once for the digest."""
    contents, layer = CONTENTS[name], layer_of(CONTENTS[name])
    data = whole(layer, Memory(contents))
    wanted = hashlib.sha256(data).hexdigest()
    for first, again in [(0, 0), (1, 0), (600, 512), (len(data) - 1, 3), (len(data), 0)]:
        with LayerReader(layer, Memory(contents)) as body:
            sent = _take(body.chunks(), first)
            start = min(again, sent)
            assert b"".join(body.chunks(start)) == data[start:]
            assert body.digest().hex == wanted


def test_a_pass_can_start_at_every_offset() -> None:
    contents = {"a.json": b"a" * 100, "b/c.json": b"", "d.json": b"d" * 600}
    layer = layer_of(contents)
    with LayerReader(layer, Memory(contents, chunk=99)) as body:
        data = b"".join(body.chunks())
        for start in range(0, len(data) + 1, 37):
            assert b"".join(body.chunks(start)) == data[start:]
        assert body.digest().hex == hashlib.sha256(data).hexdigest()


def test_other_bytes_of_the_same_length_are_caught_in_passing() -> None:
    contents = {"a.json": b"right", "b.json": b"x"}
    layer = layer_of(contents)
    with LayerReader(layer, Memory(contents | {"a.json": b"wrong"})) as body:
        for _ in body.chunks():
            pass
        with pytest.raises(SourceChanged, match=r"a\.json"):
            body.digest()


def test_large_files_stand_alone_in_path_order_and_what_people_edit_comes_last() -> None:
    files = [
        SourceFile("a.json", SMALL_BYTES - 1, ContentId("sha256", "0" * 64)),
        SourceFile("b.json", SMALL_BYTES, ContentId("sha256", "2" * 64)),
        large("m-1.safetensors"),
        large("m-2.safetensors"),
        SourceFile("z.json", LARGE_BYTES - 1, ContentId("sha256", "1" * 64)),
    ]
    names = [[file.path for file in layer.files] for layer in arrange(files, base_layers=1)]
    assert names == [["m-1.safetensors"], ["m-2.safetensors"], ["b.json", "z.json"], ["a.json"]]


@pytest.mark.parametrize("base_layers", [0, 1, 5, 40])
@pytest.mark.parametrize("count", [1, 98, 99, 100, 101, 191, 1000])
@pytest.mark.parametrize("small", [0, 3])
def test_an_image_never_has_more_layers_than_engines_take(
    base_layers: int, count: int, small: int
) -> None:
    files = [large(f"m-{n:05}.safetensors", 900 << 30) for n in range(count)]
    files += [SourceFile(f"z{n}.json", 1, ContentId("sha256", "0" * 64)) for n in range(small)]
    layers = arrange(files, base_layers=base_layers)
    assert len(layers) + base_layers <= MOST_LAYERS
    assert [file for layer in layers for file in layer.files] == files


def test_runs_of_files_are_shared_out_evenly() -> None:
    files = [large(f"m-{n:05}.safetensors") for n in range(191)]
    lengths = {len(layer.files) for layer in arrange(files, base_layers=1)}
    assert lengths == {1, 2}


def test_a_model_of_small_files_alone_is_one_layer() -> None:
    files = [SourceFile(f"{n}.json", 1, ContentId("sha256", "0" * 64)) for n in range(5)]
    assert len(arrange(files, base_layers=1)) == 1


def test_the_content_key_follows_path_size_and_identity() -> None:
    one = layer_of({"a.json": b"1"})
    others = [layer_of({"b.json": b"1"}), layer_of({"a.json": b"2"}), layer_of({"a.json": b"11"})]
    assert one.content_key == layer_of({"a.json": b"1"}).content_key
    assert len({one.content_key, *(other.content_key for other in others)}) == 4


def test_an_ambiguous_split_of_names_makes_another_key() -> None:
    assert layer_of({"a": b"", "b": b""}).content_key != layer_of({"a b": b""}).content_key


def whole(layer: Layer, source: Memory) -> bytes:
    with LayerReader(layer, source) as body:
        return b"".join(body.chunks())


def _take(chunks: Iterator[bytes], size: int) -> int:
    taken = 0
    while taken < size:
        taken += len(next(chunks))
    return taken
