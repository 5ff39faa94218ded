"""The YAML is deterministic, ASCII, and means the same to every reader."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from serve_samples import NAME, URI, settings

from carferry.errors import InputError
from carferry.serve.objects import make_objects
from carferry.serve.render import render, write, write_folder


def test_the_yaml_reads_back_as_the_same_objects() -> None:
    objects = make_objects(
        settings(auth="true", display_name="Gran\u00edte: 2b # new", gpu_count="2")
    )
    secret, *rest = yaml.safe_load_all(render(objects))
    texts = secret.pop("stringData")
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    assert [secret | {"data": data}, *rest[:-1]] == objects[:-1]
    assert rest[-1] == objects[-1]  # the token's Secret holds no data of ours


def test_a_reader_of_a_repository_is_told_what_it_is_and_how_it_is_applied() -> None:
    heading = [line for line in render(make_objects(settings())).splitlines() if line[0] == "#"]
    assert heading == [
        f"# Serves {URI}",
        "# Written by carferry render; its settings, not this file, are what to change.",
        "# Apply it with: oc apply --server-side -n demo -f FILE",
        "# or commit it: kustomize and Argo CD take it as it is, in any order.",
    ]


def test_a_folder_keeps_the_kustomization_that_is_there(tmp_path: Path) -> None:
    folder, objects = tmp_path / "new" / "gitops", make_objects(settings())
    write_folder(objects, folder)
    made = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert (made["namespace"], made["resources"]) == ("demo", [f"{NAME}.yaml"])
    assert (folder / f"{NAME}.yaml").read_text() == render(objects)
    mine = f"resources: [{NAME}.yaml, mine.yaml]\n"
    (folder / "kustomization.yaml").write_text(mine)
    write_folder(objects, folder)
    assert (folder / "kustomization.yaml").read_text() == mine


@pytest.mark.parametrize("text", ["resources: [other.yaml]", "{", "[]", "", "resources: 5"])
def test_another_kustomization_is_no_place_for_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"names no {NAME}\.yaml; add '- {NAME}\.yaml'"):
        write_folder(make_objects(settings()), tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["kustomization.yaml"]


def test_the_yaml_is_ascii_and_the_same_every_time() -> None:
    objects = make_objects(settings(description="sch\u00f6n \U0001f600"))
    assert render(objects) == render(objects)
    assert render(objects).isascii()


def test_documents_come_in_apply_order() -> None:
    kinds = [each["kind"] for each in yaml.safe_load_all(render(make_objects(settings())))]
    assert kinds == ["Secret", "ServingRuntime", "InferenceService"]


@pytest.mark.parametrize(
    "text",
    ["true", "y", "No", "on", "null", "~", "", "1", "1e3", "0x1f", "0o17", "1_000", ".inf", "012",
     "12:30", "2026-01-01", "=", "- a", "a: b", "#c", "*d", "&e", "!f", "%g", "@h", "{i}", " j "],
)  # fmt: skip
def test_a_string_that_some_reader_would_mistake_is_quoted(text: str) -> None:
    written = render([{"kind": "T", "value": text}])
    assert yaml.safe_load(written)["value"] == text
    assert f'value: "{text}"' in written


def test_long_values_stay_on_one_line() -> None:
    written = render([{"value": "word " * 200}])
    assert len(written.splitlines()) == 2


def test_equal_parts_are_written_out_without_anchors() -> None:
    amounts = {"cpu": "4"}
    assert "&" not in render([{"requests": amounts, "limits": amounts}])


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("old")
    objects = make_objects(settings())
    write(objects, path)
    assert path.read_text(encoding="ascii") == render(objects)
    assert [each.name for each in tmp_path.iterdir()] == ["model.yaml"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_missing_folder_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        write([], tmp_path / "nowhere" / "model.yaml")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(InputError):
        write([], path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.yaml"]
