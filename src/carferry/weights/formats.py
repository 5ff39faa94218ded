"""Weights in other formats, which enter an image only if a user names them: are they what they say.

Sources: ggml ``docs/gguf.md`` (magic); PyTorch ``torch/serialization.py`` (a zip archive, before
1.6 a pickle); PKWARE APPNOTE 4.3.16 (a zip archive ends with its directory's record).
"""

from __future__ import annotations

from carferry.errors import BrokenFile
from carferry.weights.safetensors import ReadRange
from carferry.weights.standins import check_filled, check_page, check_pointer

ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack")
_HEAD_BYTES = 4096
_DIRECTORY_BYTES = 22 + 0xFFFF
_ZIP, _ZIP_END, _PICKLE, _GGUF = b"PK\x03\x04", b"PK\x05\x06", b"\x80", b"GGUF"


def check_format(path: str, size_bytes: int, read: ReadRange) -> None:
    """Check the first bytes, and of an archive the last.

    Raises:
        BrokenFile: Not what its name says, or cut short.
    """
    check_filled(path, size_bytes)
    head = read(path, 0, min(_HEAD_BYTES, size_bytes))
    check_pointer(path, head)
    check_page(path, head)
    if path.endswith(".gguf") and not head.startswith(_GGUF):
        raise _broken(path, f"not GGUF: it begins with {head[:4]!r}")
    is_torch = path.rpartition("/")[2].startswith("pytorch_model")
    if is_torch and not head.startswith((_ZIP, _PICKLE)):
        raise _broken(path, f"not PyTorch's: it begins with {head[:4]!r}")
    if head.startswith(_ZIP):
        _check_archive(path, size_bytes, read)


def _check_archive(path: str, size_bytes: int, read: ReadRange) -> None:
    tail = read(path, max(0, size_bytes - _DIRECTORY_BYTES), size_bytes)
    if _ZIP_END not in tail:
        raise _broken(path, "an archive without its directory: the file was cut short")


def _broken(path: str, reason: str) -> BrokenFile:
    return BrokenFile("check", path, reason, "download it again or report it")
