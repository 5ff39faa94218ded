"""The plan as a pure function: prediction, shares, and what a registry would refuse later."""

from __future__ import annotations

import pytest
from ferrying import access

from carferry.assembly.plan import Claim, Plan, check_lengths, make_plan
from carferry.errors import InputError
from carferry.image.base import Base
from carferry.image.layers import Layer
from carferry.oci.documents import Platform
from carferry.refs import Digest, ImageRef, LayoutRef, parse_image
from carferry.source.snapshot import ContentId, Snapshot, SourceFile

GIB = 1 << 30
HERE = ImageRef("ghcr.io", "me/model", "1")


def planned(*gib: int, stored: int | None = None) -> Plan:
    """Return a plan of raw layers of these sizes, of which one may be at the target already."""
    files = [
        SourceFile(f"m-{n}.safetensors", size * GIB, ContentId("sha256", f"{n:064x}"))
        for n, size in enumerate(gib)
    ]
    layers = [Layer((file,), raw=True) for file in files]
    there = {}
    if stored is not None:
        there[layers[stored].content_key] = (Claim(Digest(f"{stored:064x}"), HERE),)
    snapshot = Snapshot("org/model", "0" * 40, tuple(files))
    return make_plan(snapshot, [Base("", None, Platform())], layers, there, HERE)


def test_time_is_the_longest_file_or_all_of_them_shared_out() -> None:
    plan = planned(8, 1, 1, 1, 1)
    assert plan.seconds(GIB) == 12
    assert plan.seconds(GIB, workers=2) == 8
    assert plan.seconds(GIB, workers=8, parallel=4) == 8


def test_shares_are_the_same_for_everyone_and_leave_nothing_out() -> None:
    plan = planned(5, 4, 3, 3, 3)
    shares = [plan.share(worker, 3) for worker in (1, 2, 3)]
    loads = [sum(each.layer.size_bytes for each in share) // GIB for share in shares]
    assert loads == [5, 7, 6]
    names = [each.layer.name for share in shares for each in share]
    assert sorted(names) == sorted(each.layer.name for each in plan.layers)


def test_a_layer_that_the_registry_would_refuse_is_named_before_a_byte_moves() -> None:
    with pytest.raises(InputError, match=r"m-1\.safetensors is 11\.0 GiB.* takes 10\.0 GiB"):
        check_lengths(planned(9, 11, 2), 10 * GIB, HERE)


def test_a_layer_that_is_there_already_may_have_any_length() -> None:
    check_lengths(planned(9, 11, stored=1), 10 * GIB, HERE)


def test_without_a_known_limit_nothing_is_refused() -> None:
    check_lengths(planned(900), 0, HERE)


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("docker://ghcr.io/me/model:1", 10.0),
        ("docker://123.dkr.ecr.eu-west-1.amazonaws.com/model:1", 50.78125),
        ("docker://quay.io/me/model:1", 0.0),
        ("docker://image-registry.openshift-image-registry.svc:5000/demo/model:1", 0.0),
        ("docker://registry.example.com/me/model:1", 0.0),
        ("oci:out:1", 0.0),
    ],
)
def test_the_limit_is_that_of_the_kind_of_registry(text: str, gib: float) -> None:
    ref = parse_image(text)
    assert isinstance(ref, ImageRef | LayoutRef)
    assert access().open(ref).largest_blob_bytes == gib * GIB
