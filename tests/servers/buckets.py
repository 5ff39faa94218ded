"""Buckets on a real S3 server, with the keys that clients find in their environment."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from backend.servers import served
from minio import Minio

ACCESS, SECRET = "AKIATESTSACCESSKEY00", "the/secret+key/of/the/tests/0123456789ab"
_VARIABLES = (
    "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_BUCKET", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
    "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "CARFERRY_S3_CONNECTION", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of the server.

    Attributes:
        endpoint: URL of the server.
        name: Of the bucket.
        client: MinIO's own.
    """

    endpoint: str
    name: str
    client: Minio

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return self.endpoint.removeprefix("http://")

    def put(self, key: str, data: bytes) -> None:
        """Write one object."""
        self.client.put_object(self.name, key, io.BytesIO(data), len(data))

    def fill(self, files: Mapping[str, bytes], prefix: str = "models/tiny") -> str:
        """Write a model's files below a prefix and return its address."""
        for path, data in files.items():
            self.put(f"{prefix}/{path}", data)
        return f"s3://{self.name}/{prefix}"


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve S3 and yield the endpoint."""
    with served("objects") as port:
        yield f"http://127.0.0.1:{port}"


def make_bucket(endpoint: str) -> Bucket:
    """Make a bucket of its own for a test."""
    client = Minio(endpoint.removeprefix("http://"), ACCESS, SECRET, secure=False)
    name = f"bucket-{uuid4().hex[:12]}"
    client.make_bucket(name)
    return Bucket(endpoint, name, client)


def connect(monkeypatch: pytest.MonkeyPatch, home: Path, endpoint: str = "") -> None:
    """Keep this machine's logins away, and set those of the tests."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    if endpoint:
        monkeypatch.setenv("AWS_S3_ENDPOINT", endpoint)
