"""Throwaway certificates: an authority, and a server certificate for 127.0.0.1 and *.site.test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM form.

    Attributes:
        folder: Holds only ``ca.crt``, so that skopeo and buildah take it as ``--cert-dir``.
        ca: The authority to trust.
        chain: The server's certificate.
        key: The server's private key.
    """

    folder: Path
    ca: Path
    chain: Path
    key: Path

    @classmethod
    def make(cls, root: Path) -> Self:
        """Issue new certificates under a folder."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost", "*.site.test")
        folder = root / "trust"
        folder.mkdir(parents=True)
        made = cls(folder, folder / "ca.crt", root / "server.crt", root / "server.key")
        authority.cert_pem.write_to_path(str(made.ca))
        issued.cert_chain_pems[0].write_to_path(str(made.chain))
        issued.private_key_pem.write_to_path(str(made.key))
        return made
