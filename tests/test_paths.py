"""A model repository is untrusted input: names that could do harm are refused."""

from __future__ import annotations

import pytest
from servers.models import COLLIDING, HOSTILE, ODD

from carferry.errors import UnsafePath
from carferry.source.paths import check_path, check_paths


@pytest.mark.parametrize("path", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        check_path(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "a/",
        "..",
        "a\\b.json",
        "a/" * 600 + "b.json",
        "\ud800.json",
        "zero\u200bwidth.json",
    ],
)
def test_other_names_no_image_should_hold_are_refused(path: str) -> None:
    with pytest.raises(UnsafePath):
        check_path(path)


@pytest.mark.parametrize("path", ODD.values(), ids=list(ODD))
def test_an_odd_but_valid_name_passes(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("pair", COLLIDING.values(), ids=list(COLLIDING))
@pytest.mark.parametrize("turned", [False, True])
def test_two_names_for_one_place_are_refused(pair: tuple[str, str], turned: bool) -> None:
    with pytest.raises(UnsafePath):
        check_paths(reversed(pair) if turned else pair)


@pytest.mark.parametrize(
    "pair",
    [
        ("caf\u00e9.json", "cafe\u0301.json"),  # one letter, or a letter and an accent
        ("\ufb01le.json", "file.json"),  # the fi ligature
        ("\uff41.json", "a.json"),  # full width
        ("stra\u00dfe.json", "STRASSE.json"),  # case folding, not lower case
    ],
)
def test_two_unicode_forms_of_one_name_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UnsafePath, match="case-insensitive"):
        check_paths(pair)


def test_paths_that_only_look_alike_pass() -> None:
    check_paths(["a.json", "a.jsonl", "a/b.json", "ab/b.json", "a/c.json"])
