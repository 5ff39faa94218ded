"""One rule for proxies: which applies, what it may look like, and what it answers."""

from __future__ import annotations

import base64
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from ferrying import carferry
from servers import buckets
from servers.buckets import Bucket
from servers.certs import Certificates
from servers.dsp import PipelineServer
from servers.forward import ESCAPED, PASSWORD, USER, Forward, inside
from servers.hub import Hub
from servers.kube import KubeServer
from servers.models import tiny
from servers.proxy import Proxy as Reverse
from servers.registry import Registry
from test_cluster_connect import kubeconfig

from carferry.cluster.api import connect
from carferry.cluster.client import Cluster
from carferry.errors import CarferryError, InputError, Unreachable
from carferry.io.net.http import Http
from carferry.io.net.proxies import Proxy, proxy_for
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint
from carferry.source.open import Reach, open_source

FAR = "https://huggingface.co/api"
SECRETS = (PASSWORD, ESCAPED, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def chosen(url: str, environ: Mapping[str, str]) -> str:
    """Return the proxy that a request goes through, with who named it; empty for none."""
    return str(proxy_for(url, environ) or "")


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, FAR, ""),
        ({"HTTPS_PROXY": "http://p:1"}, FAR, "http://p:1 (HTTPS_PROXY)"),
        ({"https_proxy": "http://p:1"}, FAR, "http://p:1 (https_proxy)"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, FAR, "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up:1", "ALL_PROXY": "http://a:1"}, FAR, ""),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://a:1"}, FAR, "http://a:1 (ALL_PROXY)"),
        ({"all_proxy": "http://a:1"}, "http://quay.io/", "http://a:1 (all_proxy)"),
        ({"HTTP_PROXY": "http://p:1"}, FAR, ""),
        ({"HTTPS_PROXY": "http://p:1"}, "http://quay.io/", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://quay.io/", "http://p:1 (HTTP_PROXY)"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://quay.io/", ""),
        ({"HTTP_PROXY": "socks5://p:1", "HTTPS_PROXY": "http://p:1"}, FAR, "http://p:1"),
        *(
            ({"ALL_PROXY": "http://p:1"}, url, "")
            for url in (
                "http://localhost:5000/", "http://127.0.0.1/", "http://127.9.8.7:1/",
                "https://[::1]:6443/", "http://LOCALHOST./", "http://registry.localhost/",
                "http://[::ffff:127.0.0.1]/",
            )
        ),
    ],
)  # fmt: skip
def test_the_variable_that_applies(environ: dict[str, str], url: str, expected: str) -> None:
    assert chosen(url, environ).startswith(expected) if expected else not chosen(url, environ)


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("https://10.9.8.7/api", False),
        ("https://10.0.0.1:6443/", False),
        ("https://minio.data.svc:9000/", False),
        ("https://minio.data.svc.cluster.local/", False),
        ("https://kubernetes.default/", True),
        ("http://ml-pipeline:8888/", False),
        ("https://quay.io/", True),
        ("https://svc.example.com/", True),
        ("https://10.0.0.2/", True),
    ],
)
def test_nothing_in_a_pods_own_cluster_is_proxied(url: str, proxied: bool) -> None:
    pod = {"ALL_PROXY": "http://p:1", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "NO_PROXY": "10.9.8.7"}
    assert bool(chosen(url, pod)) is proxied
    outside = {"ALL_PROXY": "http://p:1"}
    assert chosen(url, outside)


