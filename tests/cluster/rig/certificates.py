"""The certificates and keys of a node."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cluster.rig.settings import API_SERVICE, NODE_IP

_NAMES = ("127.0.0.1", API_SERVICE, NODE_IP, "localhost", "kubernetes", "kubernetes.default")
_SERVICE = "kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class Pair:
    """A server's certificate and its key, as a Secret holds them."""

    certificate: str
    key: str


def write_certificates(etc: Path) -> None:
    """Write the cluster's authority, the API server's certificate, the key that signs tokens."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(etc / "ca.crt"))
    authority.private_key_pem.write_to_path(str(etc / "ca.key"))
    issued = authority.issue_cert(*_NAMES, _SERVICE, f"{_SERVICE}.cluster.local")
    issued.cert_chain_pems[0].write_to_path(str(etc / "api.crt"))
    issued.private_key_pem.write_to_path(str(etc / "api.key"))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (etc / "accounts.key").write_bytes(key.private_bytes(*form))


def for_service(name: str) -> tuple[Pair, str]:
    """Return a certificate for a service's name, and the authority that vouches for it."""
    authority = trustme.CA()
    issued = authority.issue_cert(name, f"{name}.cluster.local")
    pair = Pair(_text(issued.cert_chain_pems[0]), _text(issued.private_key_pem))
    return pair, _text(authority.cert_pem)


def _text(pem: trustme.Blob) -> str:
    return base64.b64encode(pem.bytes()).decode()
