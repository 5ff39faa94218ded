"""References are parsed once, at the edge, and what they mean is unmistakable."""

from __future__ import annotations

from pathlib import Path

import pytest

from carferry.cluster.names import check_kubernetes_name, kubernetes_name
from carferry.errors import InvalidName, InvalidReference
from carferry.refs import (
    Digest,
    ImageRef,
    LayoutRef,
    ModelRef,
    parse_image,
)

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("quay.io/team/model:1", ("quay.io", "team/model", "1", None)),
        ("docker://quay.io/model", ("quay.io", "model", None, None)),
        ("oci://localhost/m:v1.2_x-y", ("localhost", "m", "v1.2_x-y", None)),
        ("127.0.0.1:5000/a/b/c/d:t", ("127.0.0.1:5000", "a/b/c/d", "t", None)),
        ("[::1]:5000/a:t", ("[::1]:5000", "a", "t", None)),
        ("[::1]/a:t", ("[::1]", "a", "t", None)),
        ("quay.io:65535/a:t", ("quay.io:65535", "a", "t", None)),
        (f"quay.io/a/b@sha256:{HEX}", ("quay.io", "a/b", None, HEX)),
        (f"quay.io/a/b:1@sha256:{HEX}", ("quay.io", "a/b", "1", HEX)),
        ("quay.io/a__b/c---d.e", ("quay.io", "a__b/c---d.e", None, None)),
    ],
)
def test_an_image_reference_comes_apart(
    text: str, parts: tuple[str, str, str | None, str | None]
) -> None:
    ref = ImageRef.parse(text)
    found = (ref.registry, ref.repository, ref.tag, ref.digest.hex if ref.digest else None)
    assert found == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        "team/model:1",
        "quay.io",
        "quay.io/",
        "quay.io/Team/model",
        "quay.io/team//model",
        "quay.io/team/model:",
        "quay.io/team/model:a b",
        "quay.io/team/model:-x",
        f"quay.io/team/model:{'t' * 129}",
        f"quay.io/{'r' * 256}",
        "quay.io/team/model@sha256:abc",
        f"quay.io/team/model@sha512:{HEX * 2}",
        f"quay.io/team/model@sha256:{HEX.upper()}",
        "quay.io/../model:1",
        "quay.io/team/model:1\n",
        "https://quay.io/team/model:1",
        "user:pass@quay.io/team/model:1",
        "quay.io:port/team/model",
        "quay.io:0/team/model",
        "quay.io:65536/team/model",
        "127.0.0.1:99999/team/model:1",
        "[::1]:70000/team/model:1",
    ],
)
def test_a_malformed_image_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        ImageRef.parse(text)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_reference_prints_what_was_parsed() -> None:
    text = f"quay.io/a/b:1@sha256:{HEX}"
    assert str(ImageRef.parse(f"docker://{text}")) == text


@pytest.mark.parametrize(
    ("text", "reference"),
    [("quay.io/a", "latest"), ("quay.io/a:2", "2"), (f"quay.io/a:2@sha256:{HEX}", f"sha256:{HEX}")],
)
def test_the_digest_wins_over_the_tag_over_latest(text: str, reference: str) -> None:
    assert ImageRef.parse(text).reference == reference


def test_the_immutable_form_drops_the_tag() -> None:
    assert str(ImageRef.parse("quay.io/a:2").at(Digest(HEX))) == f"quay.io/a@sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "path", "tag"),
    [
        ("oci:out", "out", "latest"),
        ("oci:/data/out:v1", "/data/out", "v1"),
        ("oci:./out:", "out", "latest"),
        ("oci:a b/c:v", "a b/c", "v"),
    ],
)
def test_a_layout_reference_comes_apart(text: str, path: str, tag: str) -> None:
    assert parse_image(text) == LayoutRef(Path(path), tag)


@pytest.mark.parametrize("text", ["oci:", "oci::tag", "oci:out:a b", "oci:out:../x", "oci:out:a:b"])
def test_a_malformed_layout_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_image(text)


@pytest.mark.parametrize("text", ["a/b:1", "out", "file:x", "http://quay.io/a/b", ""])
def test_a_target_says_which_kind_of_place_it_is(text: str) -> None:
    with pytest.raises(InvalidReference, match="docker://host/repo:tag"):
        parse_image(text)


def test_both_image_schemes_mean_a_registry() -> None:
    assert parse_image("docker://quay.io/a:1") == parse_image("oci://quay.io/a:1")


@pytest.mark.parametrize(
    ("text", "revision", "expected"),
    [
        ("org/name", "", ModelRef("org/name", "main")),
        ("hf://org/name", "", ModelRef("org/name", "main")),
        ("hf://org/name@v1", "", ModelRef("org/name", "v1")),
        ("org/name@v1", "v2", ModelRef("org/name", "v1")),
        ("org/name", "refs/pr/3", ModelRef("org/name", "refs/pr/3")),
        ("gpt2", "", ModelRef("gpt2", "main")),
        ("Qwen/Qwen2.5-0.5B_x", "", ModelRef("Qwen/Qwen2.5-0.5B_x", "main")),
    ],
)
def test_a_model_reference_comes_apart(text: str, revision: str, expected: ModelRef) -> None:
    assert ModelRef.parse(text, revision) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a/b/c", "org/", "/name", "org/na me", "org/..", "org/a--b", "org/name@a..b", "org/n@-x"],
)
def test_a_malformed_model_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        ModelRef.parse(text)


@pytest.mark.parametrize("text", ["", HEX, f"sha256:{HEX[:-1]}", f"sha256:{HEX}\n", f"md5:{HEX}"])
def test_a_malformed_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        Digest.parse(text)


def test_the_digest_of_nothing_is_the_known_one() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Digest.of(b"") == Digest.parse(f"sha256:{empty}")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("granite-3.1-2b", "granite-31-2b"),
        ("Qwen/Qwen2.5 0.5B", "qwen-qwen25-05b"),
        ("  My Model__x ", "my-model-x"),
        ("7b-chat", "b-chat"),
        ("a" * 80, "a" * 53),
        ("a" * 52 + "-b", "a" * 52),
    ],
)
def test_a_display_name_becomes_the_name_the_dashboard_makes(text: str, name: str) -> None:
    assert kubernetes_name(text) == name
    assert check_kubernetes_name(name, kind="InferenceService") == name


@pytest.mark.parametrize("text", ["", "---", "123", "\u6a21\u578b"])
def test_a_display_name_without_letters_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        kubernetes_name(text)


@pytest.mark.parametrize("text", ["", "Model", "a_b", "a.b", "-a", "a-", "1a", "a" * 54, "a\n"])
def test_a_name_kubernetes_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        check_kubernetes_name(text, kind="InferenceService")


@pytest.mark.parametrize("scheme", ["", "docker://", "oci://", "http://", "HTTPS://"])
def test_a_login_in_an_images_address_is_refused_and_not_shown(scheme: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_image(f"{scheme}me:p%40ss@host:5000/a/b:v1")
    assert "p%40ss" not in str(caught.value)
    assert str(caught.value).endswith("leave it out: podman login HOST")