@pytest.mark.parametrize(
    ("entry", "excepted", "others"),
    [
        ("*", ["https://quay.io/", "http://10.1.1.1/"], []),
        ("quay.io", ["https://quay.io/", "https://cdn.quay.io/"], ["https://notquay.io/"]),
        (".quay.io", ["https://quay.io/", "https://cdn.quay.io/"], ["https://quay.io.evil.com/"]),
        ("*.quay.io", ["https://cdn.quay.io/", "https://a.b.quay.io/"], ["https://xquay.io/"]),
        ("QUAY.IO", ["https://quay.io/", "https://Quay.IO/"], []),
        ("quay.io.", ["https://quay.io/", "https://quay.io./"], []),
        ("https://quay.io/", ["https://quay.io/"], ["https://gcr.io/"]),
        ("quay.io:8443", ["https://quay.io:8443/"], ["https://quay.io/"]),
        ("quay.io:443", ["https://quay.io/"], ["http://quay.io/", "https://quay.io:8443/"]),
        ("10.0.0.0/8", ["http://10.200.3.4/"], ["http://11.0.0.1/", "http://10.example.com/"]),
        ("10.1.2.3/8", ["http://10.200.3.4/"], ["http://11.0.0.1/"]),
        ("10.1.2.3", ["http://10.1.2.3:5000/"], ["http://10.1.2.30/"]),
        ("10.*", ["http://10.1.2.3/"], ["http://110.1.2.3/"]),
        ("10.1.2.3:5000", ["http://10.1.2.3:5000/"], ["http://10.1.2.3/"]),
        ("fd00::/8", ["http://[fd12::1]:5000/"], ["http://[fe80::1]/"]),
        ("[fd12::1]", ["http://[fd12::1]:5000/"], ["http://[fd12::2]/"]),
        ("[fd12::1]:5000", ["http://[fd12::1]:5000/"], ["http://[fd12::1]/"]),
        ("fd12::1", ["http://[fd12::1]:5000/"], ["http://[fd12::2]/"]),
        ("mirror-*.corp", ["https://mirror-3.corp/"], ["https://mirror.corp/"]),
        ("10.0.0.0/99, quay.io", ["https://quay.io/"], ["http://10.0.0.1/"]),
        (" a.b\tquay.io , ,c.d ", ["https://quay.io/", "https://a.b/", "https://c.d/"], []),
        (",", [], ["https://quay.io/"]),
        (".", [], ["https://quay.io/"]),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_in_every_form_that_is_in_use(
    name: str, entry: str, excepted: list[str], others: list[str]
) -> None:
    environ = {"ALL_PROXY": "http://p:1", name: entry}
    assert [chosen(url, environ) for url in excepted] == [""] * len(excepted)
    assert all(chosen(url, environ) for url in others)


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("proxy:3128", "http://proxy:3128", None),
        ("proxy", "http://proxy:80", None),
        (" http://Proxy.Corp:3128/ ", "http://proxy.corp:3128", None),
        ("HTTP://proxy:3128", "http://proxy:3128", None),
        ("https://proxy", "https://proxy:443", None),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080", None),
        ("[fd00::1]:3128", "http://[fd00::1]:3128", None),
        ("me:secret@proxy:3128", "http://proxy:3128", b"me:secret"),
        ("http://me:p%40ss%3Aw%2Frd%25@proxy:3128", "http://proxy:3128", b"me:p@ss:w/rd%"),
        ("http://me:p@ss/w#rd?@proxy:3128", "http://proxy:3128", b"me:p@ss/w#rd?"),
        ("http://corp%5Cme:x@proxy", "http://proxy:80", rb"corp\me:x"),
        ("http://me:%zz@proxy", "http://proxy:80", b"me:%zz"),
        ("http://me:g%C3%BCn@proxy", "http://proxy:80", "me:gün".encode()),
        ("http://me@proxy:1", "http://proxy:1", b"me:"),
    ],
)
def test_a_proxy_in_every_form_that_is_in_use(text: str, url: str, login: bytes | None) -> None:
    proxy = Proxy.parse(text, "HTTPS_PROXY")
    expected = f"Basic {base64.b64encode(login).decode()}" if login else ""
    assert (proxy.url, proxy.authorization) == (url, expected)
    assert "secret" not in f"{proxy}{proxy!r}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("http://proxy:99999", "no port: '99999'; use 1 to 65535"),
        ("http://proxy:0", "no port: '0'; use 1 to 65535"),
        ("proxy:abc", "no port: 'abc'; use 1 to 65535"),
        ("http://", "no host and port in it; write http://host:port"),
        ("http:proxy", "no port: 'proxy'"),
        ("http://a b:1", "no host and port in it"),
        ("http://me:secret@", "no host and port in it"),
        ("fd00::1", "no port: ':1'"),
        ("ftp://proxy:1", "ftp:// is no proxy that is spoken to"),
        *(
            (f"{kind}://me:secret@proxy:1080", f"{kind}:// is a SOCKS proxy, and only HTTP proxies")
            for kind in ("socks4", "socks5", "socks5h", "socks")
        ),
    ],
)
def test_what_is_no_proxy_is_wrong_input_in_one_line_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    told = carferry(capsys, "inspect", "docker://quay.io/org/name:v1")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert f"use the proxy of HTTPS_PROXY: {line}" in told.err
    assert "secret" not in told.err


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A real S3 server that takes no part of its name for a bucket."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")
        with buckets.s3_server() as found:
            yield found


