"""A model in a bucket is read as it was when it was listed, to the last byte, or not at all."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from botocore.config import Config
from botocore.session import Session
from ferrying import ANY, quick
from servers.buckets import ACCESS, SECRET, Bucket, make_bucket
from servers.chaos import (
    Action,
    Answer,
    DropReply,
    DropRequest,
    EditReply,
    EditRequest,
    IgnoreRange,
    ResetDownload,
    Rule,
    Truncate,
    change_etag,
)
from servers.models import tiny
from servers.proxy import Proxy
from servers.wire import Head

from carferry.errors import (
    CarferryError,
    InputError,
    InvalidReference,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceNotFound,
    Unreachable,
    UnsafePath,
)
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source import paths
from carferry.source.open import Reach, check_model, open_source
from carferry.source.s3.ref import S3Ref
from carferry.source.s3.source import S3Source
from carferry.source.snapshot import ContentId, SourceFile

SIZE = (3 << 20) + 17
WEIGHTS = "model.safetensors"
BODY = bytes(range(251)) * (SIZE // 251) + bytes(SIZE % 251)
FILES = {"config.json": b"{}", WEIGHTS: BODY}


def source(model: str) -> S3Source:
    """Return a source whose pauses are too short to notice."""
    found = open_source(model, reach=Reach(quick()))
    assert isinstance(found, S3Source)
    return found


def read(found: S3Source, file: SourceFile, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(found.read(file, start, stop))


def weights(found: S3Source) -> SourceFile:
    return next(file for file in take(found, ANY).files if file.path == WEIGHTS)


# What is listed.


def test_a_prefix_is_listed_with_sizes_and_identities(bucket: Bucket) -> None:
    found = source(bucket.fill(tiny()))
    snapshot = take(found, Patterns())
    assert {file.path: file.size_bytes for file in snapshot.files} == {
        path: len(body) for path, body in tiny().items()
    }
    assert {file.content.kind for file in snapshot.files} == {"etag"}
    assert snapshot.place == f"s3://{bucket.name}/models/tiny?endpoint={bucket.host}"
    assert {file.path: read(found, file) for file in snapshot.files} == tiny()


@pytest.mark.parametrize("form", ["{}/m", "{}/m/", "{}//m//"])
def test_slashes_around_a_prefix_mean_nothing(bucket: Bucket, form: str) -> None:
    bucket.fill(FILES, "m")
    bucket.put("m2/other.json", b"{}")
    bucket.put("m/", b"")  # what a console leaves
    bucket.put("m/empty/", b"")
    paths = [f.path for f in source(f"s3://{form.format(bucket.name)}").listing().files]
    assert paths == ["config.json", WEIGHTS]


def test_a_whole_bucket_can_be_a_model(bucket: Bucket) -> None:
    bucket.put("config.json", b"{}")
    assert [f.path for f in source(f"s3://{bucket.name}").listing().files] == ["config.json"]


def test_the_connections_bucket_is_taken_where_none_is_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.fill(FILES, "m")
    with pytest.raises(InputError, match="no bucket; write s3://bucket/prefix, or AWS_S3_BUCKET"):
        source("s3:///m")
    monkeypatch.setenv("AWS_S3_BUCKET", bucket.name)
    assert source("s3:///m").place == f"s3://{bucket.name}/m?endpoint={bucket.host}"


def test_a_listing_of_many_pages_is_whole(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.fill({f"{n:04}.json": b"{}" for n in range(95)}, "many")
    short = Rule(EditRequest(few), path="list-type=2", times=None)
    with Proxy(bucket.endpoint, [short]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(f"s3://{bucket.name}/many")
        assert len(found.listing().files) == 95
        assert len(proxy.log) == 10


def few(head: Head) -> Head:
    """Ask for ten objects a page."""
    return replace(head, start=head.start.replace("list-type=2", "list-type=2&max-keys=10"))


ODD = (
    "with space.json", "per%cent%2F.json", "pl+us.json", "quo'te\".json", "\u00e9.json",
    "e\u0301.json", "&amp;<x>.json", "\u65e5\u672c.json", "sub/deep/er.json", "a=b&c=d.json",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_keys_are_asked_for_as_they_are(bucket: Bucket, name: str) -> None:
    bucket.fill({name: b"honest"}, "a folder/\u00fc")
    found = source(f"s3://{bucket.name}/a folder/\u00fc")
    (file,) = take(found, ANY).files
    assert (file.path, read(found, file)) == (name, b"honest")


@pytest.mark.parametrize("key", ["/rooted.json", "a//b.json", "a/.wh.b.json", "x\\y.json"])
def test_keys_that_must_not_enter_an_image_are_refused(bucket: Bucket, key: str) -> None:
    bucket.fill({"config.json": b"{}", key: b"{}"}, "m")
    with pytest.raises(UnsafePath, match="exclude it with --exclude"):
        take(source(f"s3://{bucket.name}/m"), Patterns.parse([], []))


# What names nothing.


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("s3://{0}/models/tinny", "no object has this prefix; near it: s3://{0}/models/tiny"),
        ("s3://{0}/tiny", "no object has this prefix; near it: s3://{0}/models"),
        ("s3://{0}/models/tiny/config.json", "one object and no folder; name its folder: "
         "s3://{0}/models/tiny --include 'config.json'"),
        ("s3://not-{0}/models", "has no such bucket; check the name"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_said_with_what_is_near(
    bucket: Bucket, model: str, line: str
) -> None:
    bucket.fill(FILES)
    with pytest.raises(SourceNotFound) as caught:
        source(model.format(bucket.name)).listing()
    assert str(caught.value).endswith(line.format(bucket.name))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("s3://a_b!/m", "is no bucket's name"),
        ("s3://x/m", "is no bucket's name"),
        ("s3://key:secret@bucket/m", "neither keys nor an ARN belong in the address"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/p/m", "neither keys nor an ARN"),
        ("s3://bucket/m?X-Amz-Signature=abc", "a query or a fragment"),
        ("s3://bucket/m\n", "control characters"),
        ("s3://bucket/" + "m" * 1025, "longer than 1024 bytes"),
    ],
)
def test_what_cannot_be_an_address_is_refused_unasked(model: str, reason: str) -> None:
    with pytest.raises(InvalidReference, match=reason) as caught:
        check_model(model)
    assert "secret" not in str(caught.value)


def test_a_bucket_has_no_revision() -> None:
    with pytest.raises(
        InvalidReference, match="only the hub has a revision 'v1'; leave --revision out"
    ):
        check_model("s3://bucket/m", "v1")


# Identity.


def stamped(bucket: Bucket, key: str, data: bytes) -> None:
    """Write an object together with its sha256, as newer clients do."""
    config = Config(s3={"addressing_style": "path"})
    client = Session().create_client("s3", "us-east-1", endpoint_url=bucket.endpoint, config=config)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    client.put_object(
        Bucket=bucket.name, Key=key, Body=data, ChecksumAlgorithm="SHA256", ChecksumSHA256=digest
    )


def test_a_servers_sha256_of_the_whole_object_is_its_identity(bucket: Bucket) -> None:
    stamped(bucket, f"m/{WEIGHTS}", BODY)
    found = source(f"s3://{bucket.name}/m")
    file = weights(found)
    assert file.content == ContentId("sha256", hashlib.sha256(BODY).hexdigest())
    assert read(found, file) == BODY


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"x-amz-checksum-type": "COMPOSITE"}, "etag"),
        ({"x-amz-checksum-sha256": "bm90IDMyIGJ5dGVz"}, "etag"),
        ({"x-amz-checksum-sha256": "!!"}, "etag"),
        ({}, "sha256"),
    ],
)
def test_a_checksum_of_checksums_is_no_identity(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], kind: str
) -> None:
    stamped(bucket, f"m/{WEIGHTS}", BODY)

    def edit(head: Head) -> Head:
        for name, value in headers.items():
            head = head.with_(name, value)
        return head

    with Proxy(bucket.endpoint, [Rule(EditReply(edit), method="HEAD", times=None)]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        assert weights(source(f"s3://{bucket.name}/m")).content.kind == kind


def test_an_etag_identifies_an_object_of_one_bucket_only(bucket: Bucket) -> None:
    """RFC 9110: a tag says nothing of any other resource."""
    other = make_bucket(bucket.endpoint)
    first, again, elsewhere = (weights(source(b.fill(FILES))) for b in (bucket, bucket, other))
    assert first == again
    assert first.content != elsewhere.content
    bucket.fill({WEIGHTS: BODY[::-1]})
    assert weights(source(f"s3://{bucket.name}/models/tiny")).content != first.content


# Reading, whatever the wire does.


@pytest.mark.parametrize("stop", [None, SIZE, 1 << 20, SIZE - 1])
@pytest.mark.parametrize("start", [0, 1, (1 << 20) - 1])
def test_any_part_can_be_read(bucket: Bucket, start: int, stop: int | None) -> None:
    found = source(bucket.fill(FILES))
    assert read(found, weights(found), start, stop) == BODY[start:stop]


def test_an_empty_object_is_read_without_a_request(bucket: Bucket) -> None:
    found = source(bucket.fill({"empty.json": b""}))
    (file,) = take(found, ANY).files
    assert (file.size_bytes, read(found, file)) == (0, b"")


GET = f"/{WEIGHTS}$"
BUSY = Answer(503, {"Retry-After": "0"}, b"<Error><Code>SlowDown</Code></Error>")


@pytest.mark.parametrize(
    "action",
    [
        ResetDownload(at=1 << 20), ResetDownload(at=0), Truncate(at=5), DropReply(), DropRequest(),
        BUSY, Answer(500, {}, b""), Answer(429, {}, b""), IgnoreRange(),
    ],
    ids=lambda action: type(action).__name__ + str(getattr(action, "at", "")),
)  # fmt: skip
def test_a_broken_read_goes_on_at_the_byte_it_broke_at(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    model = bucket.fill(FILES)
    rules = [Rule(action, method="GET", path=GET), Rule(ResetDownload(at=2 << 20), "GET", GET, 2)]
    with Proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(model)
        file = weights(found)
        proxy.arm(rules)
        assert read(found, file) == BODY
        asked = [each.headers for each in proxy.log]
        assert all("if-match" in each for each in asked)


def test_a_server_that_always_breaks_is_given_up(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket.fill(FILES)
    with Proxy(bucket.endpoint, [Rule(BUSY, method="GET", path=GET, times=None)]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(model)
        with pytest.raises(SourceError, match="answered 503 SlowDown") as caught:
            read(found, weights(found))
        asked = [each for each in proxy.exchanges if each.actions]
        assert len(asked) == caught.value.tries == quick().attempts


@pytest.mark.parametrize("knows_if_match", [True, False])
@pytest.mark.parametrize("same_length", [True, False])
@pytest.mark.parametrize("at", [0, 1 << 20])
def test_an_object_replaced_meanwhile_is_never_mixed(
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    knows_if_match: bool,
    same_length: bool,
    at: int,
) -> None:
    model = bucket.fill(FILES)
    blind = Rule(EditRequest(lambda head: head.without("If-Match")), times=None)
    with Proxy(bucket.endpoint, [] if knows_if_match else [blind]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(model)
        file = weights(found)
        bucket.fill({WEIGHTS: BODY[::-1] if same_length else BODY + b"more"})
        with pytest.raises(SourceChanged, match=f"{WEIGHTS}: .*(etag|bytes)"):
            read(found, file, at)


def test_an_object_deleted_meanwhile_is_said(bucket: Bucket) -> None:
    found = source(bucket.fill(FILES))
    file = weights(found)
    bucket.client.remove_object(bucket.name, f"models/tiny/{WEIGHTS}")
    with pytest.raises(SourceChanged, match="it is gone since it was listed"):
        read(found, file)


def test_an_etag_that_changes_between_two_ranges_is_noticed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket.fill(FILES)
    rules = [Rule(ResetDownload(at=1 << 20), "GET", GET), Rule(change_etag(), "GET", GET, 2)]
    with Proxy(bucket.endpoint, rules) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(model)
        with pytest.raises(SourceChanged, match="its etag is no longer that of the listing"):
            read(found, weights(found))


# What servers refuse.


def says(code: str, status: int, more: str = "") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message>{more}</Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


REFUSALS = {
    "AccessDenied": (says("AccessDenied", 403), SourceDenied, "may not read it; grant s3:ListB"),
    "InvalidAccessKeyId": (
        says("InvalidAccessKeyId", 403, f"<AWSAccessKeyId>{ACCESS}</AWSAccessKeyId>"),
        SourceDenied, "the server does not know this access key",
    ),
    "SignatureDoesNotMatch": (
        says("SignatureDoesNotMatch", 403, f"<StringToSign>{SECRET}</StringToSign>"),
        SourceDenied, "the secret key does not belong to the access key",
    ),
    "RequestTimeTooSkewed": (says("RequestTimeTooSkewed", 403), SourceDenied, "set the clock"),
    "ExpiredToken": (says("ExpiredToken", 400), SourceDenied, "credentials have expired"),
    "InvalidToken": (says("InvalidToken", 400), SourceDenied, "session token is not valid"),
    "InvalidObjectState": (
        says("InvalidObjectState", 403, "<StorageClass>DEEP_ARCHIVE</StorageClass>"),
        InputError, "archived .*restore it first",
    ),
    "plain 403": (Answer(403, {}, b""), SourceDenied, "may not read it"),
    "PermanentRedirect": (
        says("PermanentRedirect", 301), InputError, r"it redirects \(301\); set AWS_DEFAULT_REGION"
    ),
    "a web page": (
        Answer(200, {"Content-Type": "text/html"}, b"<!doctype html><p>hello"),
        InputError, "answers with a web page, so it is no S3 server; check AWS_S3_ENDPOINT",
    ),
    "AuthorizationHeaderMalformed": (
        says("AuthorizationHeaderMalformed", 400), InputError, "region; set AWS_DEFAULT_REGION"
    ),
    "a redirect to TLS": (
        Answer(308, {"Location": "https://s3.example.com/x?y=1"}, b""),
        InputError, "write https://s3.example.com as AWS_S3_ENDPOINT",
    ),
    "garbage": (Answer(200, {}, b"\xff\x00"), SourceError, "answered 500"),
    "MethodNotAllowed": (says("MethodNotAllowed", 405), SourceError, "answered 405 MethodNot"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_of_a_listing_is_one_plain_line(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer, error, line = REFUSALS[name]
    with Proxy(bucket.endpoint, [Rule(answer, times=None)]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        with pytest.raises(error, match=line) as caught:
            source(f"s3://{bucket.name}/m").listing()
        assert len(proxy.log) <= 6
    assert ACCESS not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == (1 if error is SourceError else 2)


def test_credentials_that_expire_while_reading_end_it(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket.fill(FILES)
    expired = Rule(says("ExpiredToken", 400), "GET", GET, first=2, times=None)
    rules = [Rule(ResetDownload(at=1 << 20), "GET", GET), expired]
    with Proxy(bucket.endpoint, rules) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(model)
        with pytest.raises(SourceDenied, match="expired; get new credentials and run again"):
            read(found, weights(found))


def test_an_object_that_may_be_listed_but_not_read_is_refused_before_a_byte_moves(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket.fill(FILES)
    with Proxy(bucket.endpoint, [Rule(Answer(403), method="HEAD", times=None)]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        with pytest.raises(SourceDenied, match=r"models/tiny/.* may not read it"):
            take(source(model), ANY)


@pytest.mark.parametrize(
    ("kind", "restored", "fine"),
    [("GLACIER", "", False), ("DEEP_ARCHIVE", 'ongoing-request="true"', False),
     ("GLACIER", 'ongoing-request="false", expiry-date="x"', True), ("STANDARD_IA", "", True)],
)  # fmt: skip
def test_an_archived_object_is_refused_unless_it_was_restored(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, kind: str, restored: str, fine: bool
) -> None:
    body = (
        f"<ListBucketResult><Contents><Key>m/config.json</Key><Size>2</Size><ETag>&quot;e&quot;"
        f"</ETag><StorageClass>{kind}</StorageClass></Contents></ListBucketResult>"
    )
    head = {
        "Content-Length": "2",
        "ETag": '"e"',
        **({"x-amz-restore": restored} if restored else {}),
    }
    rules = [
        Rule(Answer(200, {}, body.encode()), path="list-type", times=None),
        Rule(Answer(200, head, b"{}"), method="HEAD", times=None),
    ]
    with Proxy(bucket.endpoint, rules) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        found = source(f"s3://{bucket.name}/m")
        if fine:
            assert len(found.snapshot([file.path for file in found.listing().files]).files) == 1
        else:
            with pytest.raises(InputError, match=rf"archived \({kind}\); restore it first"):
                found.snapshot([file.path for file in found.listing().files])


def test_pages_that_do_not_go_on_end(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t"
    page += b"</NextContinuationToken></ListBucketResult>"
    with Proxy(bucket.endpoint, [Rule(Answer(200, {}, page), times=None)]) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        with pytest.raises(SourceError, match="the server's pages do not go on"):
            source(f"s3://{bucket.name}/m").listing()


def test_a_server_that_is_not_there_is_one_line(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"reach 127\.0\.0\.1:1: GET failed"):
        source(f"s3://{bucket.name}/m").listing()


def test_a_secret_is_in_no_error(bucket: Bucket) -> None:
    with pytest.raises(CarferryError) as caught:
        source(f"s3://no-{bucket.name}/m").listing()
    parts = repr((caught.value.args, caught.value.__cause__, caught.value.__cause__.__dict__))
    assert SECRET not in parts
    assert isinstance(S3Ref.parse("s3://bucket/m"), S3Ref)


def test_a_bucket_without_an_end_is_given_up(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "MOST_FILES", 1)
    model = bucket.fill(FILES)
    with pytest.raises(SourceNotFound, match="more than 1 files, no model has so many"):
        source(model).listing()
