"""The two floors: the bytes hashed on one core, and the shortest code that copies them.

    python -m benchmarks.floors sha256 FOLDER
    python -m benchmarks.floors copy ENDPOINT REPO HOST RECORD

The copy takes each file from the hub into one PATCH on two connections. It hashes nothing: the
digest that ends an upload is read from the record.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

_BLOCK = 1 << 20


def sha256(folder: str) -> None:
    """Hash every file of a folder on one core."""
    hasher, block = hashlib.sha256(), bytearray(_BLOCK)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(block):
                    hasher.update(memoryview(block)[:count])


def copy(endpoint: str, repo: str, host: str, record: str) -> None:
    """Copy every file of a repository into a blob of its own, two at a time."""
    files = json.loads(Path(record).read_text())

    def one(path: str) -> None:
        size, digest = files[path]
        body = _get(f"{endpoint}/{repo}/resolve/main/{path}")
        registry = http.client.HTTPConnection(host, blocksize=_BLOCK)
        place = _place(registry, "POST", "/v2/copy/blobs/uploads/")
        place = _place(registry, "PATCH", place, body, {"Content-Length": str(size)})
        _place(registry, "PUT", f"{place}&digest=sha256:{digest}")
        registry.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, sorted(files, key=lambda path: -files[path][0])))


def _get(url: str) -> http.client.HTTPResponse:
    while True:
        parts = urlsplit(url)
        hub = http.client.HTTPConnection(parts.netloc, blocksize=_BLOCK)
        hub.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        response = hub.getresponse()
        if response.status == 200:
            return response
        place = response.headers["Location"]
        url = place if place.startswith("http") else f"{parts.scheme}://{parts.netloc}{place}"
        hub.close()


def _place(
    registry: http.client.HTTPConnection,
    method: str,
    place: str,
    body: http.client.HTTPResponse | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    registry.request(method, place, body=body, headers=headers or {})
    response = registry.getresponse()
    response.read()
    if response.status not in {201, 202}:
        raise SystemExit(f"{method}: {response.status}")
    parts = urlsplit(response.headers["Location"])
    return f"{parts.path}?{parts.query}"


if __name__ == "__main__":
    if sys.argv[1] == "copy":
        copy(*sys.argv[2:])
    else:
        sha256(sys.argv[2])
