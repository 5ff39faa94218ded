"""From a bucket to an image: found, reused, traced, and no key in anything that is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ferrying import carferry, from_folder, hashes, left_behind, manifest, model_files, to_layout
from servers.buckets import ACCESS, SECRET, Bucket
from servers.certs import Certificates
from servers.chaos import Answer, ResetDownload, Rule
from servers.models import tiny
from servers.proxy import Proxy

import carferry as api
from carferry.errors import InputError, Unreachable
from carferry.source.open import Reach, open_source
from carferry.source.origin import RECORD
from carferry.source.s3.connection import FOLDER, Connection


@pytest.mark.parametrize("format", ["modelcar", "modelpack"])
def test_a_model_in_a_bucket_becomes_an_image_in_one_command(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    model, layout = bucket.fill(tiny()), tmp_path / "out"
    how = ("--base", "scratch", "--format", format)
    done = carferry(capsys, "build", model, f"oci:{layout}:v1", *how)
    assert (done.code, "Traceback" in done.err) == (0, False)
    target = to_layout(layout)
    if format == "modelcar":
        assert model_files(target) == hashes(tiny())
    facts = manifest(target).annotations
    assert facts["dev.carferry.source"] == f"{model}?endpoint={bucket.host}"
    written = (
        done.out
        + done.err
        + "".join(
            path.read_bytes().decode("latin-1") for path in layout.rglob("*") if path.is_file()
        )
    )
    assert [key for key in (ACCESS, SECRET) if key in written] == []


def test_a_second_build_moves_nothing_and_a_changed_object_its_layer(
    bucket: Bucket, tmp_path: Path
) -> None:
    files = tiny() | {"tokenizer.json": b"{" + b" " * (2 << 20) + b"}"}  # a layer of its own
    model, image = bucket.fill(files), f"oci:{tmp_path / 'out'}:v1"
    first = api.build(model, image, base="scratch")
    again = api.build(model, image, base="scratch", reuse="tag")
    assert (again.digest, again.moved_bytes) == (first.digest, 0)
    bucket.put("models/tiny/config.json", tiny()["config.json"] + b" ")
    changed = api.build(model, image, base="scratch", reuse="tag")
    assert 0 < changed.moved_bytes < first.moved_bytes
    assert changed.digest != first.digest


def test_what_a_bucket_names_by_tags_alone_cannot_be_proved_and_moves_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    first = api.build(model, image, base="scratch")
    again = api.build(model, image, base="scratch")
    assert (again.digest, again.moved_bytes) == (first.digest, first.moved_bytes)


@pytest.mark.parametrize("reuse", ["none", "tag"])
@pytest.mark.parametrize("format", ["modelcar", "modelpack"])
def test_what_the_objects_were_is_recorded_and_can_be_compared(
    bucket: Bucket, tmp_path: Path, reuse: str, format: str
) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    for _ in range(2):
        built = api.build(model, image, base="scratch", format=format, reuse=reuse)
    found = api.inspect(built.reference, verify=True)
    assert found.flaws == ()


def test_workers_share_a_build_from_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    assert api.plan(model, image, base="scratch", workers=2).model == model
    how = {"base": "scratch", "run": "0123456789abcdef"}
    for share in ("1/2", "2/2"):
        api.stream(model, image, share, **how)
    assert api.seal(model, image, **how).moved_bytes == 0
    assert model_files(to_layout(tmp_path / "out")) == hashes(tiny())


@pytest.mark.parametrize("reuse", ["none", "tag"])
def test_what_workers_read_is_recorded_by_the_sealer(
    bucket: Bucket, tmp_path: Path, reuse: str
) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    how = {"base": "scratch", "run": "0123456789abcdef", "reuse": reuse}
    for share in ("1/2", "2/2"):
        api.stream(model, image, share, **how)
    built = api.seal(model, image, **how)
    assert api.inspect(built.reference, verify=True).flaws == ()
    written = manifest(to_layout(tmp_path / "out")).data.decode()
    assert "etag:" not in written


def test_workers_of_a_bucket_need_a_runs_secret_and_say_so(bucket: Bucket, tmp_path: Path) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    with pytest.raises(InputError, match="--run"):
        api.stream(model, image, "1/2", base="scratch")
    with pytest.raises(InputError, match="--run"):
        api.seal(model, image, base="scratch")


def test_an_image_is_not_compared_with_tags_that_no_bytes_have(
    bucket: Bucket, tmp_path: Path
) -> None:
    model, image = bucket.fill(tiny()), f"oci:{tmp_path / 'out'}:v1"
    built = api.build(model, image, base="scratch")
    with pytest.raises(InputError, match="entity tag"):
        api.inspect(built.reference, model=model)


def test_an_object_replaced_while_it_moves_leaves_no_image(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    model, layout = bucket.fill(tiny()), tmp_path / "out"
    gone = Answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
    key = r"/model.*\.safetensors$"
    rules = [Rule(ResetDownload(at=10), "GET", key), Rule(gone, "GET", key, 2, None)]
    with Proxy(bucket.endpoint, rules) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        done = carferry(capsys, "build", model, f"oci:{layout}:v1", "--base", "scratch")
    assert done.code == 1
    assert "its etag is no longer that of the listing; run again once nobody writes" in done.err
    assert left_behind(layout) == []


def test_a_downloaded_model_is_of_its_bytes_and_knows_its_bucket(
    bucket: Bucket, tmp_path: Path
) -> None:
    """An entity tag is not taken along: what is on disk can be hashed, and is from then on."""
    model, folder = bucket.fill(tiny()), tmp_path / "model"
    got = api.download(model, folder)
    assert got.moved_bytes == got.size_bytes == sum(map(len, tiny().values()))
    assert {
        each[2].partition(":")[0] for each in json.loads((folder / RECORD).read_text())["files"]
    } == {"sha256"}
    snapshot = from_folder(folder).snapshot(sorted(tiny()))
    assert snapshot.place == f"{model}?endpoint={bucket.host}"
    (folder / "config.json").write_bytes(b"{}")
    assert from_folder(folder).snapshot(sorted(tiny())).place == ""


def test_a_fit_is_planned_from_a_bucket(bucket: Bucket) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
              "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 512,
              "torch_dtype": "bfloat16"}  # fmt: skip
    model = bucket.fill(tiny() | {"config.json": json.dumps(config).encode()})
    assert api.fit(model, gpus="L40S", max_model_len=512).verdict


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("plan", "s3://{0}/nothing", "oci:out:1"), "no object has this prefix"),
        (
            ("build", "s3://{0}/models", "oci:out:1", "--revision", "v1"),
            "only the hub has a revision 'v1'",
        ),
        (("build", "s3://a:b@{0}/models", "oci:out:1"), "neither keys nor an ARN"),
    ],
)
def test_wrong_addresses_end_with_2_and_one_line(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    bucket.fill(tiny())
    done = carferry(capsys, *(each.format(bucket.name) for each in arguments))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert line in done.err


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['botocore'] = None; from carferry.cli import main; "
        "sys.exit(main(['plan', 's3://bucket/m', 'oci:out:1', '--base', 'scratch']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "carferry: read from S3: botocore is not installed; pip install 'botocore>=1.36'\n"
    )


def test_reading_from_the_hub_or_a_folder_loads_no_botocore(tmp_path: Path) -> None:
    code = (
        "import sys, carferry.source.open as o; o.check_model('s3://bucket/m'); "
        "o.open_source('./m'); o.open_source('org/name'); "
        "print([n for n in sys.modules if n.startswith('botocore')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# How the server is reached.


@pytest.mark.parametrize(
    ("environ", "endpoint", "region"),
    [
        ({}, "", ""),
        ({"AWS_S3_ENDPOINT": "minio.example:9000"}, "https://minio.example:9000", ""),
        ({"AWS_S3_ENDPOINT": " http://minio:9000/ "}, "http://minio:9000", ""),
        ({"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_S3": "https://b"}, "https://b", ""),
        ({"AWS_ENDPOINT_URL": "https://a"}, "https://a", ""),
        ({"AWS_S3_ENDPOINT": "https://s3.amazonaws.com/"}, "", ""),
        ({"AWS_S3_ENDPOINT": "s3.cn-north-1.amazonaws.com.cn"}, "", ""),
        ({"AWS_S3_ENDPOINT": "https://amazonaws.com.evil.example"},
         "https://amazonaws.com.evil.example", ""),
        ({"AWS_REGION": "eu-west-1"}, "", "eu-west-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "", "eu-west-2"),
    ],
)  # fmt: skip
def test_the_environment_says_where_the_server_is(
    environ: dict[str, str], endpoint: str, region: str
) -> None:
    found = Connection.find(environ)
    assert (found.endpoint, found.region) == (endpoint, region)


@pytest.mark.parametrize("url", ["ftp://host", "https://user:hunter2@host", "https://", "a b:c"])
def test_an_endpoint_that_is_none_is_refused_unrepeated(url: str) -> None:
    with pytest.raises(InputError, match="write AWS_S3_ENDPOINT as https://host") as caught:
        Connection.find({"AWS_S3_ENDPOINT": url})
    assert "hunter2" not in str(caught.value)


def secret(folder: Path, bucket: Bucket, **changes: str) -> Path:
    """Write a dashboard's connection as a pod has it mounted."""
    folder.mkdir()
    keys = {
        "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET + "\n",
        "AWS_S3_ENDPOINT": bucket.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_S3_BUCKET": bucket.name,
    }  # fmt: skip
    for name, text in (keys | changes).items():
        if text:
            (folder / name).write_text(text)
    return folder