@pytest.fixture(params=[False, True], ids=["open", "with a login"])
def forward(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Forward]:
    """The only way to the site, named by the variables."""
    with Forward(tmp_path / "forward", login=request.param) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        yield proxy


def test_a_build_from_a_hub_to_a_registry_goes_through_the_proxy(
    forward: Forward, hub: Hub, registry_tls: Registry,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    hub.add("org/tiny", tiny())
    monkeypatch.setenv("HF_ENDPOINT", inside(hub.endpoint, "hub"))
    assert registry_tls.certificates
    place = inside(registry_tls.host, "registry")
    how = ["--base", "scratch", "--ca", registry_tls.certificates.ca]
    told = carferry(capsys, "build", "org/tiny", f"docker://{place}/org/tiny:v1", *how)
    assert told.code == 0, told.err
    assert "v1" in registry_tls.tags("org/tiny")
    assert forward.saw(f"CONNECT {place}")
    assert forward.saw(f"GET {inside(hub.endpoint, 'hub')[7:]}/api")
    assert not any(secret in told.err + told.out for secret in SECRETS)


def test_the_hub_by_tls_goes_through_the_proxy(
    forward: Forward, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny", tiny())
    made = Certificates.make(tmp_path / "certs")
    with over_tls(hub.endpoint, made) as port:
        monkeypatch.setenv("HF_ENDPOINT", f"https://hub.site.test:{port}")
        assert open_source("org/tiny", reach=Reach(ca_file=made.ca)).listing().files
        assert forward.saw(f"CONNECT hub.site.test:{port}")


def test_a_bucket_is_read_through_the_proxy(
    forward: Forward, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bucket.fill(tiny())
    monkeypatch.setenv("AWS_S3_ENDPOINT", inside(bucket.endpoint, "s3"))
    assert open_source(model).listing().files
    assert forward.saw(f"GET {inside(bucket.host, 's3')}/{bucket.name}")


def test_a_cluster_is_asked_through_the_proxy(forward: Forward, tmp_path: Path) -> None:
    made = Certificates.make(tmp_path / "certs")
    with KubeServer(tokens={"from-file"}, certificates=made) as server:
        url = inside(server.url, "api")
        file = kubeconfig(tmp_path / "config", url)
        api = connect(kubeconfig=file, ca_file=made.ca)
        assert api.whoami() == server.user
    assert forward.saw(f"CONNECT {url.removeprefix('https://')}")


def test_a_pipeline_is_started_through_the_proxy(
    forward: Forward, package: Path, tmp_path: Path
) -> None:
    made = Certificates.make(tmp_path / "certs")
    with PipelineServer(certificate=(made.chain, made.key)) as server:
        url = inside(server.url, "pipelines")
        endpoint = Endpoint(url, "models", ca=made.ca)
        given = {"model": "org/name", "image": "docker://registry.example/team/model:1"}
        assert submit.start(endpoint, package, given).id in server.store.runs
    assert forward.saw(f"CONNECT {url.removeprefix('https://')}")


def test_a_proxy_that_opens_tls_is_thought_of(
    forward: Forward, registry_tls: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it shows is signed by an authority of its own, which nobody would think to name."""
    place = inside(registry_tls.host, "registry")
    told = carferry(capsys, "inspect", f"docker://{place}/org/name:v1")
    assert told.code == 1
    assert f"or put it into /etc/containers/certs.d/{place}; if the proxy http://" in told.err
    assert "(HTTPS_PROXY) opens TLS, it is the proxy's authority that is missing" in told.err
    assert PASSWORD not in told.err


def test_a_kubeconfigs_own_proxy_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubectl follows it whatever the variables say; the official client does not know it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    made = Certificates.make(tmp_path / "certs")
    with (
        KubeServer(tokens={"from-file"}, certificates=made) as server,
        Forward(tmp_path / "forward", login=True) as proxy,
    ):
        file = kubeconfig(tmp_path / "config", inside(server.url, "api"))
        document = yaml.safe_load(file.read_text())
        document["clusters"][0]["cluster"] |= {
            "proxy-url": proxy.url,
            "certificate-authority-data": base64.b64encode(made.ca.read_bytes()).decode(),
        }
        file.write_text(yaml.safe_dump(document))
        assert connect(kubeconfig=file).whoami() == server.user
        assert proxy.saw("CONNECT api.site.test")
        document["clusters"][0]["cluster"]["proxy-url"] = "socks5://127.0.0.1:1"
        file.write_text(yaml.safe_dump(document))
        with pytest.raises(InputError, match=r"use the proxy of proxy-url in .*SOCKS"):
            Cluster.connect(kubeconfig=file)


def test_a_proxy_that_speaks_tls_is_trusted_as_all_others_are(
    registry_tls: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Certificates.make(tmp_path / "certs")
    assert registry_tls.certificates
    with Forward(tmp_path / "forward", login=True, certificates=made) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        url = f"{inside(registry_tls.url, 'registry')}/v2/"
        with pytest.raises(Unreachable, match=r"VERIFY_FAILED.*check HTTPS_PROXY; trust it with"):
            Http(ca_file=registry_tls.certificates.ca).request("GET", url)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
        answer = Http(ca_file=registry_tls.certificates.ca).request("GET", url)
        assert answer.status == 200
        answer.close()
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("https:", "http:"))
        with pytest.raises(Unreachable, match="HTTPS_PROXY"):
            Http(ca_file=registry_tls.certificates.ca).request("GET", url)


class Answering(BaseHTTPRequestHandler):
    """What calls itself a proxy, and answers everything the same."""

    status, page, server_version = 403, b"<html><b>Blocked</b> by the firewall</html>", "squid/6.6"

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def answer(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    do_CONNECT = do_GET = do_HEAD = do_POST = answer  # noqa: N815


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Start such a proxy by the status that it answers with."""
    running = []

    def start(status: int) -> str:
        kind = type("Answers", (Answering,), {"status": status})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        return f"http://{USER}:{SECRETS[1].partition(':')[2]}@127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


LINES = {
    403: (r"does not let through to it \(403\); have it allowed there, or list .* in NO_PROXY", 1),
    407: (r"refuses the login \(407\); check user and password in HTTPS?_PROXY; write @ as %40", 1),
    502: (r"does not reach it \(502\); is the host right, and does HTTPS?_PROXY lead there\?", 1),
    503: (r"does not reach it \(503\); is the host right", 1),
    405: (r"does not connect to it \(405\); is HTTPS_PROXY the address of an HTTP proxy\?", 1),
}


@pytest.mark.parametrize("status", LINES)
@pytest.mark.parametrize("what", ["registry", "hub", "s3", "cluster"])
def test_a_proxy_that_refuses_is_named_with_its_variable(
    what: str, status: int, answering: Callable[[int], str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_home: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("HTTPS_PROXY", answering(status))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    line = LINES[status][0]
    told = ""
    if what == "registry":
        seen = carferry(capsys, "inspect", "docker://quay.site.test/org/name:v1")
        assert seen.code == 1
        told = seen.err.splitlines()[-1]
    elif what == "cluster":
        with pytest.raises(CarferryError) as caught:
            connect(kubeconfig=kubeconfig(tmp_path / "c", "https://api.site.test:6443")).read("/")
        told = str(caught.value)
    else:
        buckets.connect(monkeypatch, own_home, "https://s3.site.test")
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.site.test")
        with pytest.raises(CarferryError) as caught:
            open_source("org/name" if what == "hub" else "s3://bucket/x").listing()
        told = str(caught.value)

    assert re.search(rf"the proxy http://\*\*\*@127.0.0.1:\d+ \(HTTPS_PROXY\) {line}", told), told
    assert not any(secret in told for secret in SECRETS)


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_an_answer_of_the_proxys_own_is_not_taken_for_the_servers(
    status: int, answering: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", answering(status))
    with pytest.raises(Unreachable, match=rf"the proxy .*\({status}\)") as caught:
        Http().request("GET", "http://registry.site.test/v2/")
    assert caught.value.temporary is (status >= 500)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:secret@127.0.0.1:9")
    for url in (FAR, "http://quay.io/"):
        with pytest.raises(Unreachable) as caught:
            Http().request("GET", url)
        words = r"the proxy http://***@127.0.0.1:9 (ALL_PROXY) does not answer"
        assert words in str(caught.value) and "check ALL_PROXY" in str(caught.value)
        assert "secret" not in str(caught.value)


class over_tls:  # noqa: N801 - used as a function
    """Put TLS before a server that has none; yields the port."""

    def __init__(self, url: str, made: Certificates) -> None:
        self._url, self._made = url, made

    def __enter__(self) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._made.chain, self._made.key)
        self._reverse = Reverse(self._url)
        server = self._reverse._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self._reverse.__enter__()
        return int(self._reverse.host.rpartition(":")[2])

    def __exit__(self, *error: object) -> None:
        self._reverse.__exit__(None, None, None)
