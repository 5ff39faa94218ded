"""How an API server is reached: by the same trust and the same proxy rule as everything else.

The official client trusts certifi's authorities or those of the kubeconfig, follows no variable
for proxies and reads no ``proxy-url``; so its pool is replaced by one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.config.kube_config import KubeConfigMerger

from carferry.io.net.certificates import Login, Named
from carferry.io.net.pools import open_pool
from carferry.io.net.proxies import Proxy
from carferry.io.net.trust import Trust

_PORT = 443
_CONNECTIONS = 8


def pool(
    settings: Any,
    proxy: Proxy | None,
    environ: Mapping[str, str],
    ca_file: Path | None = None,
    *,
    connections: int = _CONNECTIONS,
) -> urllib3.PoolManager:
    """Return the pool for one server.

    The server's own authority, as a kubeconfig or a pod has it, is trusted beside all others.

    Args:
        settings: ``Configuration`` of a generated client: host, certificates, what is verified.
        proxy: What every request goes through; None: nothing.
        environ: Variables that name certificates.
        ca_file: PEM certificates to trust besides.
        connections: That are kept.

    Raises:
        InputError: Certificates that are named and cannot be read.
    """
    url = urllib3.util.parse_url(settings.host)
    own = settings.ssl_ca_cert
    more = (Named(Path(own), "the cluster's authority"),) if own else ()
    login = None
    if settings.cert_file and settings.key_file:
        files = Path(settings.cert_file), Path(settings.key_file)
        login = Login.read(*files, "the login's certificate")
    if not settings.verify_ssl:  # whoever writes so into a kubeconfig knows
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    trust = Trust(ca_file, more, environ)
    host, port = (url.host or "").strip("[]"), url.port or _PORT
    context = trust.context(host, port, login=login, verify=settings.verify_ssl)
    names = {
        "assert_hostname": settings.assert_hostname,
        "server_hostname": getattr(settings, "tls_server_name", None),
    }
    given = {name: value for name, value in names.items() if value is not None}
    given |= {"retries": settings.retries, "maxsize": connections}
    return open_pool(context, proxy, trust.context(), **given)


def proxy_url(files: str, cluster: str) -> str:
    """Return the ``proxy-url`` of a cluster in kubeconfigs, which may be several; mostly empty.

    Raises:
        ConfigException: The kubeconfig is broken, or has no such cluster.
    """
    found = KubeConfigMerger(files).config["clusters"].get_with_name(cluster)["cluster"]
    return str(found.value.get("proxy-url") or "")