def test_a_mounted_connection_is_all_that_is_needed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket.fill(tiny())
    for name in ("AWS_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(FOLDER, str(secret(tmp_path / "secret", bucket)))
    found = Connection.find()
    assert (found.access_key, found.secret_key) == (ACCESS, SECRET)
    assert SECRET not in repr(found)
    assert len(open_source("s3:///models/tiny").listing().files) == len(tiny())


def test_half_a_connection_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    folder = secret(tmp_path / "secret", bucket, AWS_SECRET_ACCESS_KEY="")
    with pytest.raises(InputError, match="AWS_SECRET_ACCESS_KEY: missing in the Secret"):
        Connection.find({FOLDER: str(folder)})


def test_a_profile_is_taken_as_for_every_client(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    bucket.fill(tiny())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    text = f"[team]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    (own_home / "aws-credentials").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "team")
    with Proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        open_source(f"s3://{bucket.name}/models/tiny").listing()
        assert f"Credential={ACCESS}/" in proxy.log[0].headers["authorization"]
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(InputError, match=r"config profile \(nobody\) could"):
            open_source(f"s3://{bucket.name}/models/tiny")


def test_a_public_bucket_needs_no_keys(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.fill(tiny())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with Proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.endpoint)
        open_source(f"s3://{bucket.name}/models/tiny").listing()
        assert "authorization" not in proxy.log[0].headers
        proxy.arm([Rule(Answer(403), times=None)])
        with pytest.raises(InputError, match="closed to the public, and no credentials were found"):
            open_source(f"s3://{bucket.name}/models/tiny").listing()


@pytest.mark.parametrize("way", ["ca_file", "AWS_CA_BUNDLE", "SSL_CERT_FILE", ""])
def test_a_servers_own_authority_is_trusted_where_it_is_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    import ssl

    bucket.fill(tiny())
    made = Certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    proxy = Proxy(bucket.endpoint)
    proxy._server.socket = context.wrap_socket(proxy._server.socket, server_side=True)
    with proxy:
        monkeypatch.setenv("AWS_S3_ENDPOINT", proxy.host)  # https unless it says otherwise
        if way.isupper():
            monkeypatch.setenv(way, str(made.ca))
        ca_file = made.ca if way == "ca_file" else None
        model = f"s3://{bucket.name}/models/tiny"
        if way:
            assert open_source(model, reach=Reach(ca_file=ca_file)).listing().files
        else:
            with pytest.raises(Unreachable, match="certificate is not trusted"):
                open_source(model).listing()
