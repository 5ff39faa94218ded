"""One trust store: every way to name an authority adds to the others, some for one host only."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
import yaml
from ferrying import carferry
from servers.certs import Certificates
from servers.kube import KubeServer
from servers.registry import Registry
from test_cluster_connect import kubeconfig

from carferry.cluster.api import connect
from carferry.errors import CarferryError, InputError, Unreachable
from carferry.io.net import trust
from carferry.io.net.certificates import Named
from carferry.io.net.http import Http
from carferry.io.net.trust import Trust


class Hello(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@dataclass
class Site:
    """A server with an authority of its own.

    Attributes:
        ca: Certificate of its authority.
        host: ``127.0.0.1:port``.
    """

    ca: Path
    host: str

    def answers(self, **how: object) -> bool:
        """Return whether it is trusted."""
        try:
            answer = Http(**how).request("GET", f"https://{self.host}/")  # type: ignore[arg-type]
        except Unreachable as error:
            assert "its certificate is not trusted" in str(error)
            return False
        answer.drain_conn()
        answer.release_conn()
        answer.close()
        return answer.status == 200


class sites:  # noqa: N801 - used as a function
    """Start servers; each has an authority of its own."""

    def __init__(
        self, folder: Path, count: int = 1, *, mutual: bool = False, between: bool = False
    ):
        self._folder, self._count, self._mutual = folder, count, mutual
        self._between = between
        self._running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def __enter__(self) -> list[Site]:
        return [self._start(number) for number in range(self._count)]

    def __exit__(self, *error: object) -> None:
        for server, thread in self._running:
            server.shutdown()
            server.server_close()
            thread.join()

    def _start(self, number: int) -> Site:
        authority = trustme.CA()
        if self._between:
            authority = authority.create_child_ca()
        ca = self._folder / f"ca-{number}.pem"
        authority.cert_pem.write_to_path(str(ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self._running.append((server, thread))
        return Site(ca, f"127.0.0.1:{server.server_port}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sites(tmp_path) as (one,):
        yield one


@pytest.fixture
def certs_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /etc/containers/certs.d."""
    monkeypatch.setattr(trust, "CERTS_D", (tmp_path / "certs.d",))
    return tmp_path / "certs.d"


