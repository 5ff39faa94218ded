"""The page of annotations names every one that the source, an image or an object has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import ferry, from_folder, manifest, to_layout
from serve_samples import IMAGE as SERVED
from servers.models import tiny, write

import carferry
from carferry.image.layers import Format
from carferry.pipelines.reference.annotations import (
    IMAGE,
    IMAGE_READ,
    OBJECTS,
    OBJECTS_READ,
    PAGE,
)
from carferry.refs import Digest
from carferry.serve.platforms import PLATFORMS

ROOT = Path(__file__).parents[1]
KNOWN = {*IMAGE, *IMAGE_READ, *OBJECTS, *OBJECTS_READ}
KEY = re.compile(
    r"(?:[a-z0-9-]+\.)+[a-z0-9]{2,}/[A-Za-z0-9][A-Za-z0-9._-]*|carferry/[a-z-]+"
    r"|(?:dev\.carferry|org|vnd|io|ai)\.[a-z0-9.-]*[a-z0-9]"
)
OTHERS = re.compile(
    r".*/v[0-9]+(alpha|beta)?[0-9]*"  # versions of APIs
    r"|(nvidia|amd|habana|intel)\.(com|ai)/(gpu|gaudi|mig-)|gpu\.intel\.com/(i915|xe)"  # resources
    r"|kubernetes\.io/(dockerconfigjson|service-account-token)"  # types of Secrets
    r"|(docker\.io|registry\.access\.redhat\.com|gcr\.io)/.*"
)
FOLDERS = ("src/carferry", "pipelines", "components")
SOURCES = [
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    # What lint writes is a Workflow as the backend makes it, to be measured.
    if not {"reference", "lint"} & {*path.relative_to(ROOT).parts}
]


def keys(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.strip('"')
            if KEY.fullmatch(text) and not OTHERS.fullmatch(text):
                yield text


FOUND = {key: path for path in SOURCES for key in keys(path)}


def test_every_name_in_the_source_is_on_the_page() -> None:
    assert {key: str(path) for key, path in FOUND.items() if key not in KNOWN} == {}


def test_every_name_on_the_page_is_in_the_source() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    prefix = "org.opencontainers.image."
    made = {key for key in KNOWN if key.startswith(prefix) and key.removeprefix(prefix) in text}
    assert {key for key in KNOWN - made if key not in text} == set()


@pytest.mark.parametrize("key", sorted(KNOWN))
def test_a_name_stands_on_the_page(key: str) -> None:
    assert f"\n| `{key}` |" in (ROOT / PAGE).read_text(encoding="ascii")


@pytest.mark.parametrize("form", Format)
def test_what_an_image_says_is_on_the_page(form: Format, tmp_path: Path) -> None:
    target = to_layout(tmp_path / "out")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target, format=form)
    made = manifest(target)
    said = {*made.annotations, *(key for layer in made.layers for key in layer.annotations)}
    assert said
    assert said <= set(IMAGE)
    if form is Format.MODELCAR:
        config = json.loads(b"".join(target.open_blob(Digest.parse(made.json["config"]["digest"]))))
        assert config["config"]["Labels"] == made.annotations


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("more", [{}, {"auth": True, "external_route": True, "queue": "q"}])
def test_what_objects_say_is_on_the_page(platform: str, more: dict[str, Any]) -> None:
    made = carferry.render(SERVED, namespace="models", platform=platform, **more)
    for each in yaml.safe_load_all(made.manifest):
        held = each["metadata"]
        assert {*held.get("annotations", {}), *held.get("labels", {})} <= set(OBJECTS)
