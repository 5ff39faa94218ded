"""The tags of a repository, page by page, as far as a registry lets them be read.

Source: OCI distribution-spec v1.1, "Listing Tags"; RFC 8288 (``Link``).
"""

from __future__ import annotations

from urllib.parse import urljoin

from urllib3.response import BaseHTTPResponse

from carferry.errors import TargetError
from carferry.io.documents import NotJson, parsed_object
from carferry.io.net.links import next_link
from carferry.refs import ImageRef
from carferry.registry.session import Session
from carferry.registry.target import ListDenied

# A list that a person keeps is shorter by far; one without end must end somewhere.
_MOST_PAGES = 2000
_ALL_TAGS_BYTES = 64 * 1024 * 1024
_NO_LIST = {401, 403, 404, 405}


def list_tags(session: Session, prefix: str) -> list[str]:
    """Return the tags that start with ``prefix``, sorted; none if the repository is new.

    Raises:
        ListDenied: This login may not list them, or nobody may.
        TargetError: The list does not end, or is none.
    """
    path, found, asked, read = "/tags/list?n=1000", set[str](), set[str](), 0
    while path and path not in asked:
        asked.add(path)
        # Distribution 2.8 knows no pages: all of its tags are one.
        response, page = _page(session, path, _ALL_TAGS_BYTES + 1 - read)
        if response.status == 404:
            break
        session.check_document(page, "list tags of")
        read += len(page)
        if read > _ALL_TAGS_BYTES or len(asked) > _MOST_PAGES:
            raise TargetError("list tags of", session.ref, "the list does not end")
        found.update(tag for tag in _named(session.ref, page) if tag.startswith(prefix))
        path = _next_page(response.headers.get("Link", ""), session.ref.repository)
    return sorted(found)


def _named(ref: ImageRef, page: bytes) -> list[str]:
    """Return the tags on a page; it may be longer than any manifest."""
    try:
        named = parsed_object(page).get("tags")
    except NotJson as error:
        raise TargetError("list tags of", ref, str(error)) from error
    return [str(tag) for tag in named] if isinstance(named, list) else []


def _page(session: Session, path: str, cap_bytes: int) -> tuple[BaseHTTPResponse, bytes]:
    try:
        return session.fetch(path, expect={200, 404}, cap_bytes=cap_bytes)
    except TargetError as error:
        if error.status not in _NO_LIST:
            raise
        raise ListDenied(
            "list tags of", session.ref, error.reason, error.remedy, status=error.status
        ) from error


def _next_page(link: str, name: str) -> str:
    """Return the path of the next page below the repository; "" for none."""
    address = next_link(link)
    if not address:
        return ""
    try:
        return urljoin(f"/v2/{name}/tags/list", address).partition(f"/v2/{name}")[2]
    except ValueError:  # brackets of no address
        return ""
