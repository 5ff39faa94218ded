"""What is written: a layer that depends on its files alone, a config that keeps the base's."""

from __future__ import annotations

import io
import random
import tarfile
from typing import Any

import pytest

from carferry.image.base import Base
from carferry.oci.documents import CONFIG, LAYER, Descriptor, Document, Platform
from carferry.refs import Digest
from carferry.runtime.image import compose, pack
from carferry.runtime.interpreter import Interpreter

HERE = Interpreter((3, 12), Platform(), (2, 34))


def test_a_layer_is_a_function_of_its_files_alone() -> None:
    files = {f"p{n % 3}/{'d' * n}/m{n}.py": bytes([n]) * n * 97 for n in range(60)}
    shuffled = list(files.items())
    random.Random(7).shuffle(shuffled)
    layer = pack(dict(shuffled))
    assert layer == pack(files)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = tar.getmembers()
        held = {m.name: handle.read() for m in members if (handle := tar.extractfile(m))}
    assert held == {f"opt/carferry/{path}": data for path, data in files.items()}
    assert {(m.isdir(), oct(m.mode), m.mtime, m.uid, m.gid, m.uname) for m in members} == {
        (True, "0o755", 0, 0, 0, ""),
        (False, "0o644", 0, 0, 0, ""),
    }


def a_base(*env: str, **config: Any) -> Base:
    return Base("a/base", Digest("0" * 64), Platform(), (), {"config": {"Env": list(env)} | config})


def composed(base: Base) -> dict[str, Any]:
    layer = Descriptor(LAYER, Digest("1" * 64), 512)
    return compose(base, HERE, layer).config.json


def test_the_bases_settings_stay_as_they_are() -> None:
    settings = {
        "User": "1001",
        "Entrypoint": ["container-entrypoint"],
        "Cmd": ["run"],
        "WorkingDir": "/opt/app-root/src",
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"name": "ubi9/python-312"},
    }
    config = composed(a_base("PATH=/opt/app-root/bin:/bin", "HOME=/opt/app-root/src", **settings))
    assert {key: config["config"][key] for key in settings if key != "Labels"} == {
        key: value for key, value in settings.items() if key != "Labels"
    }
    assert config["config"]["Labels"].items() >= settings["Labels"].items()
    assert config["config"]["Env"] == [
        "HOME=/opt/app-root/src",
        "PATH=/opt/app-root/bin:/bin",
        "PYTHONPATH=/opt/carferry",
        "PYTHONDONTWRITEBYTECODE=1",
        "_KFP_RUNTIME=true",
    ]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ((), {"HOME": "/tmp", "PYTHONPATH": "/opt/carferry"}),
        (("PYTHONPATH=/srv/lib",), {"PYTHONPATH": "/opt/carferry:/srv/lib"}),
        (("PYTHONPATH=",), {"PYTHONPATH": "/opt/carferry"}),
        (("HOME=/home/me", "A=b=c"), {"HOME": "/home/me", "A": "b=c"}),
    ],
)
def test_the_packages_are_found_beside_what_the_base_sets(
    env: tuple[str, ...], expected: dict[str, str]
) -> None:
    made = dict(entry.split("=", 1) for entry in composed(a_base(*env))["config"]["Env"])
    assert made.items() >= expected.items()


def test_a_bases_history_is_gone_on_with_or_left_out() -> None:
    bare = a_base()
    assert "history" not in composed(bare)
    recorded = Base(
        "b", None, Platform(), (), dict(bare.config) | {"history": [{"created_by": "x"}]}
    )
    assert [step["created_by"] for step in composed(recorded)["history"]] == [
        "x",
        "carferry runtime: /opt/carferry",
    ]


def test_the_image_does_not_say_by_which_name_the_base_was_found() -> None:
    layer = Descriptor(LAYER, Digest("1" * 64), 512)
    one, two = (
        compose(Base(name, Digest("2" * 64), Platform()), HERE, layer).manifest
        for name in ("registry.access.redhat.com/ubi9/python-312", "oci:/home/me/mirror:1")
    )
    assert one.data == two.data
    assert one.annotations["org.opencontainers.image.base.digest"] == f"sha256:{'2' * 64}"


def test_the_config_of_an_arm_image_keeps_its_variant() -> None:
    base = Base("b", None, Platform("arm64"), (), {"variant": "v8", "architecture": "arm64"})
    document = Document(
        CONFIG, compose(base, HERE, Descriptor(LAYER, Digest("1" * 64), 5)).config.data
    )
    assert (document.json["variant"], document.json["architecture"]) == ("v8", "arm64")