def put(path: Path, text: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def certificates(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509"]


@pytest.mark.parametrize("name", [*trust.VARIABLES, "--ca"])
@pytest.mark.parametrize("shape", ["file", "folder", "hashed folder"])
def test_every_way_to_name_an_authority_takes_files_and_folders(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shape: str
) -> None:
    if name == "SSL_CERT_DIR" and shape == "file":
        pytest.skip("it names folders")
    named = site.ca
    if shape != "file":
        named = put(tmp_path / "folder" / "mine.crt", site.ca.read_bytes()).parent
        put(named / "README", b"no certificate")
    if shape == "hashed folder":
        put(named / f"{subject_hash(site.ca)}.0", site.ca.read_bytes())
    assert not site.answers()
    if name == "--ca":
        assert site.answers(ca_file=named)
    else:
        monkeypatch.setenv(name, str(named))
        assert site.answers()


def subject_hash(file: Path) -> str:
    if not (program := shutil.which("openssl")):
        pytest.skip("openssl is missing")
    command = [program, "x509", "-noout", "-hash", "-in", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_setting_one_never_takes_another_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certs_d: Path
) -> None:
    """OpenSSL lets SSL_CERT_FILE replace the system, requests one bundle another."""
    alone = certificates(Trust(environ={}).context())
    assert alone > 50, "this machine has a store"
    with sites(tmp_path, len(trust.VARIABLES) + 3) as found:
        *by_variable, option, own, service = found
        for name, each in zip(trust.VARIABLES, by_variable, strict=True):
            file = put(tmp_path / name / "x.crt", each.ca.read_bytes())
            monkeypatch.setenv(name, str(file.parent if name == "SSL_CERT_DIR" else file))
        put(certs_d / own.host / "ca.crt", own.ca.read_bytes())
        monkeypatch.setattr(trust, "SERVICE_CA", service.ca)
        assert all(each.answers(ca_file=option.ca) for each in found)
        assert certificates(Trust(option.ca).context()) == alone + len(found) - 1


def test_the_systems_store_is_found_past_what_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = ssl.get_default_verify_paths()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    assert trust.system() is not None
    elsewhere = type(default)(*["/nowhere"] * 6)  # the Python of uv or conda
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: elsewhere)
    assert trust.system() in trust._SYSTEM
    monkeypatch.setattr(trust, "_SYSTEM", ())
    assert str(trust.system()).endswith("cacert.pem")  # certifi's, where the system has none


@pytest.mark.parametrize("form", ["host:port", "home", "another port", "host alone", "another"])
def test_a_hosts_own_folder_is_for_that_host_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certs_d: Path, form: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with sites(tmp_path, 2) as (site, other):
        host, _, port = site.host.partition(":")
        place = {
            "host:port": certs_d / site.host,
            "home": tmp_path / "home/.config/containers/certs.d" / site.host,
            "another port": certs_d / f"{host}:{int(port) + 1}",
            "host alone": certs_d / host,  # which is port 443, for podman too
            "another": certs_d / "quay.io",
        }[form]
        put(place / "any.crt", site.ca.read_bytes() + other.ca.read_bytes())
        assert site.answers() is (form in ("host:port", "home"))
        assert not other.answers()


def test_a_folder_without_a_port_is_of_the_usual_one(certs_d: Path, site: Site) -> None:
    for name in ("quay.io", "docker.io"):
        put(certs_d / name / "ca.crt", site.ca.read_bytes())
    assert all(Trust().is_special(host, 443) for host in ("quay.io", "registry-1.docker.io"))
    assert not Trust().is_special("quay.io", 5000)
    assert not Trust().is_special("cdn.quay.io", 443)


def test_a_client_certificate_is_shown_to_its_host(
    tmp_path: Path, certs_d: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(tmp_path / "registry", tls=True, asks_for_certificates=True) as registry:
        made = registry.certificates
        assert made
        folder = put(certs_d / registry.host / "ca.crt", made.ca.read_bytes()).parent
        image = f"docker://{registry.host}/org/name:v1"
        refused = carferry(capsys, "inspect", image)
        assert refused.code == 1
        assert "it asks for a certificate of yours" in refused.err
        place = f"/etc/containers/certs.d/{registry.host}"
        assert f"put client.cert and client.key into {place}" in refused.err
        put(folder / "client.cert", made.chain.read_bytes())
        lacking = carferry(capsys, "inspect", image)
        assert lacking.code == 2 and "client.key is missing" in lacking.err
        put(folder / "client.key", b"no key")
        broken = carferry(capsys, "inspect", image)
        assert broken.code == 2 and "not a certificate and its key in PEM form" in broken.err
        put(folder / "client.key", made.key.read_bytes())
        assert "no such image or tag" in carferry(capsys, "inspect", image).err


def test_an_authority_in_between_is_enough(tmp_path: Path) -> None:
    """As for podman, docker and curl; companies hand out the one that signs."""
    with sites(tmp_path, between=True) as (site,):
        assert site.answers(ca_file=site.ca)
    assert not Trust().context().verify_flags & ssl.VERIFY_X509_STRICT


WRONG = {
    "missing": (None, "No such file or directory"),
    "empty": (b"", "holds no certificates in PEM form"),
    "a page": (b"<html>log in</html>", "holds no certificates in PEM form"),
    "DER": (b"\x30\x82\x01\x0a\x02\x82", "holds no certificates in PEM form"),
    "cut short": (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "holds no certificates in PEM form"),
}


@pytest.mark.parametrize("name", [*trust.VARIABLES, "--ca"])
@pytest.mark.parametrize("what", [*WRONG, "an empty folder"])
def test_what_is_named_and_is_none_is_wrong_input_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    name: str, what: str,
) -> None:  # fmt: skip
    """Left out silently, as OpenSSL does it, what follows is a refusal nobody understands."""
    file = tmp_path / "ca.crt"
    text, reason = WRONG.get(what, (b"", "a folder without .crt or .pem files"))
    if what == "an empty folder":
        file.mkdir()
    elif text is not None:
        file.write_bytes(text)
    more = []
    if name == "--ca":
        more, reason = ["--ca", file], reason.replace("No such file or directory", "no such file")
    else:
        monkeypatch.setenv(name, str(file))
    told = carferry(capsys, "inspect", "docker://127.0.0.1:1/a:1", *more)
    assert (told.code, told.err.count("\n")) == (2, 1)
    by = "--ca" if name == "--ca" else name
    assert f"read certificates {file}" in told.err and by in told.err
    assert reason in told.err, told.err


@pytest.mark.parametrize("name", trust.VARIABLES)
def test_an_empty_variable_names_nothing(name: str) -> None:
    assert Trust(environ={name: ""}).context() is Trust(environ={}).context()


def test_of_several_folders_those_that_are_there_count(tmp_path: Path, site: Site) -> None:
    """SSL_CERT_DIR in images lists the folders of several distributions."""
    mine = put(tmp_path / "folder" / "mine.pem", site.ca.read_bytes()).parent
    environ = {"SSL_CERT_DIR": f"/nowhere:{mine}"}
    assert certificates(Trust(environ=environ).context()) == 1 + certificates(
        Trust(environ={}).context()
    )


def test_a_replaced_file_is_read_again_and_the_same_one_is_not(tmp_path: Path, site: Site) -> None:
    file = put(tmp_path / "ca.pem", trustme.CA().cert_pem.bytes())
    first = Trust(file).context()
    assert Trust(file).context() is first
    put(file, site.ca.read_bytes() + b"\n")
    assert Trust(file).context() is not first
    assert site.answers(ca_file=file)


def test_a_certificate_for_another_name_says_so(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--ca would not help there."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca))
    port = site.host.partition(":")[2]
    told = carferry(capsys, "inspect", f"docker://localhost:{port}/a:1")
    assert "its certificate is not trusted" in told.err
    assert "use a name that the certificate has" in told.err and "--ca" not in told.err


@pytest.mark.parametrize("way", ["REQUESTS_CA_BUNDLE", "--ca", "authority in the kubeconfig"])
def test_a_cluster_is_trusted_by_the_same_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    """The official client trusts certifi, or the kubeconfig's authority and nothing else."""
    made = Certificates.make(tmp_path / "certs")
    other = put(tmp_path / "other.pem", trustme.CA().cert_pem.bytes())
    with KubeServer(tokens={"from-file"}, certificates=made) as server:
        file = kubeconfig(tmp_path / "config", server.url)
        document = yaml.safe_load(file.read_text())
        inside = made.ca if way == "authority in the kubeconfig" else other
        text = base64.b64encode(inside.read_bytes()).decode()
        document["clusters"][0]["cluster"]["certificate-authority-data"] = text
        file.write_text(yaml.safe_dump(document))
        more = ["--ca", made.ca] if way == "--ca" else []
        if way.isupper():
            monkeypatch.setenv(way, str(made.ca))
        told = carferry(capsys, "rights", "--kubeconfig", file, "--gpu", "L40S", *more)
        assert told.code == 0, told.err
        if way != "authority in the kubeconfig":
            monkeypatch.delenv(way, raising=False)
            with pytest.raises(CarferryError, match=r"not trusted .*pass --ca FILE, set SSL_CERT"):
                connect(kubeconfig=file).read("/version")


def test_a_kubeconfig_that_verifies_nothing_and_one_with_another_name_still_work(
    tmp_path: Path,
) -> None:
    made = Certificates.make(tmp_path / "certs")
    with KubeServer(tokens={"from-file"}, certificates=made) as server:
        file = kubeconfig(tmp_path / "config", server.url)
        document = yaml.safe_load(file.read_text())
        cluster = document["clusters"][0]["cluster"]
        cluster["insecure-skip-tls-verify"] = True
        file.write_text(yaml.safe_dump(document))
        assert connect(kubeconfig=file).whoami() == server.user
        del cluster["insecure-skip-tls-verify"]
        cluster |= {"tls-server-name": "x.site.test", "certificate-authority": str(made.ca)}
        file.write_text(yaml.safe_dump(document))
        assert connect(kubeconfig=file).whoami() == server.user
        cluster["tls-server-name"] = "elsewhere.test"
        file.write_text(yaml.safe_dump(document))
        with pytest.raises(Unreachable, match="use a name that the certificate has"):
            connect(kubeconfig=file).read("/version")


def test_a_bundle_that_a_kubeconfig_names_and_is_none_is_named(tmp_path: Path) -> None:
    file = put(tmp_path / "x.pem", b"none")
    more = (Named(file, "the cluster's authority"),)
    with pytest.raises(InputError, match=r"x.pem \(the cluster's authority\): holds no certificat"):
        Trust(more=more).context()
