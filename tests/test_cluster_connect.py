"""Connecting to a cluster, and the error if there is no configuration."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
import yaml
from serve_samples import settings
from servers.kube import KubeServer

from carferry.cluster.api import connect
from carferry.cluster.client import Cluster
from carferry.errors import ClusterError, InputError, Unreachable
from carferry.serve.objects import make_objects


def kubeconfig(path: Path, url: str) -> Path:
    contexts = [
        {"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "demo"}},
        {"name": "bare", "context": {"cluster": "c", "user": "u"}},
    ]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "from-file"}}],
        "contexts": contexts,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_kubeconfig_gives_address_token_and_namespace(tmp_path: Path) -> None:
    with KubeServer(tokens={"from-file"}) as server:
        cluster = Cluster.connect(kubeconfig=kubeconfig(tmp_path / "config", server.url))
        assert cluster.namespace == "demo"
        assert len(cluster.apply(make_objects(settings()))) == 3


def test_kubeconfig_is_found_through_the_environment(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    assert connect(environ={"KUBECONFIG": str(path)}).namespace == "demo"


def test_a_context_without_a_namespace_means_default(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    assert Cluster.connect(kubeconfig=path, context="bare").namespace == "default"


def test_a_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    with pytest.raises(InputError, match="stage"):
        Cluster.connect(kubeconfig=path, context="stage")


def test_no_kubeconfig_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kubeconfig there; log in .* or render"):
        connect(environ={"KUBECONFIG": str(tmp_path / "none")})


@pytest.mark.parametrize("text", ["", "[]", "{", "current-context: a\n"])
def test_a_broken_kubeconfig_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Cluster.connect(kubeconfig=path)
    assert "\n" not in str(caught.value)


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(InputError, match="write https"):
        Cluster.connect(host="api.example.com:6443")


POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-pod")
    (tmp_path / "namespace").write_text("demo\n")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    api = connect(environ=POD, service_account=tmp_path)
    assert (api.host, api.namespace) == ("https://10.0.0.1:443", "demo")


def test_a_pod_without_a_mounted_token_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mount the ServiceAccount token"):
        connect(environ=POD, service_account=tmp_path)


def test_an_unknown_certificate_is_unreachable_and_its_ca_opens_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    http = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{http.server_port}"
        with pytest.raises(Unreachable, match="certificate"):
            Cluster.connect(host=url).get(make_objects(settings())[0])
        trusting = Cluster.connect(host=url, ca_file=tmp_path / "ca.pem")
        with pytest.raises(ClusterError, match="418"):
            trusting.get(make_objects(settings())[0])
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def test_a_login_page_in_place_of_the_api_is_named_as_such() -> None:
    http = ThreadingHTTPServer(("127.0.0.1", 0), LoginPage)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        cluster = Cluster.connect(host=f"http://127.0.0.1:{http.server_port}/")
        with pytest.raises(ClusterError, match="not a Kubernetes object: '<html>"):
            cluster.apply(make_objects(settings()))
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class LoginPage(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_PATCH(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>log in</html>")


class Refusing(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self.send_error(418)
