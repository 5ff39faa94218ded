"""Files are verified while they arrive and show under their name only when they are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from ferrying import described, from_hub, quick
from servers.chaos import FlipByte, Rule
from servers.hub import Hub
from servers.models import ODD, tiny, write
from servers.proxy import Proxy

from carferry.errors import SourceChanged, TargetError
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.download import download
from carferry.source.hub.source import HubSource
from carferry.source.origin import RECORD
from carferry.source.snapshot import Snapshot


def fetch(source: HubSource, folder: Path) -> int:
    """Download what a source offers."""
    snapshot = take(source, Patterns())
    return download(source, snapshot, folder, parallel=3, retry=quick(), progress=Silent())


def files(folder: Path) -> dict[str, bytes]:
    """Return every file but the record."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).as_posix() != RECORD
    }


def test_every_file_arrives_with_a_record_of_what_it_is(hub: Hub, tmp_path: Path) -> None:
    model = tiny() | {"1_Pooling/config.json": b"{}"} | dict.fromkeys(ODD.values(), b"odd")
    hub.add("org/tiny", model)
    source = from_hub(hub)
    assert fetch(source, tmp_path / "model") == sum(map(len, model.values()))
    assert files(tmp_path / "model") == model
    record = Snapshot.from_json((tmp_path / "model" / RECORD).read_text())
    assert record == take(source, Patterns())


def test_a_second_run_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    fetch(from_hub(hub), tmp_path)
    hub.clear_log()
    assert (fetch(from_hub(hub), tmp_path), hub.body_bytes()) == (0, described(tiny()))


@pytest.mark.parametrize("damage", [b"", b"x", "same length"])
def test_a_file_that_no_longer_matches_is_fetched_again(
    hub: Hub, tmp_path: Path, damage: bytes | str
) -> None:
    hub.add("org/tiny", tiny())
    fetch(from_hub(hub), tmp_path)
    size = len(tiny()["config.json"])
    (tmp_path / "config.json").write_bytes(b"x" * size if isinstance(damage, str) else damage)
    assert fetch(from_hub(hub), tmp_path) == size
    assert files(tmp_path) == tiny()


def test_other_files_in_the_folder_are_left_alone(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    write({"notes.md": b"mine", "sub/x": b"mine"}, tmp_path)
    fetch(from_hub(hub), tmp_path)
    assert files(tmp_path) == tiny() | {"notes.md": b"mine", "sub/x": b"mine"}


def test_wrong_bytes_never_show_under_the_name(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    with Proxy(hub.cdn_endpoint, [Rule(FlipByte(50), method="GET", times=None)]) as proxy:
        hub.cdn_endpoint = proxy.endpoint
        with pytest.raises(SourceChanged, match=r"model\.safetensors"):
            fetch(from_hub(hub), tmp_path / "model")
    found = files(tmp_path / "model")
    assert found == {path: body for path, body in tiny().items() if path in found}
    assert "model.safetensors" not in found
    assert not (tmp_path / "model" / RECORD).exists()


def test_a_file_where_a_folder_should_be_is_an_error_in_words(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    (tmp_path / "model").write_text("")
    with pytest.raises(TargetError, match=r"Not a directory|File exists"):
        fetch(from_hub(hub), tmp_path / "model")


def test_a_folder_where_a_file_should_be_is_an_error_in_words(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    (tmp_path / "config.json").mkdir()
    with pytest.raises(TargetError, match=r"config\.json: Is a directory"):
        fetch(from_hub(hub), tmp_path)


def test_a_link_in_the_folder_is_not_written_through(hub: Hub, tmp_path: Path) -> None:
    """A prepared link must not make a download write elsewhere."""
    hub.add("org/tiny", tiny())
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").symlink_to(outside)
    fetch(from_hub(hub), tmp_path / "model")
    assert outside.read_text() == "precious"
    assert not (tmp_path / "model/config.json").is_symlink()
