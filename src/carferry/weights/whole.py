"""Whether a model is whole, from the headers of its weights and its small files.

One request for most files, several at once; every fault is found, not only the first. What is
read: of each safetensors file 64 KiB at the most, unless its header is longer; the index and
the JSON that servers parse, of a long one its two ends; files as short as a pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname
from threading import Lock
from typing import Any

from carferry.errors import BrokenFile, CarferryError
from carferry.io.net.retry import Retry
from carferry.io.parallel import run_parallel
from carferry.weights import formats, texts
from carferry.weights.agreement import compare_total, misplaced_tensors, missing_files
from carferry.weights.index import INDEX_CAP_BYTES, SUFFIX, WeightIndex, parse_index
from carferry.weights.loaded import judge_loaded
from carferry.weights.numbered import missing_shards
from carferry.weights.safetensors import (
    FIRST_READ,
    Header,
    ReadRange,
    parse_header,
)
from carferry.weights.standins import POINTER_BYTES, check_filled, check_page, check_pointer

WEIGHTS = ".safetensors"
_PARALLEL = 16
ALL_HEADERS_BYTES = 64 * 1024 * 1024
"""Beyond the first read of each file: 207,000 tensors, as of a quantized Kimi-K2, take 25 MB."""
_MOST_SHORT = 256
"""Short files looked at: a repository of thousands must not cost thousands of requests."""

Seen = Header | WeightIndex | dict[str, Any] | None
Look = Callable[[str, int, ReadRange], Seen]


class Unseen(CarferryError):
    """Bytes of a file that its reader cannot show, such as those within a compressed layer."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What was found.

    Attributes:
        headers: Of each safetensors file that is right.
        faults: Each names its file; empty if the model is whole.
        remarks: What is odd and does no harm, a line each.
        unseen: Files of which nothing can be said, since ``read`` could not show enough of them.
    """

    headers: Mapping[str, Header]
    faults: tuple[BrokenFile, ...] = ()
    remarks: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def examine(
    files: Mapping[str, int],
    read: ReadRange,
    *,
    only: Collection[str] | None = None,
    beside: Collection[str] = (),
    retry: Retry | None = None,
    forget: Callable[[str], object] | None = None,
) -> Whole:
    """Look at a model's files.

    Args:
        files: Every path that belongs to the model, to its size in bytes.
        read: Reads bytes [start, end) of one of them; called from several threads. It may raise
            ``Unseen``.
        only: Weights to look at, as one worker's share; the indices and config.json are read
            besides, and nothing is said about the model as a whole.
        beside: Paths that exist and were left out on purpose: they are not missing.
        retry: What governs ``read``.
        forget: Called with a path before it is looked at again, so that ``read`` reads it anew.

    Raises:
        CarferryError: ``read`` failed.
    """
    read = _counted(read)
    paths = sorted(path for path in files if only is None or path in only or _is_small(path))
    looks: dict[str, Look] = {
        path: look for path in paths if (look := _look_for(path, files)) is not None
    }
    short = [path for path in paths if path not in looks and files[path] in POINTER_BYTES]
    looks |= dict.fromkeys(short[:_MOST_SHORT], _short)

    def seen(path: str) -> Seen | BrokenFile | Unseen:
        try:
            return looks[path](path, files[path], read)
        except BrokenFile:
            # A byte may be wrong by a fault on the way: only what stays wrong is.
            if forget:
                forget(path)
        except Unseen as error:
            return error
        try:
            return looks[path](path, files[path], read)
        except (BrokenFile, Unseen) as error:
            return error

    found = run_parallel(seen, list(looks), parallel=_PARALLEL, retry=retry or Retry())
    each = dict(zip(looks, found, strict=True))
    known = {path: what for path, what in each.items() if not isinstance(what, Unseen)}
    unseen = tuple(path for path in each if path not in known)
    there = set(files) | set(beside)
    is_part = only is not None or bool(unseen) or len(there) > len(files)
    judged = _judged(files, there, known, is_part=is_part)
    return replace(judged, unseen=unseen)


def _counted(read: ReadRange) -> ReadRange:
    """Return a reader that refuses what all headers together take beyond any model's.

    Parsed they take seventeen times their length, and several are parsed at once.
    """
    lock, taken = Lock(), 0

    def counted(path: str, start: int, end: int) -> bytes:
        nonlocal taken
        if start and path.endswith(WEIGHTS):
            with lock:
                taken += end - start
                if taken > ALL_HEADERS_BYTES:
                    reason = f"its header and those before are over {ALL_HEADERS_BYTES} bytes"
                    raise BrokenFile("check", path, reason, "report it")
        return read(path, start, end)

    return counted


def _is_small(path: str) -> bool:
    return path.endswith(SUFFIX) or path == texts.CONFIG


def _look_for(path: str, files: Collection[str]) -> Look | None:
    """Return what looks at such a file; None if it may hold anything."""
    if path == texts.PARAMS and texts.CONFIG not in files and any(map(_is_at_root, files)):
        return _params
    if path.endswith(WEIGHTS):
        return _weights
    if path.endswith(SUFFIX):
        return _index
    if path.rpartition("/")[2] in texts.SERVED:
        return _text
    return formats.check_format if path.endswith(formats.ENDINGS) else None


def _is_at_root(path: str) -> bool:
    return path.endswith(WEIGHTS) and "/" not in path


def _weights(path: str, size_bytes: int, read: ReadRange) -> Header:
    check_filled(path, size_bytes)
    head = read(path, 0, min(FIRST_READ, size_bytes))
    check_pointer(path, head)
    check_page(path, head)
    return parse_header(path, size_bytes, head, read)


def _index(path: str, size_bytes: int, read: ReadRange) -> WeightIndex:
    check_filled(path, size_bytes)
    if size_bytes > INDEX_CAP_BYTES:
        raise BrokenFile("check", path, f"{size_bytes} bytes long, no index is", "report it")
    return parse_index(path, read(path, 0, size_bytes))


def _text(path: str, size_bytes: int, read: ReadRange) -> dict[str, Any] | None:
    if texts.is_harmless(path, size_bytes):
        return None
    check_filled(path, size_bytes)
    return texts.check_json(path, size_bytes, read)


def _params(path: str, size_bytes: int, read: ReadRange) -> dict[str, Any] | None:
    """Look at what vLLM knows a model by that has no config.json."""
    check_filled(path, size_bytes)
    return texts.check_json(path, size_bytes, read, is_config=True)


def _short(path: str, size_bytes: int, read: ReadRange) -> None:
    check_pointer(path, read(path, 0, size_bytes))


def _judged(
    files: Mapping[str, int],
    there: Collection[str],
    seen: Mapping[str, Seen | BrokenFile],
    *,
    is_part: bool,
) -> Whole:
    headers = {path: each for path, each in seen.items() if isinstance(each, Header)}
    indices = [each for each in seen.values() if isinstance(each, WeightIndex)]
    config = seen.get(texts.CONFIG)
    known = config if isinstance(config, dict) else {}
    faults = [each for each in seen.values() if isinstance(each, BrokenFile)]
    faults += _missing(files, there, indices)
    harmless = [path for path in seen if texts.is_harmless(path, files[path])]
    remarks = [f"{path}: empty; servers make one from {texts.CONFIG}" for path in harmless]
    for index in indices:
        more = list(misplaced_tensors(index, headers, known))
        faults += more
        if not more and index.files <= headers.keys():
            fault, remark = compare_total(index, headers, files, known)
            faults += [fault] if fault else []
            remarks += [remark] if remark else []
    if not faults and not is_part:
        documents = {path: each for path, each in seen.items() if isinstance(each, dict)}
        more, odd = judge_loaded(files, {each.path: each for each in indices}, headers, documents)
        faults += more
        remarks += odd
    return Whole(headers, tuple(faults), tuple(remarks))


def _missing(
    files: Mapping[str, int], there: Collection[str], indices: list[WeightIndex]
) -> Iterator[BrokenFile]:
    """Yield what is named and not there; of a format that was not chosen nothing is missing."""
    is_chosen = any(path.endswith(WEIGHTS) for path in files)
    for index in indices if is_chosen else ():
        yield from missing_files(index, there)
    indexed = {dirname(index.path) for index in indices}
    numbered = [
        path
        for path in files
        if path.endswith((WEIGHTS, *formats.ENDINGS))
        and not (path.endswith(WEIGHTS) and dirname(path) in indexed)
    ]
    yield from (fault for fault in missing_shards(numbered) if fault.subject not in there)
