"""A token server for the registry's bearer login: checks a password, signs what it grants.

Source: the distribution project's token authentication specification (jwt.md); the key travels
in ``x5c`` and is checked against the registry's ``rootcertbundle``.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509 import load_pem_x509_certificate

from servers.certs import Certificates
from servers.serving import Handler, Serving

ISSUER = "carferry-tests"
SERVICE = "registry-of-the-tests"
LEEWAY_S = 60  # distribution accepts a token this long after it expired


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """The Authorization header."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class TokenServer(Serving):
    """Grants everything asked for to one login, and pulls without a login if ``anonymous``.

    Attributes:
        realm: The URL for the registry's challenge.
        lifetime_s: Seconds until the registry refuses a token that was issued now.
        only: Actions ever granted, for example ``{"pull"}`` for a login that may not push.
        anonymous: Whether a request without a login gets a token (for pulls alone).
        robots: More logins, with the actions that each is granted.
    """

    def __init__(self, login: Login, certificates: Certificates) -> None:
        super().__init__(type("_Bound", (_TokenHandler,), {"tokens": self}))
        self.login, self.lifetime_s, self.anonymous = login, 300, False
        self.only = frozenset({"pull", "push", "delete", "*"})
        self.robots: dict[Login, frozenset[str]] = {}
        self.realm = f"{self.endpoint}/token"
        key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the token server signs with ES256")
        self._key = key
        chain = load_pem_x509_certificate(certificates.chain.read_bytes())
        der = chain.public_bytes(serialization.Encoding.DER)
        self._header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}

    def issue(self, scopes: list[str], allowed: frozenset[str]) -> dict[str, Any]:
        """Return the token document for scopes like ``repository:org/name:pull,push``."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": self.login.user,
            "nbf": now - 2 * LEEWAY_S,
            "iat": now,
            "exp": now + self.lifetime_s - LEEWAY_S,
            "jti": str(time.monotonic_ns()),
            "access": [_access(scope, allowed) for scope in scopes],
        }
        return {"token": self._sign(claims), "expires_in": self.lifetime_s}

    def _sign(self, claims: dict[str, Any]) -> str:
        text = (
            f"{_encode(json.dumps(self._header).encode())}.{_encode(json.dumps(claims).encode())}"
        )
        der = self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return f"{text}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class _TokenHandler(Handler):
    tokens: TokenServer

    def answer(self) -> None:
        body = self.body()
        query = parse_qs(urlsplit(self.path).query) | parse_qs(body.decode())
        allowed = self._allowed(query)
        if allowed is None:
            self.reply(401, b'{"details": "incorrect username or password"}')
            return
        scopes = [scope for given in query.get("scope", []) for scope in given.split()]
        document = self.tokens.issue(scopes, allowed)
        self.reply(200, json.dumps(document).encode(), Content_Type="application/json")

    def _allowed(self, query: dict[str, list[str]]) -> frozenset[str] | None:
        login = self.tokens.login
        given = self.headers.get("Authorization")
        if "password" in query:
            pair = Login(query.get("username", [""])[0], query["password"][0])
            given = pair.basic
        if given is None and self.tokens.anonymous:
            return frozenset({"pull"})
        for robot, allowed in self.tokens.robots.items():
            if given == robot.basic:
                return allowed
        return self.tokens.only if given == login.basic else None


def _access(scope: str, allowed: frozenset[str]) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {
        "type": kind,
        "name": name,
        "actions": [action for action in actions.split(",") if action in allowed],
    }


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
