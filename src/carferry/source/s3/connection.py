"""How an S3 server is reached: the words of a dashboard's connection, and AWS's own.

A connection of OpenShift AI is a Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_S3_ENDPOINT, AWS_DEFAULT_REGION and AWS_S3_BUCKET. A workbench has them as variables, a
pipeline's step as files of the folder that ``CARFERRY_S3_CONNECTION`` names. Whatever it leaves out
comes from AWS's standard chain: variables, profiles, web identity, the instance.
Source: opendatahub-io/odh-dashboard, connection type "S3 compatible object storage - v1".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from carferry.errors import InputError

FOLDER = "CARFERRY_S3_CONNECTION"
"""Variable with the folder of a mounted connection: a file for each key."""
_ENDPOINTS = ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_DEFAULT_REGION", "AWS_REGION")
_AWS = re.compile(r"(?:^|\.)amazonaws\.com(?:\.cn)?$")
_LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """How an S3 server is reached; what is empty is left to AWS's standard chain.

    Attributes:
        endpoint: URL of a server that is not Amazon's.
        region: As in ``eu-west-1``.
        bucket: For models that name none.
        access_key: Of a mounted connection.
        secret_key: Likewise; never shown.
        token: Likewise, of a session.
    """

    endpoint: str = ""
    region: str = ""
    bucket: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Connection:
        """Return the mounted connection, completed by the environment.

        Raises:
            InputError: An endpoint that is no URL, or half a pair of keys.
        """
        mounted = _mounted(environ.get(FOLDER, ""))
        found = {**{name: text.strip() for name, text in environ.items()}, **mounted}
        keys = mounted.get("AWS_ACCESS_KEY_ID", ""), mounted.get("AWS_SECRET_ACCESS_KEY", "")
        if any(keys) and not all(keys):
            missing = "AWS_SECRET_ACCESS_KEY" if keys[0] else "AWS_ACCESS_KEY_ID"
            raise InputError("read the S3 connection", missing, "missing in the Secret", "add it")
        return cls(
            endpoint=_endpoint(_first(found, _ENDPOINTS)),
            region=_first(found, _REGIONS),
            bucket=found.get("AWS_S3_BUCKET", ""),
            access_key=keys[0],
            secret_key=keys[1],
            token=mounted.get("AWS_SESSION_TOKEN", "") if all(keys) else "",
        )

    @property
    def host(self) -> str:
        """Host and port of a server that is not Amazon's; empty for Amazon's."""
        return urlsplit(self.endpoint).netloc


def _mounted(folder: str) -> dict[str, str]:
    if not folder or not Path(folder).is_dir():
        return {}
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_S3_BUCKET")
    files = {name: Path(folder) / name for name in (*names, *_ENDPOINTS, *_REGIONS)}
    try:
        texts = {
            name: file.read_text(encoding="utf-8", errors="replace")[:_LONGEST].strip()
            for name, file in files.items()
            if file.is_file()
        }
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("read the S3 connection", folder, reason, "check the mount") from error
    return {name: text for name, text in texts.items() if text}


def _first(found: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((found[name] for name in names if found.get(name)), "")


def _endpoint(text: str) -> str:
    """Return an endpoint as a URL; empty for Amazon's own, which follows from the region."""
    url = text if "://" in text else f"https://{text}" if text else ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not url or _AWS.search(host):
        return ""
    if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query:
        # It may hold a password, so it is not repeated.
        remedy = "write AWS_S3_ENDPOINT as https://host[:port]"
        raise InputError("read the S3 connection", "endpoint", "no http or https URL", remedy)
    return url.rstrip("/")
