"""A reader of a blob that stops early gives its file or connection back with the error.

A reader lives as long as the traceback that shows it: closing is not left to the collector.
"""

from __future__ import annotations

import gc
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import access, manifest, to_layout
from servers.images import tar_of
from servers.registry import Registry

from carferry.assembly.pack import check_files
from carferry.errors import SourceChanged, TargetError
from carferry.image.base import Base
from carferry.image.held import held_files
from carferry.image.layers import Layer
from carferry.io.net.retry import Cancelled
from carferry.oci.documents import (
    CONFIG,
    LAYER,
    MANIFEST,
    Descriptor,
    Document,
    Platform,
    canonical,
)
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import blob_file, copy_blob, put_blob
from carferry.registry.target import Target
from carferry.runtime.search import search
from carferry.source.snapshot import ContentId, SourceFile

# Several chunks of 1 MiB: a reader that stops early has more to come.
SIZE_BYTES = 3 << 20


@dataclass(frozen=True)
class Home:
    """A place with one layer that is not what it says, and a folder to write to."""

    target: Target
    layer: Descriptor
    folder: Path


@pytest.fixture(params=["layout", "registry"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A layout or a registry; its one image has a layer that has a name of megabytes."""
    if request.param == "layout":
        yield _filled(to_layout(tmp_path / "layout"), tmp_path)
        return
    with Registry(tmp_path / "registry") as server:
        given = access(server.host)
        yield _filled(given.open(ImageRef(server.host, "some/image", "v1"), write=True), tmp_path)


def _filled(target: Target, folder: Path) -> Home:
    endless = tarfile.TarInfo("name")
    endless.type, endless.size = tarfile.GNUTYPE_LONGNAME, SIZE_BYTES
    data = tar_of({"models/other.bin": b"x"})[:1024] + endless.tobuf() + bytes(SIZE_BYTES)
    layer = Descriptor(f"{LAYER}+gzip", put_blob(target, data), len(data))
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest)]},
        }
    )
    described = Descriptor(CONFIG, put_blob(target, config), len(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.to_json(),
        "layers": [layer.to_json()],
    }
    target.put_manifest(Document(MANIFEST, canonical(manifest)), "v1")
    return Home(target, layer, folder)


def stopped_copy(home: Home) -> None:
    """Copy, and stop at the first chunk."""

    def stop(_: int) -> None:
        raise Cancelled("continue", "", "another part failed")

    copy_blob(home.layer, home.target, to_layout(home.folder / "copy"), moved=stop)


def wrong_file(home: Home) -> None:
    """Compare a layer with files that it does not hold."""
    wanted = SourceFile("model.bin", 1, ContentId("sha256", "0" * 64))
    with blob_file(home.target, home.layer.digest) as archive:
        check_files(Layer((wanted,)), archive)


def bad_layer(home: Home) -> None:
    """List the files of an image whose layer is no tar."""
    held_files(home.target, manifest(home.target))


def bad_base(home: Home) -> None:
    """Look for a file in a base whose layer is no tar."""
    base = Base("some", Digest("0" * 64), Platform("amd64"), (home.layer,), {}, home.target)
    search(base, lambda _member: None)


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (stopped_copy, Cancelled),
        (wrong_file, SourceChanged),
        (bad_layer, TargetError),
        (bad_base, TargetError),
    ],
)
def test_a_kept_error_keeps_no_file_and_no_connection(
    read: Callable[[Home], None], error: type[Exception], home: Home
) -> None:
    gc.collect()
    before = _descriptors(home)
    with pytest.raises(error) as kept:
        read(home)
    assert _descriptors(home) == before, kept


def _descriptors(home: Home) -> int:
    # The one connection that a registry's pool keeps is always there: if a reader still had
    # it, this request opens another.
    home.target.blob_size(home.layer.digest)
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
