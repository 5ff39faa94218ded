"""A login for a registry, as login files and credential helpers hold them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A user and password, or a token that stands for them; as Docker has it, also several.

    Attributes:
        username: May be empty, or a word that only says that the password is a token.
        password: Or token.
        identity_token: To trade for access tokens at a token server, where it wins over a password.
        registry_token: For the registry itself, as it is; wins over everything.
        where: The file or helper it came from, for messages.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    where: str = field(default="", repr=False, compare=False)

    @property
    def basic(self) -> str:
        """The value of a Basic ``Authorization`` header; empty if there are only tokens."""
        if not self.username and not self.password:
            return ""
        # Bytes that are no UTF-8 were kept as they were.
        pair = f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode()

    def __bool__(self) -> bool:
        """Tell whether there is anything to log in with."""
        return bool(self.username or self.password or self.identity_token or self.registry_token)
