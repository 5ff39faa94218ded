"""How the hub is reached: its address from ``HF_ENDPOINT``, and the token.

Where the token comes from is huggingface_hub's to say (``HF_TOKEN``, ``HF_TOKEN_PATH``, a login
by browser); what is sent has to be one, or the request fails inside the HTTP library.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from huggingface_hub import constants, get_token

from carferry.errors import InputError
from carferry.source.snapshot import PUBLIC_HUB

# RFC 6750, section 2.1 (b64token).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_BLANK = " \t\r\n\0\ufeff\u200b\u00a0"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A hub's address.

    Attributes:
        url: Without login, and without a slash at its end; mirrors serve under a path.
        login: ``Authorization`` for the user and password that stood in the address; mostly
            empty.
    """

    url: str
    login: str = ""

    @classmethod
    def parse(cls, text: str, name: str = "HF_ENDPOINT") -> Endpoint:
        """Parse ``http[s]://[user:password@]host[:port][/path]``; nothing is the public hub.

        Raises:
            InputError: Says what is wrong with it.
        """
        text = text.strip().rstrip("/") or PUBLIC_HUB
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise InputError(f"read {name}", text, str(error), "write https://host/path") from error
        if parts.scheme.lower() not in {"http", "https"} or not host:
            remedy = f"write https://{text}" if "://" not in text else "write https://host/path"
            raise InputError(f"read {name}", text, "neither http:// nor https://", remedy)
        if parts.query or parts.fragment or not text.isascii() or re.search(r"\s", text):
            raise InputError(f"read {name}", ascii(text), "not a plain address")
        place = parts.netloc.rpartition("@")[2]
        login = _basic(parts.username or "", parts.password or "") if "@" in parts.netloc else ""
        return cls(f"{parts.scheme.lower()}://{place}{parts.path}", login)

    @property
    def host(self) -> str:
        """``host[:port]``."""
        return urlsplit(self.url).netloc

    def headers(self) -> dict[str, str]:
        """Return the headers that log in; asked for each request, since a token may be rotated.

        Raises:
            InputError: There is a token that cannot be one.
        """
        if self.login:
            return {"Authorization": self.login}
        token = read_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def api(self, repo: str, *parts: str) -> str:
        """Return the address of a question about a repository."""
        return "/".join(
            (f"{self.url}/api/models/{repo}", *(quote(part, safe="") for part in parts))
        )

    def file(self, repo: str, commit: str, path: str) -> str:
        """Return the address of a file at a revision."""
        return f"{self.url}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"


def read_token(environ: Mapping[str, str] = os.environ) -> str:
    """Return the token to send; empty if there is none.

    Raises:
        InputError: It is not readable, or holds what no token has.
    """
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return ""
    given = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    subject = "HF_TOKEN" if given else constants.HF_TOKEN_PATH
    remedy = "put the token there, as plain text, and nothing else"
    try:
        token = (get_token() or "").strip(_BLANK)
    except UnicodeError as error:
        raise InputError("read token", subject, "not UTF-8 text", remedy) from error
    except OSError as error:
        raise InputError("read token", subject, error.strerror or str(error), remedy) from error
    if token and not _TOKEN.fullmatch(token):
        raise InputError("read token", subject, "characters that no token has", remedy)
    return token


def _basic(user: str, password: str) -> str:
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
