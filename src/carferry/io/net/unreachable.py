"""One line for each way in which a connection fails: the name, the proxy, TLS, or the network."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping

import urllib3
from urllib3.exceptions import LocationValueError, ProxyError, SSLError

from carferry.errors import Unreachable
from carferry.io.net.proxies import Proxy, proxy_for

_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
_OTHER_NAME = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_OUT_OF_DATE = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_OURS = re.compile(r"ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA)")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})(.*)", re.DOTALL)
# urllib3 begins with the object that failed: "HTTPSConnection(host='x', port=443): Failed ...".
_CONNECTION = re.compile(r"^\w*Connection(?:Pool)?\(host=.{0,300}?\): ")
_CERTS_D = "/etc/containers/certs.d"
# What proxies put into answers of their own: RFC 9209, squid, proxy.py; tinyproxy its name.
_SIGNS = ("Proxy-Status", "X-Squid-Error", "Proxy-Agent")
_SERVERS = re.compile(r"tinyproxy|squid|mitmproxy|privoxy", re.IGNORECASE)


def unreachable(
    method: str, url: str, error: Exception, *, proxy: Proxy | None = None
) -> Unreachable:
    """Turn a connection failure into one line that names the host and the likely remedy.

    Args:
        method: Of the request.
        url: What was asked for.
        error: Of urllib3 or the socket.
        proxy: What it went through; default what the environment says.
    """
    host = urllib3.util.parse_url(url).netloc or url
    proxy, cause = proxy or proxy_for(url), root_of(error)
    if proxy and (found := _TUNNEL.search(str(cause))):
        return refused_by(proxy, host, int(found[1]))
    if proxy and isinstance(error, ProxyError):
        return _no_proxy(proxy, host, cause)
    if found_tls := _of_certificate(host, cause, proxy) or _of_tls(host, cause):
        return found_tls
    failure = _of_network(method, host, cause, proxy)
    # An address that no client can ask, such as ftp://, stays one.
    failure.temporary = not isinstance(error, LocationValueError)
    return failure


def answered(proxy: Proxy, url: str, status: int, headers: Mapping[str, str]) -> Unreachable | None:
    """Return the error for an answer that is the proxy's own, which only signs can tell.

    Args:
        proxy: What the request went through.
        url: What was asked for.
        status: Of the answer.
        headers: Likewise.
    """
    if not url.lower().startswith("http:"):
        return None  # what comes through a tunnel is the host's
    signed = any(name in headers for name in _SIGNS) or _SERVERS.match(headers.get("Server", ""))
    if status == 407 or (signed and status in {403, 502, 503, 504}):
        return refused_by(proxy, urllib3.util.parse_url(url).netloc or url, status)
    return None


def refused_by(proxy: Proxy, host: str, status: int) -> Unreachable:
    """Return the error for a proxy that lets a request not through.

    Args:
        proxy: The proxy.
        host: Where the request was to go.
        status: What it answered.
    """
    name = proxy.named_by
    reason, remedy = {
        407: _login(proxy),
        403: ("does not let through to it", f"have it allowed there, or list {host} in NO_PROXY"),
    }.get(status, ("", ""))
    if status in {502, 503, 504}:
        reason, remedy = "does not reach it", f"is the host right, and does {name} lead there?"
    if not reason:
        reason, remedy = "does not connect to it", f"is {name} the address of an HTTP proxy?"
    failure = Unreachable("reach", host, f"the proxy {proxy} {reason} ({status})", remedy)
    failure.temporary = status >= 500
    return failure


def _login(proxy: Proxy) -> tuple[str, str]:
    if proxy.authorization:
        remedy = f"check user and password in {proxy.named_by}; write @ as %40, : as %3A, % as %25"
        return "refuses the login", remedy
    return "asks for a login", f"write user:password@ before the host in {proxy.named_by}"


def _no_proxy(proxy: Proxy, host: str, cause: BaseException) -> Unreachable:
    remedy = f"check {proxy.named_by}"
    if isinstance(cause, (ssl.SSLError, SSLError)):
        plain = getattr(cause, "reason", "") in _NOT_TLS or "only HTTP" in str(cause)
        remedy += ": it speaks no TLS, write http://" if plain else "; trust it with --ca FILE"
    reason = f"the proxy {proxy} does not answer ({words_of(cause)})"
    failure = Unreachable("reach", host, reason, remedy)
    failure.temporary = not isinstance(cause, (ssl.SSLError, SSLError))
    return failure


def _of_certificate(host: str, cause: BaseException, proxy: Proxy | None) -> Unreachable | None:
    if _OURS.search(str(cause)):
        reason = f"it asks for a certificate of yours ({cause})"
        remedy = f"put client.cert and client.key into {_CERTS_D}/{host}"
    elif isinstance(cause, (ssl.SSLCertVerificationError, SSLError)) or "CERTIFICATE" in str(cause):
        reason = f"its certificate is not trusted ({cause})"
        remedy = _trusting(host, getattr(cause, "verify_code", 0), proxy)
    else:
        return None
    failure = Unreachable("connect to", host, reason, remedy)
    failure.temporary = False
    return failure


def _trusting(host: str, code: int, proxy: Proxy | None) -> str:
    if code in _OTHER_NAME:
        return "use a name that the certificate has"
    if code in _OUT_OF_DATE:
        return "have it renewed; is the clock of this machine right?"
    remedy = f"pass --ca FILE, set SSL_CERT_FILE, or put it into {_CERTS_D}/{host}"
    if proxy:
        remedy += f"; if the proxy {proxy} opens TLS, it is the proxy's authority that is missing"
    return remedy


def _of_tls(host: str, cause: BaseException) -> Unreachable | None:
    if not isinstance(cause, ssl.SSLError):
        return None
    remedy = "if it speaks plain HTTP: --plain-http HOST for a registry, http:// for others"
    failure = Unreachable("connect to", host, f"no TLS there ({cause})", remedy)
    # What answers in another protocol will do so again; a handshake that broke may go through.
    failure.temporary = cause.reason not in _NOT_TLS
    return failure


def _of_network(method: str, host: str, cause: BaseException, proxy: Proxy | None) -> Unreachable:
    if proxy:
        reason = f"{method} through the proxy {proxy} failed: {words_of(cause)}"
        remedy = f"are the host and {proxy.named_by} right?"
        return Unreachable("reach", host, reason, remedy)
    return Unreachable("reach", host, f"{method} failed: {words_of(cause)}", "is the host right?")


def root_of(error: BaseException) -> BaseException:
    """Return what is at the bottom of an error of urllib3, which wraps it several times."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return root_of(reason)
    for inner in error.args:
        if isinstance(inner, BaseException):
            return root_of(inner)
    return error


def words_of(cause: BaseException) -> str:
    """Return what a failure says, without the object that urllib3 puts before it."""
    text = _CONNECTION.sub("", str(cause).strip())
    return text if text else type(cause).__name__
