"""The artifact store: an S3 server, reached with MinIO's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minio import Minio

from backend.servers import served

BUCKET = "artifacts"


@dataclass(frozen=True, slots=True)
class Objects:
    """One bucket.

    Attributes:
        client: Of the S3 server.
        root: Prefix of a run's artifacts, ``s3://bucket/prefix``.
    """

    client: Minio
    root: str = f"s3://{BUCKET}/rig"

    def upload(self, path: Path, uri: str) -> bool:
        """Send a file, or a folder's files; return whether there was anything to send."""
        if path.is_dir():
            files = [each for each in sorted(path.rglob("*")) if each.is_file()]
            for each in files:
                self.upload(each, f"{uri}/{each.relative_to(path).as_posix()}")
            return bool(files)
        if path.is_file():
            self.client.fput_object(BUCKET, _key(uri), str(path))
        return path.is_file()

    def download(self, uri: str, path: Path) -> None:
        """Fetch what was uploaded under a URI, a file or a folder, to a path."""
        key = _key(uri)
        listed = self.client.list_objects(BUCKET, prefix=key, recursive=True)
        every = [str(each.object_name) for each in listed]
        names = [name for name in every if name == key or name.startswith(f"{key}/")]
        assert names, f"nothing is stored at {uri}"
        for name in names:
            target = path if name == key else path / name.removeprefix(f"{key}/")
            self.client.fget_object(BUCKET, name, str(target))

    def read(self, uri: str) -> bytes:
        """Return one object's bytes."""
        answer = self.client.get_object(BUCKET, _key(uri))
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()


@contextmanager
def object_server() -> Iterator[Objects]:
    """Serve an empty bucket."""
    with served("objects") as port:
        address = f"127.0.0.1:{port}"
        client = Minio(address, access_key="rig", secret_key="of the tests", secure=False)
        client.make_bucket(BUCKET)
        yield Objects(client)


def _key(uri: str) -> str:
    prefix = f"s3://{BUCKET}/"
    assert uri.startswith(prefix), uri
    return uri.removeprefix(prefix)
