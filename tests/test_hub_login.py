"""Addresses and tokens as people leave them: they work, or a line says what is wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from ferrying import blob, carferry, ferry, from_hub, manifest, point_to, quick, to_layout
from huggingface_hub import constants
from servers.hub import Hub
from servers.mirror import Mirror
from servers.models import tiny

from carferry.assembly.options import Format
from carferry.errors import InputError
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.download import download
from carferry.source.hub.login import Endpoint, read_token
from carferry.source.open import open_source
from carferry.source.snapshot import Snapshot

TOKEN = "hf_" + "granted" * 4
SOURCE = "org.opencontainers.image.source"


TOKENS = {
    "plain": TOKEN.encode(),
    "line end": TOKEN.encode() + b"\n",
    "lines of Windows": TOKEN.encode() + b"\r\n",
    "blanks": b"  " + TOKEN.encode() + b" \t\n\n",
    "mark of UTF-8": b"\xef\xbb\xbf" + TOKEN.encode() + b"\r\n",
    "no-break space": "\u00a0".encode() + TOKEN.encode(),
    "zero": TOKEN.encode() + b"\0",
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_file_opens_the_model_however_it_was_written(
    name: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(constants.HF_TOKEN_PATH)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(TOKENS[name])
    hub.add("org/gated", tiny(), gated=True, token=TOKEN)
    source = from_hub(hub, "org/gated")
    files = take(source, Patterns()).files
    assert b"".join(source.read(files[0])) == tiny()[files[0].path]


NO_TOKENS = {
    "UTF-16": ("hf_granted\n".encode("utf-16"), "not UTF-8 text"),
    "two lines": (b"hf_granted and more", "characters that no token has"),
    "quotes": (b'"hf_granted"', "characters that no token has"),
    "a page": (b"<html>log in</html>", "characters that no token has"),
    "letters of elsewhere": ("hf_gr\u00e4nted".encode(), "characters that no token has"),
}


@pytest.mark.parametrize("name", NO_TOKENS)
def test_what_cannot_be_a_token_is_named_and_not_sent(
    name: str, hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body, reason = NO_TOKENS[name]
    place = Path(constants.HF_TOKEN_PATH)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(body)
    hub.add("org/tiny", tiny())
    point_to(hub, monkeypatch)
    told = carferry(capsys, "build", "org/tiny", "oci:out:v1", "--base", "scratch")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert f"read token {place}: {reason}; put the token there" in told.err
    assert "granted" not in told.err
    assert hub.log == []


@pytest.mark.parametrize(
    "text", [f"{TOKEN}\nX-Evil: 1", "hf_a b", "'hf_a'", "hf_\u00e4", "a\u2028b"]
)
def test_a_variable_that_cannot_be_a_token_is_named(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", text)
    with pytest.raises(InputError, match="read token HF_TOKEN: characters that no token has"):
        read_token()


@pytest.mark.parametrize("text", ["", " ", "\n", "\ufeff"])
def test_an_empty_variable_is_no_token(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", text)
    assert read_token() == ""


def test_a_token_that_is_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(constants.HF_TOKEN_PATH).mkdir(parents=True)
    with pytest.raises(InputError, match="token: Is a directory"):
        read_token()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "https://huggingface.co"),
        ("  ", "https://huggingface.co"),
        ("https://huggingface.co/", "https://huggingface.co"),
        ("https://mirror.corp/hf", "https://mirror.corp/hf"),
        ("https://mirror.corp/hf///", "https://mirror.corp/hf"),
        (" https://mirror.corp/hf/\n", "https://mirror.corp/hf"),
        ("HTTP://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://user:p%40ss@mirror.corp/hf", "https://mirror.corp/hf"),
    ],
)
def test_an_endpoint_is_read(text: str, url: str) -> None:
    assert Endpoint.parse(text).url == url


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mirror.corp/hf", "neither http:// nor https://; write https://mirror.corp/hf"),
        ("mirror.corp:8080", "neither http:// nor https://"),
        ("ftp://mirror.corp", "neither http:// nor https://; write https://host/path"),
        ("https://", "neither http:// nor https://"),
        ("https://mirror.corp:http", "write https://host/path"),
        ("https://mirror.corp/hf?x=1", "not a plain address"),
        ("https://mirror.corp/h f", "not a plain address"),
    ],
)
def test_an_endpoint_that_is_no_address_is_one_line(
    text: str,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", text)
    told = carferry(capsys, "build", "org/tiny", "oci:out:v1", "--base", "scratch")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert line in told.err
    assert told.err.startswith("carferry: read HF_ENDPOINT")


def test_a_login_in_the_address_is_sent_to_that_host_and_recorded_nowhere(hub: Hub) -> None:
    login = "Basic " + base64.b64encode(b"user:p@ss").decode()
    hub.mirror = Mirror(login=login)
    hub.add("org/tiny", tiny() | {"big.safetensors": b"weights"})
    source = from_hub(hub, endpoint=hub.endpoint.replace("http://", "http://user:p%40ss@"))
    found = take(source, Patterns())
    for file in found.files:
        list(source.read(file))
    assert found.endpoint == hub.endpoint
    assert hub.cdn_log
    assert all("authorization" not in exchange.headers for exchange in hub.cdn_log)


@pytest.mark.parametrize("format", Format)
def test_the_image_names_the_endpoint_that_was_used(
    format: Format, hub: Hub, tmp_path: Path
) -> None:
    hub.mirror = Mirror(prefix="/hf")
    hub.add("org/tiny", tiny())
    target = to_layout(tmp_path)
    ferry(from_hub(hub, endpoint=f"{hub.endpoint}/hf/"), target, format=format)
    image = manifest(target)
    assert image.annotations[SOURCE] == f"{hub.endpoint}/hf/org/tiny"
    assert image.annotations["dev.carferry.source"] == "hf://org/tiny"
    if format is Format.MODELPACK:
        assert f"{hub.endpoint}/hf/org/tiny".encode() in blob(target, image.config.digest)


def test_a_downloaded_folder_remembers_the_endpoint(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    told = take(from_hub(hub), Patterns())
    download(from_hub(hub), told, tmp_path, parallel=1, retry=quick(), progress=Silent())
    assert take(open_source(str(tmp_path)), Patterns()) == told
    assert told.endpoint == hub.endpoint


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [("", "https://huggingface.co/org/name"), ("https://m.corp/hf", "https://m.corp/hf/org/name")],
)
def test_a_snapshot_says_where_people_find_it(endpoint: str, url: str) -> None:
    snapshot = Snapshot("org/name", "a" * 40, (), endpoint=endpoint)
    assert snapshot.url == url
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    assert Snapshot("", "", ()).url == ""


def test_a_record_of_the_public_hub_is_as_before() -> None:
    assert "endpoint" not in Snapshot("org/name", "a" * 40, ()).to_json()


@pytest.mark.parametrize("text", ["https://u:p@h/x", "javascript:x", "https://h/\nx", 5])
def test_a_record_with_another_endpoint_is_as_good_as_none(text: object) -> None:
    record = {"repo": "a/b", "commit": "", "license": "", "files": [], "endpoint": text}
    with pytest.raises(ValueError, match="endpoint"):
        Snapshot.from_json(json.dumps(record))
