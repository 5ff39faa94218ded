"""A browser without a window: what it makes of a page, as text and as a picture."""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from collections import Counter
from pathlib import Path

from servers.tools import need

_FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "hide-scrollbars", "no-first-run",
    "force-prefers-reduced-motion", "virtual-time-budget=20000",
    "host-resolver-rules=MAP * ~NOTFOUND",  # nothing of a page may need a network
)  # fmt: skip
_COLOURS = 6  # PNG's type of three colours and an alpha
Colour = tuple[int, int, int]


def source(page: str, folder: Path) -> str:
    """Return the elements of a page once its scripts have run."""
    return _browse(page, folder, "--dump-dom")


def picture(page: str, folder: Path, *, width: int = 1000, height: int = 1000) -> Path:
    """Draw the top of a page at half of its size; return the file of the picture."""
    path = folder / "page.png"
    scale = ("--force-device-scale-factor=0.5", f"--window-size={width},{height}")
    _browse(page, folder, *scale, f"--screenshot={path}")
    return path


def colours(picture: Path) -> Counter[Colour]:
    """Return how many pixels of a picture have each colour."""
    wide, lines = _pixels(picture.read_bytes())
    step = len(lines[0]) // wide
    found: Counter[bytes] = Counter()
    for line in lines:
        found.update(bytes(line[at : at + 3]) for at in range(0, len(line), step))
    return Counter({(each[0], each[1], each[2]): count for each, count in found.items()})


def colour(word: str) -> Colour:
    """Return a colour that a style sheet names, such as ``#3c8f63``."""
    red, green, blue = (int(part, 16) for part in re.findall("[0-9a-f]{2}", word))
    return red, green, blue


def _browse(page: str, folder: Path, *options: str) -> str:
    flags = [f"--{flag}" for flag in _FLAGS]
    command = [need("chromium"), *flags, f"--user-data-dir={folder / 'browser'}", *options, page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


def _pixels(png: bytes) -> tuple[int, list[bytearray]]:
    """Return the width of a picture and its rows, as RFC 2083 writes them."""
    wide, _, depth, kind = struct.unpack(">IIBB", png[16:26])
    if depth != 8 or kind not in (2, _COLOURS):
        raise ValueError(f"a picture of {depth} bits and kind {kind}")
    data = zlib.decompress(b"".join(_chunks(png)))
    step = 4 if kind == _COLOURS else 3
    length, before, rows = wide * step, bytearray(wide * step), []
    for start in range(0, len(data), length + 1):
        before = _unfiltered(data[start], data[start + 1 : start + 1 + length], before, step)
        rows.append(before)
    return wide, rows


def _chunks(png: bytes) -> list[bytes]:
    at, found = 8, []
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            found.append(png[at + 8 : at + 8 + size])
        at += size + 12
    return found


def _unfiltered(kind: int, line: bytes, above: bytearray, step: int) -> bytearray:
    """Return a row from what a filter left of it, the row above and the bytes of a pixel."""
    row = bytearray(line)
    for at in range(len(row) if kind else 0):
        left = row[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _nearest(left, above[at], corner))
        row[at] = (row[at] + guess[kind]) & 255
    return row


def _nearest(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda each: abs(guess - each))
